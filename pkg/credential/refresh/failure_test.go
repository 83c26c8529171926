package refresh_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func contextOf(t testing.TB) (context.Context, context.CancelFunc) { //nolint:thelper // it fails nothing
	return context.WithCancel(t.Context())
}

// file is the app of the test with other traits.
func file(traits string) string {
	return `slug: vendor
name: Vendor
base_url: at_start
auth:
  type: oauth2
  authorize: /authorize
  token: /token
` + traits + `
  send: [{ header: Authorization, value: "Bearer {oauth_access_token}" }]
fields:
  oauth_access_token: { from: credential }
  base_url: { from: app }
`
}

const (
	graced = "  tokens: { grace_seconds: 3600 }"
	keeps  = "  refresh: keeps"
	words  = "  tokens: { errors: { grant: [token_revoked] } }"
)

// What passes leaves the account as it is. The service is left alone for a while, by all workers, and then asked again.
func TestWhatPasses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault oauthtest.Fault
		kind  fault.Kind
		file  string
		keeps bool
	}{
		"too many requests":            {oauthtest.Limited("7"), fault.Exhausted, "", false},
		"not available":                {oauthtest.Away(""), fault.Unavailable, "", false},
		"an error of the server":       {oauthtest.Refusal(http.StatusInternalServerError, "server_error"), fault.Unavailable, "", false},
		"a page instead of an answer":  {oauthtest.HTML(), fault.Unavailable, "", false},
		"our client is refused":        {oauthtest.Refusal(http.StatusUnauthorized, "invalid_client"), fault.Unavailable, "", false},
		"a cut, where tokens are kept": {oauthtest.CutAfter(), fault.Unavailable, file(keeps), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oauthtest.Config{File: c.file, Keeps: c.keeps})
			r.vendor.Fail(oauthtest.AtToken, c.fault)
			other := r.worker(refresh.Config{})
			_, err := r.first.Fresh(t.Context(), r.account)
			r.kind(err, c.kind)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("a value is in %v", err)
			}
			for _, w := range []*worker{other, r.first} {
				_, err := w.Fresh(t.Context(), r.account)
				r.kind(err, fault.Unavailable)
			}
			if got := r.vendor.Counts().Tokens; got != 1 {
				t.Errorf("the service was asked %d times in its pause", got)
			}
			r.state("")
			r.later(10 * time.Second)
			r.good(other.Fresh(t.Context(), r.account))
			r.state(behalf.AccountActive)
			if got := r.vendor.Counts(); got.Tokens != 2 || got.Reuses != 0 {
				t.Errorf("counts %+v", got)
			}
		})
	}
}

// What is final is never tried again, by no worker, and the account says so.
func TestWhatIsFinal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  oauthtest.Fault
		file   string
		state  behalf.AccountState
		reason string
		made   int
	}{
		"the consent is gone":                {oauthtest.Refusal(http.StatusBadRequest, "invalid_grant"), "", behalf.AccountNeedsReauth, "no longer accepts", 0},
		"the consent was taken back":         {oauthtest.Refusal(http.StatusBadRequest, "token_revoked"), file(words), behalf.AccountRevoked, "taken back", 0},
		"the answer is lost":                 {oauthtest.CutAfter(), "", behalf.AccountNeedsReauth, "may be spent", 1},
		"the request may or may not be done": {oauthtest.CutBefore(), "", behalf.AccountNeedsReauth, "may be spent", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oauthtest.Config{File: c.file})
			r.vendor.Fail(oauthtest.AtToken, c.fault)
			_, err := r.first.Fresh(t.Context(), r.account)
			r.kind(err, fault.NotFound)
			r.later(24 * time.Hour)
			for _, w := range r.workers(2, refresh.Config{}) {
				_, err := w.Fresh(t.Context(), r.account)
				r.kind(err, fault.NotFound)
			}
			r.counts(1, c.made, 0)
			r.state(c.state)
			if got := r.record().Reason; !strings.Contains(got, c.reason) || strings.Contains(got, "canary") {
				t.Errorf("the reason is %q", got)
			}
		})
	}
}

func TestAnAnswerThatComesTooLate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg   oauthtest.Config
		heals bool
	}{
		"to a service that spends at once":  {oauthtest.Config{}, false},
		"to a service with a grace":         {oauthtest.Config{File: file(graced), Grace: time.Hour}, true},
		"to a service with a grace no more": {oauthtest.Config{File: file(graced)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.cfg)
			release := make(chan struct{})
			t.Cleanup(sync.OnceFunc(func() { close(release) }))
			r.vendor.Fail(oauthtest.AtToken, oauthtest.Late(release))
			w := r.worker(refresh.Config{Timeout: 3 * time.Second})
			got, err := r.fresh(w)
			if c.heals {
				r.good(got, err)
				r.counts(2, 2, 1)
				r.state(behalf.AccountActive)
				return
			}
			r.kind(err, fault.NotFound)
			r.state(behalf.AccountNeedsReauth)
		})
	}
}

// A lost answer is asked for once more where the service allows it, and no second time.
func TestTheGraceIsUsedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{File: file(graced), Grace: time.Hour})
	r.vendor.Fail(oauthtest.AtToken, oauthtest.CutAfter(), oauthtest.CutAfter())
	_, err := r.fresh(r.first)
	r.kind(err, fault.NotFound)
	r.counts(2, 2, 1)
	r.state(behalf.AccountNeedsReauth)
}

