package refresh

import (
	"context"
	"sync"
	"time"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// keep stores a new token. Where the store is away, the token is handed out all the same, and stored as soon as the store
// is back: the one before is spent.
func (s *Source) keep(ctx context.Context, w wish, v view, next credential.Credential, h *holding) (credential.Credential, error) {
	stored, err := s.write(ctx, w, v, next)
	switch {
	case err == nil:
		return stored, nil
	case !mayPass(err):
		return credential.Credential{}, err
	}
	s.log.Error().Err(err).Str("app", string(w.account.App)).Str("account", string(w.account.ID)).Msg("new token not stored yet; it is kept in memory")
	h.kept = true
	s.unkept.put(w.path, next)
	over := s.working.begin()
	go func() {
		defer over()
		s.insist(context.WithoutCancel(ctx), w, v, next, h.lease)
	}()
	return next, nil
}

func mayPass(err error) bool {
	return fault.IsAway(err) || fault.Is(err, fault.Canceled)
}

// insist tries to store a new token until it is, or we leave. It holds the lease as long as it can: without it another
// worker would find a refresh cut short.
func (s *Source) insist(ctx context.Context, w wish, v view, next credential.Credential, l lease) {
	defer s.unkept.drop(w.path)
	for tries := 1; ; tries++ {
		last := s.leftWithin(backoff(min(tries, 5)))
		if time.Until(l.ends) < s.cfg.Lease/2 {
			if held, err := s.hold(ctx, l); err == nil {
				l = held
			}
		}
		limited, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		_, err := s.write(limited, w, v, next)
		cancel()
		switch {
		case err == nil || !mayPass(err):
			s.log.Info().Err(err).Str("account", string(w.account.ID)).Msg("the token in memory is stored, or of no use any more")
			s.drop(ctx, l)
			return
		case last:
			s.log.Error().Err(err).Str("account", string(w.account.ID)).Msg("we leave with a token that could not be stored")
			return
		}
	}
}

// leftWithin waits, and says whether we were told to leave meanwhile.
func (s *Source) leftWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.leaving:
		return true
	case <-timer.C:
		return false
	}
}

// write stores a new token over the one that it came of, and says so in the account's record. Of two, the newer wins.
func (s *Source) write(ctx context.Context, w wish, v view, next credential.Credential) (credential.Credential, error) {
	for range 5 {
		_, err := s.deps.Cached.Put(ctx, w.path, next, v.revision)
		if err == nil {
			return s.done(ctx, w, next)
		}
		if !fault.Is(err, fault.Conflict) {
			return credential.Credential{}, err
		}
		stored, revision, err := s.deps.Store.Get(ctx, w.path)
		switch {
		case err != nil: // the account may have been deleted meanwhile
			return credential.Credential{}, err
		case stored.RefreshToken.Equal(next.RefreshToken) && stored.AccessToken().Equal(next.AccessToken()):
			return s.done(ctx, w, stored) // our own write, whose answer was lost
		case !stored.RefreshToken.Equal(v.credential.RefreshToken):
			s.metrics.count(w.account.App, outcomeSuperseded)
			return stored, nil
		}
		v.revision = revision
	}
	return credential.Credential{}, fault.New(fault.Unavailable, op, "the credential changes all the time")
}

func (s *Source) done(ctx context.Context, w wish, c credential.Credential) (credential.Credential, error) {
	s.cfg.Points(ctx, Kept)
	s.metrics.count(w.account.App, outcomeOK)
	s.recent.renew(w, c)
	if err := s.showActive(ctx, w, c); err != nil {
		// The token is good, and only what people read of it is old.
		s.log.Warn().Err(err).Str("account", string(w.account.ID)).Msg("refresh not shown in the account's record")
	}
	s.cfg.Points(ctx, Shown)
	s.log.Debug().Str("app", string(w.account.App)).Str("account", string(w.account.ID)).Time("until", c.ExpiresAt).Msg("account refreshed")
	return c, nil
}

// unkept are new tokens that could not be stored yet.
type unkept struct {
	mu   sync.Mutex
	held map[credential.Path]credential.Credential
}

func newUnkept() *unkept { return &unkept{held: map[credential.Path]credential.Credential{}} }

func (u *unkept) of(p credential.Path) (credential.Credential, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c, ok := u.held[p]
	return c, ok
}

func (u *unkept) put(p credential.Path, c credential.Credential) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held[p] = c
}

func (u *unkept) drop(p credential.Path) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.held, p)
}
