package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Bucket is a small bucket of bytes, lent to the sealed credential store. Everything is read from the leader.
type Bucket struct{ bucket *bucket }

// Sealed lends the bucket of sealed credentials.
func (s *Store) Sealed() Bucket { return Bucket{s.sealed} }

// Get reads a value and its revision. Errors: Invalid, NotFound, Unavailable.
func (b Bucket) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	e, err := b.bucket.last(ctx, key)
	return e.value, e.revision, err
}

// Put writes a value that must still be at the revision; at 0 there must be nothing. Errors: Invalid, Conflict,
// Unavailable.
func (b Bucket) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	return b.bucket.put(ctx, key, value, revision)
}

// Delete removes a value that must still be at the revision; 0 means any. To delete what is not there is no error.
// Errors: Invalid, Conflict, Unavailable.
func (b Bucket) Delete(ctx context.Context, key string, revision uint64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	e, err := b.bucket.last(ctx, key)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case revision != 0 && revision != e.revision:
		return fault.Wrap(fault.Conflict, "store.Delete", errors.New("the value has another revision"))
	}
	_, err = b.bucket.delete(ctx, key, e.revision)
	return err
}

// Keys lists the keys that begin with a prefix, sorted. It reads the whole bucket: it is for administration, not for
// runs. Errors: Unavailable.
func (b Bucket) Keys(ctx context.Context, prefix string) ([]string, error) {
	live := map[string]bool{} // without the values, which may be many
	err := b.bucket.walk(ctx, ">", 1, func(e entry) bool {
		if live[e.key] = true; e.deleted || !strings.HasPrefix(e.key, prefix) {
			delete(live, e.key)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(live)), nil
}

const (
	maxKey      = 2048
	keyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_=-"
)

// checkKey refuses what is not one subject token.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return !strings.ContainsRune(keyAlphabet, r) }) {
		return fault.New(fault.Invalid, "store.Bucket", "a key must be letters, digits and /_=-, at most 2048")
	}
	return nil
}
