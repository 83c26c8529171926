package refresh

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// lease is the right to refresh one credential, until it ends.
type lease struct {
	key      string
	owner    string
	revision uint64
	ends     time.Time // by our own monotonic clock, which no adjustment moves
}

// take takes the lease. Errors: Conflict, where another has it; Unavailable.
func (s *Source) take(ctx context.Context, p credential.Path) (lease, error) {
	l := lease{key: "lease/" + p.Name(), owner: string(behalf.NewRunID())}
	return s.hold(ctx, l)
}

// hold has a lease last anew. Errors: Conflict, where it ended and another has it, or had; Unavailable.
func (s *Source) hold(ctx context.Context, l lease) (lease, error) {
	began := time.Now() // it ends no later than this and its time: the server reckons from after
	revision, err := s.deps.Leases.PutFor(ctx, l.key, []byte(l.owner), l.revision, s.cfg.Lease)
	if err != nil {
		return l, err
	}
	l.revision, l.ends = revision, began.Add(s.cfg.Lease)
	return l, nil
}

// drop gives the lease back where it is still ours.
func (s *Source) drop(ctx context.Context, l lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.deps.Leases.Delete(ctx, l.key, l.revision)
	if err != nil && !fault.Is(err, fault.Conflict) {
		s.log.Warn().Err(err).Msg("lease not given back; it ends by itself")
	}
}

// lasts says whether the lease covers one more request to a service.
func (s *Source) lasts(l lease) bool { return time.Until(l.ends) > s.cfg.Timeout }
