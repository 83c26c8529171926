package connect_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func words(pairs ...string) map[string]secret.String {
	fields := map[string]secret.String{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = secret.New(pairs[i+1])
	}
	return fields
}

// hand hands keys over, without a page.
func (w *world) hand(token, app, key string, change ...func(*connect.Keys)) (behalf.Account, error) {
	k := connect.Keys{Token: secret.New(token), App: behalf.AppSlug(app), Fields: words("region", "eu", "api_key", key)}
	for _, f := range change {
		f(&k)
	}
	return w.pages.Connect(w.t.Context(), k)
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) || strings.Contains(fault.Safe(err), "canary") {
		t.Errorf("%v, want kind %s", err, kind)
	}
}

func TestAProgramHandsKeysOver(t *testing.T) {
	t.Parallel()
	told := make(chan string, 4)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	t.Cleanup(hook.Close)
	w := newWorld(t)
	token := w.token(func(c *behalf.ConnectToken) { c.Return.WebhookURI = hook.URL })
	_, err := w.hand(token, "keyed", "key-canary-wrong")
	wantKind(t, err, fault.Invalid)
	if use := w.use(token); use.State != "" || use.Failures != 1 || len(w.accounts()) != 0 {
		t.Errorf("after a wrong key: %+v", use)
	}
	good := w.vendor.Grant("jane").Access
	a, err := w.hand(token, "keyed", good)
	if err != nil || a.Name != "jane" || a.User != user || len(w.accounts()) != 1 || w.credential(a).Fields["api_key"].Reveal() != good {
		t.Fatalf("%+v, %v", a, err)
	}
	if use := w.use(token); use.State != behalf.TokenUsed || use.Account != a.ID {
		t.Errorf("use %+v", use)
	}
	_, err = w.hand(token, "keyed", good)
	wantKind(t, err, fault.Conflict)
	w.pages.Wait()
	for range 2 {
		if news := <-told; strings.Contains(news, "canary") || !strings.Contains(news, token) {
			t.Errorf("%s", news)
		}
	}
	if strings.Contains(w.log.String(), "canary") || strings.Contains(w.log.String(), token) {
		t.Errorf("log: %s", w.log)
	}
}

func TestAProgramHealsAnAccountInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.hand(w.token(), "keyed", w.vendor.Grant("jane").Access)
	if err != nil {
		t.Fatal(err)
	}
	broken := first
	broken.State, broken.Reason = behalf.AccountNeedsReauth, "gone"
	if err := w.dev.PutAccount(t.Context(), broken, 1); err != nil {
		t.Fatal(err)
	}
	again := func(k *connect.Keys) { k.Account, k.Name = first.ID, "Mine" }
	healed, err := w.hand(w.token(), "keyed", w.vendor.Grant("jane").Access, again)
	if err != nil || healed.ID != first.ID || !healed.Usable() || healed.Name != "Mine" || len(w.accounts()) != 1 {
		t.Errorf("%+v, %v", healed, err)
	}
	_, err = w.hand(w.token(), "keyed", w.vendor.Grant("john").Access, again)
	wantKind(t, err, fault.Invalid) // it is another person's
	strangers := w.token(func(c *behalf.ConnectToken) { c.User = "xyz-9" })
	_, theirs := w.hand(strangers, "keyed", "key", again)
	_, never := w.hand(strangers, "keyed", "key", func(k *connect.Keys) { k.Account = "apn_never" })
	_, other := w.hand(w.token(), "tenant", "key", again, func(k *connect.Keys) { k.Fields = words("subdomain", "a", "api_key", "x") })
	for who, err := range map[string]error{"another user's": theirs, "one that never was": never, "of another app": other} {
		if wantKind(t, err, fault.NotFound); fault.Safe(err) != fault.Safe(never) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if use := w.use(strangers); use.Failures != 0 {
		t.Errorf("use %+v", use)
	}
}

func TestOfManyProgramsOneUsesTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, good := w.token(), w.vendor.Grant("jane").Access
	release := make(chan struct{})
	w.vendor.FailAlways(oauthtest.AtAPI, oauthtest.Slow(release)) // whoever has claimed the token waits here
	var connected, refused atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch _, err := w.hand(token, "keyed", good); {
			case err == nil:
				connected.Add(1)
			case fault.Is(err, fault.Conflict):
				if refused.Add(1) == 7 {
					close(release)
				}
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if connected.Load() != 1 || len(w.accounts()) != 1 {
		t.Errorf("%d connected, %d refused, %d accounts", connected.Load(), refused.Load(), len(w.accounts()))
	}
}

func TestWhatAProgramMayNotSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	bound := w.token(func(c *behalf.ConnectToken) { c.App = "tenant" })
	late := w.token(func(c *behalf.ConnectToken) { c.ExpiresAt = time.Now().Add(-time.Second) })
	fields := func(pairs ...string) func(*connect.Keys) {
		return func(k *connect.Keys) { k.Fields = words(pairs...) }
	}
	for name, c := range map[string]struct {
		token, app string
		kind       fault.Kind
		change     func(*connect.Keys)
	}{
		"an app of consents":    {token, "vendor", fault.Invalid, fields()},
		"an unknown app":        {token, "nothing", fault.Invalid, fields()},
		"no app":                {token, "", fault.Invalid, fields()},
		"another app":           {bound, "keyed", fault.Invalid, fields("region", "eu", "api_key", "canary")},
		"too few fields":        {token, "keyed", fault.Invalid, fields("region", "eu")},
		"fields it has not":     {token, "keyed", fault.Invalid, fields("region", "eu", "api_key", "canary", "canary_field", "x")},
		"characters":            {token, "keyed", fault.Invalid, fields("region", "eu", "api_key", "canary\x00")},
		"too much":              {token, "keyed", fault.Invalid, fields("region", "eu", "api_key", strings.Repeat("canary", 10_000))},
		"a domain that is none": {token, "tenant", fault.Invalid, fields("subdomain", "evil.example/", "api_key", "canary")},
		"an unknown token":      {"ctok_guess", "keyed", fault.Conflict, fields("region", "eu", "api_key", "canary")},
		"an expired token":      {late, "keyed", fault.Conflict, fields("region", "eu", "api_key", "canary")},
	} {
		if _, err := w.hand(c.token, c.app, "", c.change); !fault.Is(err, c.kind) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.vendor.Fail(oauthtest.AtAPI, oauthtest.Away("1"))
	_, err := w.hand(token, "keyed", w.vendor.Grant("jane").Access)
	wantKind(t, err, fault.Unavailable)
	if len(w.accounts()) != 0 {
		t.Errorf("something was kept: %v", w.accounts())
	}
	if _, err := w.hand(token, "keyed", w.vendor.Grant("jane").Access); err != nil {
		t.Errorf("after all this the token is not good: %v", err)
	}
}
