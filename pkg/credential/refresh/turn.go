package refresh

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// patient is after how many failures in a row a service is left alone: one account may well be the only one of its kind.
const patient = 3

// note remembers when an account is due, where it is before a time. Only what is due soon stays in memory.
func (k *keeper) note(a behalf.Account, gone bool, until time.Time) {
	key := accountKey{a.Project, a.ID}
	at := planOf(a)
	k.mu.Lock()
	defer k.mu.Unlock()
	if gone || at.IsZero() || at.After(until) {
		delete(k.due, key)
		return
	}
	if known, ok := k.due[key]; !ok || !known.planned.Equal(at) { // else it may have been tried
		k.due[key] = turn{client: clientKey{a.Project, a.App, a.OAuthApp}, planned: at, at: at}
	}
}

func (k *keeper) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.due)
	clear(k.away)
}

// overdue lists whose turn it is, who has waited longest first.
func (k *keeper) overdue() []accountKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, late := k.cfg.Now(), 0
	var keys []accountKey
	for key, t := range k.due {
		if !t.planned.After(now) {
			late++
		}
		if !t.at.After(now) {
			keys = append(keys, key)
		}
	}
	k.metrics.overdue.Set(float64(late))
	slices.SortFunc(keys, func(a, b accountKey) int {
		return cmp.Or(k.due[a].at.Compare(k.due[b].at), cmp.Compare(a.id, b.id))
	})
	return keys
}

// leftAlone says whether the service of an account failed of late.
func (k *keeper) leftAlone(key accountKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cfg.Now().Before(k.away[k.due[key].client].until)
}

// turnTo refreshes one account, by its record as it is right now, and tells the outcome.
func (k *keeper) turnTo(ctx context.Context, key accountKey) string {
	account, _, err := k.deps.Accounts.Account(ctx, key.project, key.id)
	at := planOf(account)
	switch {
	case fault.Is(err, fault.NotFound):
		return keptNot
	case err != nil:
		return keptLater
	case at.IsZero() || at.After(k.cfg.Now()): // it has changed, and its change is read next
		return keptNot
	}
	w := k.wish(account)
	if !w.refreshable {
		return keptNot
	}
	w.kept = true
	c, err := k.shared(ctx, w)
	switch {
	case fault.Is(err, fault.NotFound):
		return keptEnded
	case err != nil, !c.RefreshToken.IsZero() && !k.satisfies(w, c):
		k.log.Debug().Err(err).Str("app", string(account.App)).Str("account", string(account.ID)).Msg("not refreshed in the background")
		return keptLater
	}
	if err := k.replan(ctx, w, c); err != nil {
		return keptLater
	}
	if c.RefreshToken.IsZero() {
		return keptNot
	}
	return keptOK
}

// settle remembers what became of a turn. A service that fails again and again is left alone, longer each time.
func (k *keeper) settle(key accountKey, outcome string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t, now := k.due[key], k.cfg.Now()
	k.metrics.kept.WithLabelValues(string(t.client.app), outcome).Inc()
	if outcome != keptLater {
		delete(k.due, key)
		if outcome != keptNot {
			delete(k.away, t.client)
		}
		return
	}
	t.tries++
	t.at = now.Add(longer(time.Minute, t.tries, 6*time.Hour))
	k.due[key] = t
	p := k.away[t.client]
	if p.failures++; p.failures >= patient {
		p.until = now.Add(longer(30*time.Second, p.failures-patient+1, 30*time.Minute))
	}
	k.away[t.client] = p
}

// longer doubles a pause with each try, up to a fifth more.
func longer(d time.Duration, tries int, most time.Duration) time.Duration {
	d = min(d<<min(tries-1, 12), most)
	return d + rand.N(d/5) //nolint:gosec // spreading load needs no secrecy
}
