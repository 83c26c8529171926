package refresh_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
)

// becomes is what an answer makes of an account whose refresh tokens rotate.
type becomes struct {
	kind   fault.Kind // of the error. 0: there is a new token
	state  behalf.AccountState
	lives  time.Duration // of the new token. 0: nobody knows
	scopes []string
	old    bool // the refresh token stays
	made   int  // tokens that the service made
	again  int  // requests to it by two workers, two hours later
}

// Each answer that token endpoints are known to give, and what is stored and tried after it.
func TestAnswersToARefresh(t *testing.T) {
	t.Parallel()
	never, all := make(chan struct{}), []string{"read", "write"}
	const lasts, active, tenYears = time.Hour, behalf.AccountActive, 3650 * 24 * time.Hour
	for name, c := range map[string]struct {
		fault oauthtest.Fault
		want  becomes
	}{
		"no expires_in":           {oauthtest.NoExpiry(), becomes{state: active, scopes: all, made: 1, again: 0}},
		"expires_in is a text":    {oauthtest.Set("expires_in", "3600"), becomes{state: active, lives: lasts, scopes: all, made: 1, again: 1}},
		"expires_in is 0":         {oauthtest.Set("expires_in", 0), becomes{state: active, scopes: all, made: 1, again: 0}},
		"expires_in is negative":  {oauthtest.Set("expires_in", -1), becomes{state: active, scopes: all, made: 1, again: 0}},
		"expires_in is 10^12":     {oauthtest.Set("expires_in", int64(1_000_000_000_000)), becomes{state: active, lives: tenYears, scopes: all, made: 1, again: 0}},
		"no refresh_token":        {oauthtest.NoRefreshToken(), becomes{state: active, lives: lasts, scopes: all, old: true, made: 1, again: 1}},
		"fewer scopes":            {oauthtest.Set("scope", "read"), becomes{state: active, lives: lasts, scopes: []string{"read"}, made: 1, again: 1}},
		"bearer in small letters": {oauthtest.Set("token_type", "bearer"), becomes{state: active, lives: lasts, scopes: all, made: 1, again: 1}},
		"a lie about gzip":        {oauthtest.GzipLie(), becomes{state: active, lives: lasts, scopes: all, made: 1, again: 1}},
		"200 with invalid_grant":  {oauthtest.Refusal(http.StatusOK, "invalid_grant"), becomes{kind: fault.NotFound, state: behalf.AccountNeedsReauth, old: true}},
		"200 with another error":  {oauthtest.Refusal(http.StatusOK, "who_knows"), becomes{kind: fault.Unavailable, old: true, again: 1}},
		"200 with HTML":           {oauthtest.HTML(), becomes{kind: fault.Unavailable, old: true, again: 1}},
		"302":                     {oauthtest.Redirect(http.StatusFound, "/api/me"), becomes{kind: fault.Unavailable, old: true, again: 1}},
		"a chunk that stalls":     {oauthtest.Stalled(never), becomes{kind: fault.NotFound, state: behalf.AccountNeedsReauth, old: true, made: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oauthtest.Config{})
			first, other := r.worker(refresh.Config{Timeout: 5 * time.Second}), r.worker(refresh.Config{})
			r.vendor.Fail(oauthtest.AtToken, c.fault)
			got, err := first.Fresh(t.Context(), r.account)
			if c.want.kind != 0 {
				r.kind(err, c.want.kind)
			} else {
				r.good(got, err)
			}
			r.counts(1, c.want.made, 0)
			r.state(c.want.state)
			r.keeps(c.want)
			r.later(2 * time.Hour)
			for _, w := range []*worker{first, other} {
				_, _ = r.fresh(w) // what comes of it is asked of the service
			}
			if asked := r.vendor.Counts(); asked.Tokens != 1+c.want.again || asked.Calls != 0 {
				t.Errorf("two hours later the service was asked %d times, want %d", asked.Tokens-1, c.want.again)
			}
		})
	}
}

// keeps holds what is stored against what an answer was to make of it.
func (r *rig) keeps(want becomes) {
	r.t.Helper()
	kept := r.storedNow()
	if (kept.RefreshToken.Reveal() == r.granted.Refresh) != want.old {
		r.t.Errorf("the refresh token of before: %v, want %v", !want.old, want.old)
	}
	if want.kind != 0 {
		return
	}
	ends := time.Time{}
	if want.lives != 0 {
		ends = r.now().Add(want.lives)
	}
	if off := kept.ExpiresAt.Sub(ends); off < -time.Second || off > time.Second || !slices.Equal(kept.Scopes, want.scopes) {
		r.t.Errorf("it ends at %s with %v, want %s with %v", kept.ExpiresAt, kept.Scopes, ends, want.scopes)
	}
	if record := r.record(); !slices.Equal(record.Scopes, want.scopes) || !record.ExpiresAt.Equal(kept.ExpiresAt) {
		r.t.Errorf("the record says %v until %s", record.Scopes, record.ExpiresAt)
	}
}
