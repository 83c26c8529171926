package refresh

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const (
	maxRecent = 10_000
	atOnce    = 4 // refreshes in the background
)

// Run refreshes accounts that were used of late before their tokens end, until ctx ends; then it waits for the refreshes
// that are under way, because one that is cut short may cost a grant. It is called once.
func (s *Source) Run(ctx context.Context) error {
	for pause(ctx, s.cfg.Sweep/2+rand.N(s.cfg.Sweep)) == nil { //nolint:gosec // spreading load needs no secrecy
		s.sweep(ctx)
	}
	close(s.leaving)
	s.working.Wait()
	return nil
}

// sweep refreshes what is due soon, a few at a time.
func (s *Source) sweep(ctx context.Context) {
	now := s.cfg.Now()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, w := range s.recent.due(now, now.Add(-s.cfg.Recent)) {
		group.Go(func() error {
			_, err := s.shared(ctx, w)
			if err != nil && !fault.Is(err, fault.NotFound) {
				// It is tried again, and on demand too.
				s.log.Debug().Err(err).Str("account", string(w.account.ID)).Msg("not refreshed in the background")
			}
			return nil
		})
	}
	_ = group.Wait()
}

// recent remembers which accounts were used, and when their tokens want to be made anew.
type recent struct {
	mu   sync.Mutex
	used map[credential.Path]usage
}

type usage struct {
	wish wish
	last time.Time
	from time.Time // when the background may refresh it
}

func newRecent() *recent { return &recent{used: map[credential.Path]usage{}} }

// use remembers that a run has the credential.
func (r *recent) use(w wish, c credential.Credential, now time.Time) {
	if c.RefreshToken.IsZero() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.used[w.path]; ok {
		u.last, u.from = now, early(c)
		r.used[w.path] = u
		return
	}
	if len(r.used) < maxRecent { // those beyond are refreshed on demand
		w.early, w.refused = true, ""
		r.used[w.path] = usage{w, now, early(c)}
	}
}

// renew remembers that a credential was made anew. That is no use of it.
func (r *recent) renew(w wish, c credential.Credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.used[w.path]; ok {
		u.from = early(c)
		r.used[w.path] = u
	}
}

func (r *recent) forget(p credential.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.used, p)
}

// due lists what may be refreshed now, and forgets what was not used since.
func (r *recent) due(now, since time.Time) []wish {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []wish
	for p, u := range r.used {
		switch {
		case u.last.Before(since):
			delete(r.used, p)
		case !now.Before(u.from):
			all = append(all, u.wish)
		}
	}
	return all
}

// early is when the background refreshes a token: half of its margin before a run would.
func early(c credential.Credential) time.Time { return c.ExpiresAt.Add(-margin(c) * 3 / 2) }
