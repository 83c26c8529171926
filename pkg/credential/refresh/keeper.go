package refresh

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
)

// keeperKey is the lease of whoever keeps the accounts of an environment.
const keeperKey = "keeper"

// keeper refreshes accounts that nobody uses, when their records say so. All processes of an environment have one, and the
// one with the lease works. Two at once, as after a long pause of a machine, would do no harm: each refresh has its own lease.
type keeper struct {
	*Source

	lease lease
	// read is the revision behind which records are read next, and whole when all were.
	read  uint64
	whole time.Time
	pace  *rate.Limiter

	mu sync.Mutex
	keeping
}

// keeping is what is known of the accounts that are due soon, and of services that are left alone.
type keeping struct {
	due  map[accountKey]turn
	away map[clientKey]pauses
}

type accountKey struct {
	project behalf.ProjectID
	id      behalf.AccountID
}

// turn is when an account is next turned to: as its record says, or later, after tries.
type turn struct {
	client  clientKey
	planned time.Time
	at      time.Time
	tries   int
}

// clientKey is whom a service knows: where it refuses one account because of that, it refuses all.
type clientKey struct {
	project behalf.ProjectID
	app     behalf.AppSlug
	own     behalf.OAuthAppID
}

// pauses is a service that is left alone after failures in a row.
type pauses struct {
	failures int
	until    time.Time
}

func newKeeper(s *Source) *keeper {
	return &keeper{
		Source: s, lease: lease{key: keeperKey, owner: string(behalf.NewRunID())}, pace: rate.NewLimiter(rate.Limit(s.cfg.Keep.Pace), 1),
		keeping: keeping{due: map[accountKey]turn{}, away: map[clientKey]pauses{}},
	}
}

// run keeps the accounts until ctx ends. It begins at a random moment, so that many processes do not ask at once.
func (k *keeper) run(ctx context.Context) {
	if k.deps.Changes == nil {
		return
	}
	round := k.cfg.Keep.Round
	for wait := rand.N(round); pause.For(ctx, wait) == nil; wait = round/2 + rand.N(round) { //nolint:gosec // spreading load needs no secrecy
		if !k.lead(ctx) {
			k.rest()
			continue
		}
		if err := k.catchUp(ctx); err != nil {
			k.log.Debug().Err(err).Msg("accounts not read; it is tried again")
			continue
		}
		k.work(ctx)
	}
	if k.lease.revision != 0 {
		k.drop(ctx, k.lease)
	}
	k.rest()
}

// lead takes the lease, or has it last anew where half of it is over.
func (k *keeper) lead(ctx context.Context) bool {
	if k.lease.revision != 0 && time.Until(k.lease.ends) > k.cfg.Lease/2 {
		return true
	}
	held, err := k.hold(ctx, k.lease)
	if err != nil {
		// Another has it, or we cannot know: then it is ours for as long as it lasts.
		if fault.Is(err, fault.Conflict) || time.Until(k.lease.ends) <= 0 {
			k.lease.revision = 0
		}
		return k.lease.revision != 0
	}
	if k.lease.revision == 0 {
		k.log.Debug().Msg("keeps the accounts of the environment")
	}
	k.lease = held
	k.metrics.keeping.Set(1)
	return true
}

// rest forgets all, because whoever leads next reads it anew.
func (k *keeper) rest() {
	k.lease.revision, k.read, k.whole = 0, 0, time.Time{}
	k.forget()
	k.metrics.keeping.Set(0)
	k.metrics.overdue.Set(0)
	k.metrics.accounts.Reset()
}

// catchUp reads what has changed, and at times all. Only what is due until then stays in memory.
func (k *keeper) catchUp(ctx context.Context) error {
	now, all := k.cfg.Now(), false
	if k.read == 0 || now.Sub(k.whole) >= k.cfg.Keep.Whole {
		k.read, k.whole, all = 0, now, true
	}
	until := k.whole.Add(k.cfg.Keep.Whole + 4*k.cfg.Keep.Round)
	states := map[behalf.AccountState]int{behalf.AccountActive: 0, behalf.AccountNeedsReauth: 0, behalf.AccountRevoked: 0}
	read, err := k.deps.Changes.ChangedAccounts(ctx, k.read, func(a behalf.Account, gone bool) {
		if k.note(a, gone, until); !gone {
			states[stateOf(a)]++
		}
	})
	if err != nil {
		k.read = 0 // what was told is noted; all is read again
		return err
	}
	k.read = read
	if all {
		for state, n := range states {
			k.metrics.accounts.WithLabelValues(string(state)).Set(float64(n))
		}
	}
	return nil
}

func stateOf(a behalf.Account) behalf.AccountState {
	if a.Usable() {
		return behalf.AccountActive
	}
	return a.State
}

// work turns to what is due, what has waited longest first, at its pace and no longer than a round: then what has changed
// is read again.
func (k *keeper) work(ctx context.Context) {
	over, cancel := context.WithTimeout(ctx, k.cfg.Keep.Round)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, key := range k.overdue() {
		if k.leftAlone(key) {
			continue
		}
		if k.pace.Wait(over) != nil || !k.lead(ctx) {
			break
		}
		group.Go(func() error {
			k.settle(key, k.turnTo(ctx, key))
			return nil
		})
	}
	_ = group.Wait()
}
