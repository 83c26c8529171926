package refresh_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

var often = refresh.KeepConfig{Round: 20 * time.Millisecond, Pace: 1000}

// idle makes an account that nobody uses, whose record says when it is due, seen from now.
func (r *rig) idle(due time.Duration) behalf.Account {
	r.t.Helper()
	r.connectAs(due+9*time.Minute, behalf.Grant{ExpiresAt: r.now().Add(due + 9*time.Minute), RefreshAt: r.now().Add(due)})
	return r.account
}

// recordOf is that of an account.
func (r *rig) recordOf(a behalf.Account) behalf.Account {
	r.t.Helper()
	r.account = a
	return r.record()
}

// made waits until an account was made anew so often.
func (r *rig) made(a behalf.Account, times uint64) {
	r.t.Helper()
	r.account = a
	bustest.Eventually(r.t, "the token is made anew", func() bool {
		c, _ := r.stored()
		return c.Generation == times && r.record().RefreshAt.After(r.now())
	})
}

// Five workers keep accounts that no run asks for: each is refreshed once when it is due, and then once a day.
func TestAccountsThatNobodyUsesAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	var all []behalf.Account
	for range 8 {
		all = append(all, r.idle(50*time.Minute))
	}
	var stops []func()
	for _, w := range r.workers(5, refresh.Config{Keep: often}) {
		stops = append(stops, r.run(w))
	}
	r.made(r.idle(-time.Minute), 1)
	r.counts(1, 1, 0) // none of the others is due yet

	r.later(50 * time.Minute)
	for _, a := range all {
		r.made(a, 1)
		rec := r.recordOf(a)
		if rec.State != behalf.AccountActive || rec.RefreshAt.Before(r.now().Add(21*time.Hour)) || rec.RefreshAt.After(r.now().Add(24*time.Hour)) {
			t.Errorf("the record says %q, and next %v, at %v", rec.State, rec.RefreshAt, r.now())
		}
	}
	r.counts(9, 9, 0)

	for _, stop := range stops[1:] { // whoever is left goes on at once
		stop()
	}
	r.later(24 * time.Hour)
	for _, a := range all {
		r.made(a, 2)
	}
	if got := r.vendor.Counts(); got.Reuses != 0 || got.Refreshes > 18 {
		t.Errorf("counts %+v", got)
	}
}

// Who must connect again, and what has nothing to be refreshed with, is left as it is.
func TestWhatTheKeeperLeavesAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	var dead []behalf.Account
	for _, state := range []behalf.AccountState{behalf.AccountNeedsReauth, behalf.AccountRevoked} {
		a := r.idle(-time.Hour)
		r.edit(a, func(a *behalf.Account) { a.State, a.Reason = state, "by somebody" })
		dead = append(dead, a)
	}
	bare := r.idle(-time.Minute)
	c, revision := r.stored()
	c.RefreshToken = secret.String{}
	r.put(c, revision)
	r.run(r.worker(refresh.Config{Keep: often}))

	bustest.Eventually(t, "the record plans what cannot be", func() bool { return r.recordOf(bare).RefreshAt.IsZero() })
	r.made(r.idle(-time.Second), 1)
	r.counts(1, 1, 0)
	for _, a := range dead {
		if rec := r.recordOf(a); rec.Reason != "by somebody" || rec.Usable() {
			t.Errorf("the record says %+v", rec)
		}
	}
	if rec := r.recordOf(bare); !rec.Usable() {
		t.Errorf("its token is still good, and the record says %+v", rec)
	}
}

func (r *rig) edit(a behalf.Account, change func(*behalf.Account)) {
	r.t.Helper()
	found, err := r.first.store.FindAccount(r.t.Context(), a.Project, a.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	change(&found.Value)
	if _, err := r.first.store.PutAccount(r.t.Context(), found.Value, found.Revision); err != nil {
		r.t.Fatal(err)
	}
}

// A consent that was taken back shows although no run asked for the account, and is not asked for again.
func TestTheKeeperNoticesWhatHasEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	a := r.idle(-time.Minute)
	r.vendor.Fail(oauthtest.AtToken, oauthtest.Refusal(http.StatusBadRequest, "invalid_grant"))
	r.run(r.worker(refresh.Config{Keep: often}))
	bustest.Eventually(t, "the record says so", func() bool { return r.recordOf(a).State == behalf.AccountNeedsReauth })
	if rec := r.recordOf(a); !rec.RefreshAt.IsZero() || !strings.Contains(rec.Reason, "no longer accepts") {
		t.Errorf("the record says %+v", rec)
	}
	r.later(48 * time.Hour)
	r.made(r.idle(-time.Minute), 1)
	r.counts(2, 1, 0)
}

// A record of a release that planned nothing is kept all the same, from its token's end on.
func TestARecordWithoutAPlanIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.connectAs(-time.Minute, behalf.Grant{ExpiresAt: r.now().Add(-time.Minute)})
	a := r.account
	r.run(r.worker(refresh.Config{Keep: often}))
	r.made(a, 1)
	r.counts(1, 1, 0)
}
