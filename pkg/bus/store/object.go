package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
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

// objects keeps contents under names that follow from them, so that what was read once holds for ever. What belongs to
// one run lies apart, parked, and ends by itself.
type objects struct {
	shared, parked place
	memory         *remembered[[]byte]
}

// place is an object store.
type place struct {
	name   string
	leader leader
	store  jetstream.ObjectStore
}

// objectTimeout is how long one object may take to come or go.
const objectTimeout = 15 * time.Second

func openObjects(ctx context.Context, nc *nats.Conn, env behalf.Environment, cfg Config) (*objects, error) {
	// An empty object weighs something too: 0 would not be kept.
	o := &objects{memory: newRemembered(cfg.RememberObjects, func(content []byte) int { return len(content) + 1 })}
	o.memory.empty(true)
	var err error
	if o.shared, err = openPlace(ctx, nc, cfg, subject.Objects(env)); err != nil {
		return nil, err
	}
	o.parked, err = openPlace(ctx, nc, cfg, subject.Parked(env))
	return o, err
}

func openPlace(ctx context.Context, nc *nats.Conn, cfg Config, name string) (place, error) {
	store, err := openObjectStore(ctx, nc, cfg, name)
	return place{name, leader{nc, cfg.ReadTimeout}, store}, err
}

// openObjectStore opens one that is there, and says what makes it where it is not.
func openObjectStore(ctx context.Context, nc *nats.Conn, cfg Config, name string) (jetstream.ObjectStore, error) {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(cfg.ReadTimeout))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "store.New", err)
	}
	store, err := js.ObjectStore(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, fault.Newf(fault.Unavailable, "store.New", "the object store %s is not there: behalf provision makes it", name).Because(err)
	}
	return store, failed(ctx, "store.New", err)
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
	switch there, err := s.objects.shared.there(ctx, ref.Object); {
	case err != nil:
		return behalf.ObjectRef{}, err
	case there:
		return ref, nil
	}
	return ref, s.objects.shared.put(ctx, ref.Object, content)
}

// PutUnshared parks content that belongs to one run, under a name that nothing else has: until it is dropped, or until no
// history can tell of the run. Where it fails nothing is left for longer. Errors: Invalid, Exhausted, Unavailable.
func (s *Store) PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return behalf.ObjectRef{}, err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails: it ends the process instead
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{
		Object: behalf.NewObjectID(project, random[:]), SHA256: hex.EncodeToString(sum[:]), Size: len(content), Parked: true,
	}
	if err := s.objects.parked.put(ctx, ref.Object, content); err != nil {
		return behalf.ObjectRef{}, errors.Join(err, s.DropObject(context.WithoutCancel(ctx), ref))
	}
	return ref, nil
}

// KeepObject has what PutUnshared stored stay for ever, for those who need it longer than any history. Errors: NotFound,
// Internal, Exhausted, Unavailable.
func (s *Store) KeepObject(ctx context.Context, ref behalf.ObjectRef) error {
	if !ref.Parked {
		return nil
	}
	content, err := s.Object(ctx, ref)
	if err != nil {
		return err
	}
	if there, err := s.objects.shared.there(ctx, ref.Object); err != nil || there {
		return err
	}
	return s.objects.shared.put(ctx, ref.Object, content)
}

// DropObject forgets what PutUnshared stored, also where it was to be kept, and does nothing where it is gone already.
// What PutObject stored may have been stored by others too, and stays. Errors: Unavailable.
func (s *Store) DropObject(ctx context.Context, ref behalf.ObjectRef) error {
	if !ref.Parked {
		return nil
	}
	s.objects.memory.forget(keyOf(ref))
	return errors.Join(
		drop(ctx, s.objects.parked.store, string(ref.Object), "store.DropObject"),
		drop(ctx, s.objects.shared.store, string(ref.Object), "store.DropObject"),
	)
}

// Object reads a stored content, checked against its SHA-256. The slice is shared: it must not be changed. Errors:
// NotFound, Internal (it is not what was stored), Unavailable.
func (s *Store) Object(ctx context.Context, ref behalf.ObjectRef) ([]byte, error) {
	return s.objects.memory.find(ctx, keyOf(ref), func(ctx context.Context) ([]byte, error) {
		return s.objects.read(ctx, ref)
	})
}

func keyOf(ref behalf.ObjectRef) string { return string(ref.Object) + "/" + ref.SHA256 }

func (o *objects) read(ctx context.Context, ref behalf.ObjectRef) ([]byte, error) {
	if !ref.Parked {
		return o.shared.read(ctx, ref)
	}
	content, err := o.parked.read(ctx, ref)
	if fault.Is(err, fault.NotFound) { // its time is over, but it may have been kept
		return o.shared.read(ctx, ref)
	}
	return content, err
}

func (p place) put(ctx context.Context, id behalf.ObjectID, content []byte) error {
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	_, err := p.store.Put(inner, jetstream.ObjectMeta{Name: string(id)}, bytes.NewReader(content))
	return failed(ctx, "store.PutObject", err)
}

func drop(ctx context.Context, store jetstream.ObjectStore, name, op string) error {
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	err := store.Delete(inner, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	return failed(ctx, op, err)
}

func (p place) read(ctx context.Context, ref behalf.ObjectRef) ([]byte, error) {
	inner, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	content, err := p.store.GetBytes(inner, string(ref.Object))
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, p.notFound(ctx, ref.Object, err)
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
func (p place) notFound(ctx context.Context, id behalf.ObjectID, cause error) error {
	there, err := p.there(ctx, id)
	switch {
	case err != nil:
		return err
	case there: // a moment later it will be found
		return fault.Wrap(fault.Unavailable, "store.Object", fmt.Errorf("object %s is not on this replica yet: %w", id, cause))
	}
	return fault.New(fault.NotFound, "store.Object", "no such object").Because(cause)
}

// there asks the leader for the entry that the object store writes last of all.
func (p place) there(ctx context.Context, id behalf.ObjectID) (bool, error) {
	m, err := p.leader.read(ctx, subject.ObjectStream(p.name), question{Last: subject.ObjectMeta(p.name, string(id))})
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
