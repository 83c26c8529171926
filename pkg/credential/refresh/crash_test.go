package refresh_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
)

// A worker dies at each point of a refresh. The next one heals the account or says why it cannot, and no refresh token
// is sent that may be spent.
func TestACrashAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at     refresh.Point
		grace  bool
		heals  bool
		tokens int
	}{
		{refresh.Leased, false, true, 1},
		{refresh.Marked, false, false, 0},
		{refresh.Told, false, false, 1},
		{refresh.Kept, false, true, 1},
		{refresh.Shown, false, true, 1},
		{refresh.Marked, true, true, 1},
		{refresh.Told, true, true, 2},
	} {
		name := string(c.at)
		if c.grace {
			name += " with a grace"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := oauthtest.Config{}
			if c.grace {
				cfg = oauthtest.Config{File: file(graced), Grace: time.Hour}
			}
			r := newRig(t, cfg)
			r.die(c.at)
			w := r.worker(refresh.Config{})
			got, err := r.fresh(w)
			counts := r.vendor.Counts()
			if counts.Tokens != c.tokens || !c.grace && counts.Reuses != 0 {
				t.Errorf("counts %+v", counts)
			}
			if c.heals {
				r.good(got, err)
				if record := r.record(); !record.Usable() || record.Reason != "" {
					t.Errorf("the account is %q", record.Reason)
				}
				return
			}
			r.state(behalf.AccountNeedsReauth)
			if reason := r.record().Reason; !strings.Contains(reason, "was cut short") {
				t.Errorf("the reason is %q", reason)
			}
		})
	}
}

// die has a worker come to a point, and no further.
func (r *rig) die(point refresh.Point) {
	r.t.Helper()
	reached := make(chan struct{})
	w := r.worker(refresh.Config{Timeout: 3 * time.Second, Points: func(_ context.Context, at refresh.Point) {
		if at == point {
			close(reached)
			select {} // as good as dead
		}
	}})
	ctx, cancel := contextOf(r.t)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = w.Fresh(ctx, r.account) // whatever it says, nobody hears it
	}()
	select {
	case <-reached:
	case <-time.After(bustest.Patience):
		r.t.Error("the point was never reached")
	}
	cancel()
	<-gone
}
