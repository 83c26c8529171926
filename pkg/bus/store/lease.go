package store

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Leases is a bucket of small values that may end by themselves: who does what only one may do at a time, and what was
// begun. Everything is read from the leader.
type Leases struct{ Bucket }

// Leases lends the bucket of leases.
func (s *Store) Leases() Leases { return Leases{Bucket{s.leases}} }

// PutFor writes a value that must still be at the revision and ends by itself after a time, of a second at least; at 0
// there must be nothing. Errors: Invalid, Conflict, Unavailable.
func (l Leases) PutFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if ttl < time.Second {
		return 0, fault.New(fault.Invalid, "store.PutFor", "a value must be there for a second at least")
	}
	return l.bucket.putFor(ctx, key, value, revision, ttl.Truncate(time.Second))
}
