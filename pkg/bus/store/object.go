package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// objects keeps contents under names that follow from them, so that what was read once holds for ever.
type objects struct {
	name   string
	leader leader
	store  jetstream.ObjectStore
	memory *remembered[[]byte]
}

// objectTimeout is how long one object may take to come or go.
const objectTimeout = 15 * time.Second

func openObjects(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, env behalf.Environment, cfg Config) (*objects, error) {
	name := subject.Objects(env)
	store, err := js.ObjectStore(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, fault.Newf(fault.Unavailable, "store.New", "the object store %s is not there: behalf provision makes it", name).Because(err)
	}
	if err != nil {
		return nil, failed(ctx, "store.New", err)
	}
	// An empty object weighs something too: 0 would not be kept.
	memory := newRemembered(cfg.RememberObjects, func(content []byte) int { return len(content) + 1 })
	memory.empty(true)
	return &objects{name, leader{nc, cfg.ReadTimeout}, store, memory}, nil
}

// PutObject stores content under a name that only this project can know. To store the same again changes nothing.
// Errors: Invalid, Exhausted, Unavailable.
func (s *Store) PutObject(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return behalf.ObjectRef{}, err
	}
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{
		Object: behalf.NewObjectID(project, content), SHA256: hex.EncodeToString(sum[:]), Size: len(content),
	}
	switch there, err := s.objects.there(ctx, ref.Object); {
	case err != nil:
		return behalf.ObjectRef{}, err
	case there:
		return ref, nil
	}
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	if _, err := s.objects.store.Put(inner, jetstream.ObjectMeta{Name: string(ref.Object)}, bytes.NewReader(content)); err != nil {
		return behalf.ObjectRef{}, failed(ctx, "store.PutObject", err)
	}
	return ref, nil
}

// PutUnshared stores content under a name that nothing else has, so that it may be dropped again; where that fails
// nothing is left, as far as the server can be reached. Errors: Invalid, Exhausted, Unavailable.
func (s *Store) PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return behalf.ObjectRef{}, err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails: it ends the process instead
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{
		Object: behalf.NewObjectID(project, random[:]), SHA256: hex.EncodeToString(sum[:]), Size: len(content),
	}
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	if _, err := s.objects.store.Put(inner, jetstream.ObjectMeta{Name: string(ref.Object)}, bytes.NewReader(content)); err != nil {
		return behalf.ObjectRef{}, errors.Join(failed(ctx, "store.PutUnshared", err), s.DropObject(context.WithoutCancel(ctx), ref))
	}
	return ref, nil
}

// DropObject forgets what PutUnshared stored, and does nothing where it is gone already. What PutObject stored may have
// been stored by others too. Errors: Unavailable.
func (s *Store) DropObject(ctx context.Context, ref behalf.ObjectRef) error {
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	err := s.objects.store.Delete(inner, string(ref.Object))
	if err == nil || errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	return failed(ctx, "store.DropObject", err)
}

// Object reads a stored content, checked against its SHA-256. The slice is shared: it must not be changed. Errors:
// NotFound, Internal (it is not what was stored), Unavailable.
func (s *Store) Object(ctx context.Context, ref behalf.ObjectRef) ([]byte, error) {
	return s.objects.memory.find(ctx, string(ref.Object)+"/"+ref.SHA256, func(ctx context.Context) ([]byte, error) {
		return s.objects.read(ctx, ref)
	})
}

func (o *objects) read(ctx context.Context, ref behalf.ObjectRef) ([]byte, error) {
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	content, err := o.store.GetBytes(inner, string(ref.Object))
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, o.notFound(ctx, ref.Object, err)
	}
	if errors.Is(err, jetstream.ErrDigestMismatch) {
		return nil, fault.Wrap(fault.Internal, "store.Object", fmt.Errorf("object %s: %w", ref.Object, err))
	}
	if err != nil {
		return nil, failed(ctx, "store.Object", fmt.Errorf("object %s: %w", ref.Object, err))
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != ref.SHA256 {
		return nil, fault.Wrap(fault.Internal, "store.Object", fmt.Errorf("object %s has another SHA-256 than its reference", ref.Object))
	}
	return content, nil
}

// notFound has the leader confirm what may have been the answer of a replica that lags behind.
func (o *objects) notFound(ctx context.Context, id behalf.ObjectID, cause error) error {
	there, err := o.there(ctx, id)
	switch {
	case err != nil:
		return err
	case there: // a moment later it will be found
		return fault.Wrap(fault.Unavailable, "store.Object", fmt.Errorf("object %s is not on this replica yet: %w", id, cause))
	}
	return fault.New(fault.NotFound, "store.Object", "no such object").Because(cause)
}

// there asks the leader for the entry that the object store writes last of all.
func (o *objects) there(ctx context.Context, id behalf.ObjectID) (bool, error) {
	m, err := o.leader.read(ctx, "OBJ_"+o.name, question{Last: "$O." + o.name + ".M." + base64.URLEncoding.EncodeToString([]byte(id))})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return false, fault.Wrap(fault.Internal, "store.Object", err)
	}
	return !info.Deleted, nil
}