func TestOddAnswersAreTaken(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]oauthtest.Fault{
		"without expires_in":       oauthtest.NoExpiry(),
		"without refresh_token":    oauthtest.NoRefreshToken(),
		"with a text for a number": oauthtest.Set("expires_in", "3600"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oauthtest.Config{File: file(keeps), Keeps: true})
			r.vendor.FailAlways(oauthtest.AtToken, f)
			r.good(r.first.Fresh(t.Context(), r.account))
			again := r.storedNow()
			if again.RefreshToken.Reveal() != r.granted.Refresh {
				t.Error("the refresh token is lost")
			}
			r.later(2 * time.Hour)
			c, err := r.first.Fresh(t.Context(), r.account)
			if err != nil || again.ExpiresAt.IsZero() != c.AccessToken().Equal(again.AccessToken()) {
				t.Errorf("the next is %v", err) // a token without an end is not refreshed before the service refuses it
			}
		})
	}
}

// The default says that tokens rotate, which is safe also with a service that keeps them: a token that is told again is
// no spent one.
func TestATokenThatIsKeptAgainstExpectation(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{Keeps: true})
	for range 3 {
		r.good(r.first.Fresh(t.Context(), r.account))
		r.later(2 * time.Hour)
	}
	r.counts(3, 3, 0)
	r.state(behalf.AccountActive)
}

func TestAnAccountThatCannotBeRefreshed(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	c, revision := r.stored()
	c.OAuthApp = "oa_gone"
	r.put(c, revision)
	_, err := r.first.Fresh(t.Context(), r.account)
	r.kind(err, fault.Unavailable) // the operator's to mend
	r.state("")

	c, revision = r.stored()
	c.RefreshToken = secret.String{}
	r.put(c, revision)
	r.first.cached.Forget(r.path())
	_, err = r.first.Fresh(t.Context(), r.account)
	r.kind(err, fault.NotFound)
	r.state(behalf.AccountNeedsReauth)

	r.account.ID = behalf.NewAccountID()
	_, err = r.first.Fresh(t.Context(), r.account)
	r.kind(err, fault.NotFound)
	r.counts(0, 0, 0)
}

// The store is away when the new token is there: it serves, no other worker refreshes, and it is stored in the end.
func TestANewTokenThatCannotBeStoredYet(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	away := &failing{}
	w := r.workerOn(refresh.Config{}, func(s credential.Store) credential.Store {
		away.Store = s
		return away
	}, nil)
	away.puts.Store(2)
	other := r.worker(refresh.Config{Wait: time.Millisecond})
	c, err := w.Fresh(t.Context(), r.account)
	r.good(c, err)
	again, err := w.Fresh(t.Context(), r.account)
	if err != nil || !again.AccessToken().Equal(c.AccessToken()) {
		t.Errorf("it does not serve: %v", err)
	}
	found, err := r.fresh(other)
	if err != nil || !found.AccessToken().Equal(c.AccessToken()) {
		t.Errorf("another worker has another: %v", err)
	}
	r.counts(1, 1, 0)
	bustest.Eventually(t, "the record says so", func() bool { return r.record().State == behalf.AccountActive })
}

// The user connects again while a refresh is under way: what the user did counts, whatever the refresh brings.
func TestANewerConnectionWins(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]oauthtest.Fault{
		"over a new token": {},
		"over a refusal":   oauthtest.Refusal(http.StatusBadRequest, "invalid_grant"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, oauthtest.Config{})
			r.vendor.Fail(oauthtest.AtToken, f)
			newer := r.vendor.Grant("abc-123")
			again := func() {
				_, revision := r.stored()
				r.put(credential.Credential{
					Fields: fields(newer.Access), RefreshToken: secret.New(newer.Refresh), ExpiresAt: newer.ExpiresAt,
				}, revision)
			}
			w := r.worker(refresh.Config{Points: func(_ context.Context, at refresh.Point) {
				if at == refresh.Told {
					again()
				}
			}})
			c, err := w.Fresh(t.Context(), r.account)
			if err != nil || c.AccessToken().Reveal() != newer.Access {
				t.Fatalf("got %v", err)
			}
			if got := r.storedNow(); got.AccessToken().Reveal() != newer.Access || got.RefreshToken.Reveal() != newer.Refresh {
				t.Error("the newer is lost")
			}
			if got := r.record(); !got.Usable() {
				t.Errorf("the account is %q", got.Reason)
			}
		})
	}
}

// deaf is the leases of whoever does not hear the answers to its writes.
type deaf struct {
	refresh.Leases

	left int
}

func (d *deaf) PutFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	got, err := d.Leases.PutFor(ctx, key, value, revision, ttl)
	if err == nil && strings.HasPrefix(key, "mark/") && d.left > 0 {
		d.left--
		return 0, fault.Wrap(fault.Unavailable, "test", errors.New("no answer"))
	}
	return got, err
}

// A mark that was written without an answer does not look like a refresh that was cut short.
func TestAMarkWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	w := r.workerOn(refresh.Config{}, nil, func(l refresh.Leases) refresh.Leases { return &deaf{l, 1} })
	r.good(r.fresh(w))
	r.counts(1, 1, 0)
}
