package store

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// ConnectToken reads a connect token by its hash, as it is right now. One that has ended is not found, one that was used
// is. Errors: NotFound, Unavailable.
func (s *Store) ConnectToken(ctx context.Context, hash string) (Versioned[behalf.ConnectToken], error) {
	found, err := passing(ctx, s.connects, "connect token", hash, subject.ConnectTokenKey(hash), decode[behalf.ConnectToken])
	if err == nil && !time.Now().Before(found.Value.ExpiresAt) {
		return Versioned[behalf.ConnectToken]{}, noSuch("connect token", ended())
	}
	return found, err
}

// PutConnectToken keeps a new connect token (revision 0), or a change of it, until it ends. Errors: Invalid, Conflict,
// Unavailable.
func (s *Store) PutConnectToken(ctx context.Context, t behalf.ConnectToken, revision uint64) (uint64, error) {
	if err := checkUser(t.Project, t.User); err != nil {
		return 0, err
	}
	t.V = behalf.FormatVersion
	return s.connects.putUntil(ctx, t.Hash, subject.ConnectTokenKey(t.Hash), t, writing{t.ExpiresAt, revision})
}

// PutConsent keeps a new consent until it ends. Errors: Invalid, Conflict, Unavailable.
func (s *Store) PutConsent(ctx context.Context, c behalf.Consent) error {
	c.V = behalf.FormatVersion
	_, err := s.connects.putUntil(ctx, c.Hash, subject.ConsentKey(c.Hash), c, writing{c.ExpiresAt, 0})
	return err
}

// TakeConsent reads a consent by the hash of its state and removes it: of several who take it at once, one has it. Errors:
// NotFound, Unavailable.
func (s *Store) TakeConsent(ctx context.Context, hash string) (behalf.Consent, error) {
	key := subject.ConsentKey(hash)
	found, err := passing(ctx, s.connects, "consent", hash, key, decode[behalf.Consent])
	if err != nil {
		return behalf.Consent{}, err
	}
	_, err = s.connects.delete(ctx, key, found.Revision)
	switch {
	case fault.Is(err, fault.Conflict):
		return behalf.Consent{}, noSuch("consent", ended())
	case err != nil:
		return behalf.Consent{}, err
	case !time.Now().Before(found.Value.ExpiresAt):
		return behalf.Consent{}, noSuch("consent", ended())
	}
	return found.Value, nil
}

// passing reads what is kept for a while under a hash.
func passing[T any](ctx context.Context, b *bucket, what, hash, key string, decode func([]byte) (T, error)) (Versioned[T], error) {
	if checkHash(hash) != nil {
		return Versioned[T]{}, noSuch(what, ended())
	}
	e, err := b.last(ctx, key)
	if err != nil {
		return Versioned[T]{}, noSuch(what, err)
	}
	value, err := decode(e.value)
	return Versioned[T]{Value: value, Revision: e.revision}, err
}

// writing says until when a value is kept, and over which revision it is written.
type writing struct {
	until    time.Time
	revision uint64
}

func (b *bucket) putUntil(ctx context.Context, hash, key string, record any, w writing) (uint64, error) {
	if err := checkHash(hash); err != nil {
		return 0, err
	}
	left := time.Until(w.until).Truncate(time.Second) + time.Second // of the server's whole seconds; readers look at the clock
	if left < time.Second {
		return 0, fault.Wrap(fault.Conflict, "store.put", ended())
	}
	data, err := encode(record)
	if err != nil {
		return 0, err
	}
	return b.write(ctx, key, data, nats.Header{jetstream.MsgTTLHeader: {left.String()}}, w.revision)
}

func ended() error { return fault.Wrap(fault.NotFound, "store.read", errors.New("it has ended")) }

func checkHash(hash string) error {
	ok := len(hash) == 64
	for i := range len(hash) {
		c := hash[i]
		ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f')
	}
	if !ok {
		return fault.New(fault.Invalid, "store.checkHash", "a hash must be a SHA-256 in hexadecimal")
	}
	return nil
}
