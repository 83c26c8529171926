package refresh

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/pause"
)

const (
	maxRecent = 10_000
	atOnce    = 4 // refreshes in the background
)

// Run refreshes accounts that were used of late before their tokens end, and together with the others of the environment all
// that nobody uses, until ctx ends; then it waits for the refreshes that are under way, because one that is cut short may
// cost a grant. It is called once.
func (s *Source) Run(ctx context.Context) error {
	var group errgroup.Group
	group.Go(func() error {
		newKeeper(s).run(ctx)
		return nil
	})
	for pause.For(ctx, s.cfg.Sweep/2+rand.N(s.cfg.Sweep)) == nil { //nolint:gosec // spreading load needs no secrecy
		s.sweep(ctx)
	}
	_ = group.Wait()
	close(s.leaving)
	s.working.wait()
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
	mu   sync.RWMutex
	used map[credential.Path]*usage
}

// usage is one account. The times are Unix nanoseconds, so that runs need not wait for each other to write them.
type usage struct {
	wish wish
	last atomic.Int64
	from atomic.Int64 // when the background may refresh it
}

func newRecent() *recent { return &recent{used: map[credential.Path]*usage{}} }

// touch remembers that a run has the credential, where the account is known already.
func (r *recent) touch(p credential.Path, c credential.Credential, now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	u, ok := r.used[p]
	if ok {
		u.last.Store(now.UnixNano())
		u.from.Store(early(c).UnixNano())
	}
	return ok
}

// use is touch, and has the account known.
func (r *recent) use(w wish, c credential.Credential, now time.Time) {
	if c.RefreshToken.IsZero() || r.touch(w.path, c, now) {
		return
	}
	w.early, w.refused = true, ""
	u := &usage{wish: w}
	u.last.Store(now.UnixNano())
	u.from.Store(early(c).UnixNano())
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.used) < maxRecent { // those beyond are refreshed on demand
		r.used[w.path] = u
	}
}

// renew remembers that a credential was made anew. That is no use of it.
func (r *recent) renew(w wish, c credential.Credential) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if u, ok := r.used[w.path]; ok {
		u.from.Store(early(c).UnixNano())
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
		case u.last.Load() < since.UnixNano():
			delete(r.used, p)
		case u.from.Load() <= now.UnixNano():
			all = append(all, u.wish)
		}
	}
	return all
}

// early is when the background refreshes a token: half of its margin before a run would. One without an end never is.
func early(c credential.Credential) time.Time {
	if at := oauth.Early(c.IssuedAt, c.ExpiresAt); !at.IsZero() {
		return at
	}
	return time.Unix(0, math.MaxInt64)
}
