package connect_test

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func mapFS(slug, file string) fs.FS { return fstest.MapFS{slug + ".yaml": {Data: []byte(file)}} }

const link = "&connectLink=true"

func TestAUserConnectsByConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, b := w.token(), w.browser()
	done := b.get(b.consent(token, "jane", link).String())
	all := w.accounts()
	if done.status != 200 || !strings.Contains(done.body, "Vendor is connected") || !strings.Contains(done.body, "jane") || len(all) != 1 {
		t.Fatalf("%d %s, %v", done.status, done.body, all)
	}
	a := all[0]
	if a.Name != "jane" || a.App != "vendor" || !a.Usable() || len(a.Scopes) != 2 || a.Identity == "" || strings.Contains(a.Identity, "jane") {
		t.Errorf("%+v", a)
	}
	c := w.credential(a)
	if !w.vendor.Good(c.AccessToken().Reveal()) || !w.vendor.Live(c.RefreshToken.Reveal()) || c.ExpiresAt.IsZero() || c.Fields["oauth_uid"].Reveal() != "jane" {
		t.Errorf("the credential does not work: %+v", c)
	}
	if !a.RefreshAt.Before(c.ExpiresAt) || !a.RefreshAt.After(a.UpdatedAt) {
		t.Errorf("it is to be refreshed at %v, and ends at %v", a.RefreshAt, c.ExpiresAt)
	}
	if use := w.use(token); use.State != behalf.TokenUsed || use.Account != a.ID {
		t.Errorf("use %+v", use)
	}
	for _, seen := range w.vendor.Seen() {
		if seen.At == oauthtest.AtToken && seen.Params["code_verifier"] == "" {
			t.Error("no proof of PKCE is sent")
		}
	}
	if all := w.log.String() + done.body; strings.Contains(all, "canary") || strings.Contains(w.log.String(), token) {
		t.Errorf("a secret is told: %s", all)
	}
}

func TestTheBrowserGoesWhereTheTokenSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	back := func(c *behalf.ConnectToken) {
		c.Return = behalf.Return{SuccessURI: "https://app.example.com/ok?a=1&b=2", ErrorURI: "https://app.example.com/no"}
	}
	b := w.browser()
	if got := b.get(b.consent(w.token(back), "jane", link).String()).next(t); got != "https://app.example.com/ok?a=1&b=2" {
		t.Errorf("leads to %s", got)
	}
	// Whatever else is asked for is nobody's to say.
	token := w.token()
	b = w.browser()
	evil := "&success_redirect_uri=https://evil.example&error_redirect_uri=https://evil.example&redirect_uri=//evil.example&next=javascript:alert(1)"
	landed := b.get(b.consent(token, "jane", link, evil).String() + evil)
	if landed.status != 200 || strings.Contains(landed.body, "evil") || landed.header.Get("Location") != "" {
		t.Errorf("%d %s", landed.status, landed.body)
	}
}

func TestWhoSaysNoGoesBackToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deny := func(token string) answer {
		b := w.browser()
		to := b.do("POST", "/connect/start", b.entry(token, "vendor", link).form()).next(t)
		back, err := w.vendor.Deny(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		return b.get(back.String())
	}
	token := w.token(func(c *behalf.ConnectToken) { c.Return.ErrorURI = "https://app.example.com/no" })
	if got := deny(token).next(t); got != "https://app.example.com/no" {
		t.Errorf("leads to %s", got)
	}
	plain := w.token()
	page := deny(plain)
	if page.status != 422 || !strings.Contains(page.body, "consent was refused at Vendor") || !strings.Contains(page.body, "Try again") {
		t.Errorf("%d %s", page.status, page.body)
	}
	if use := w.use(plain); use.State != "" || use.Failures != 1 || use.Failure == "" || len(w.accounts()) != 0 {
		t.Errorf("use %+v", use)
	}
	b := w.browser()
	if done := b.get(b.consent(plain, "jane", link).String()); done.status != 200 || len(w.accounts()) != 1 {
		t.Errorf("the second try: %d %s", done.status, done.body)
	}
}

func TestAConsentIsOfItsBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, mine := w.token(), w.browser()
	back := mine.consent(token, "mallory", link).String()
	other := w.browser()
	if page := other.get(back); page.status != 403 || !strings.Contains(page.body, "not started in this browser") || len(w.accounts()) != 0 {
		t.Fatalf("another browser: %d %s", page.status, page.body)
	}
	changed, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []url.Values{{}, values("state", ""), values("state", "guess", "code", changed.Query().Get("code")), values("code", "x")} {
		if page := mine.get(behalf.CallbackPath + "?" + query.Encode()); page.status != 403 {
			t.Errorf("%v: %d", query, page.status)
		}
	}
	if page := mine.get(back); page.status != 200 || len(w.accounts()) != 1 {
		t.Fatalf("its own browser: %d %s", page.status, page.body)
	}
	if page := mine.get(back); page.status != 403 || len(w.accounts()) != 1 {
		t.Errorf("a replay: %d", page.status)
	}
}

func TestACookieOfAnotherConsentIsNoProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim, mallory := w.browser(), w.browser()
	victims, mallorys := victim.consent(w.token(), "victim", link), mallory.consent(w.token(), "mallory", link)
	here, err := url.Parse(w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	// Mallory puts the value of their own cookie under the name of the victim's.
	own := mallory.http.Jar.Cookies(here)[0].Value
	name := victim.http.Jar.Cookies(here)[0].Name
	mallory.http.Jar.SetCookies(here, []*http.Cookie{{Name: name, Value: own, Path: "/"}})
	if page := mallory.get(victims.String()); page.status != 403 || len(w.accounts()) != 0 {
		t.Errorf("%d %s", page.status, page.body)
	}
	if page := victim.get(mallorys.String()); page.status != 403 || len(w.accounts()) != 0 {
		t.Errorf("a consent that was begun elsewhere: %d", page.status)
	}
}

func TestATokenIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	one, two := w.browser(), w.browser()
	first, second := one.consent(token, "jane", link), two.consent(token, "john", link)
	if page := one.get(first.String()); page.status != 200 {
		t.Fatalf("%d", page.status)
	}
	if page := two.get(second.String()); page.status != 410 || !strings.Contains(page.body, "used already") || len(w.accounts()) != 1 {
		t.Errorf("%d %s", page.status, page.body)
	}
	if page := w.browser().entry(token, "vendor", link); page.status != 410 {
		t.Errorf("its page: %d", page.status)
	}
	if page := w.browser().do("POST", "/connect/start", values("token", token, "app", "vendor")); page.status != 410 {
		t.Errorf("another start: %d", page.status)
	}
	late := w.token(func(c *behalf.ConnectToken) { c.ExpiresAt = time.Now().Add(-time.Second) })
	for _, bad := range []string{late, "ctok_guess", "", strings.Repeat("x", 10_000)} {
		if page := w.browser().entry(bad, "vendor", link); page.status != 404 && page.status != 410 || strings.Contains(page.body, "xxx") {
			t.Errorf("%.20q: %d", bad, page.status)
		}
	}
}

func TestATokenEndsWithItsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, b := w.token(), w.browser()
	page, back := b.entry(token, "keyed", link), b.consent(token, "jane", link)
	w.dev.mu.Lock()
	w.dev.deleted = user
	w.dev.mu.Unlock()
	form := page.form()
	form.Set("field_region", "eu")
	form.Set("field_api_key", w.vendor.Grant("jane").Access)
	for what, a := range map[string]answer{
		"the way back": b.get(back.String()), "the form": b.do("POST", "/connect/keys", form), "the page": b.entry(token, "vendor", link),
		"another start": b.do("POST", "/connect/start", values("token", token, "app", "vendor")),
	} {
		if a.status != 404 || !strings.Contains(a.body, "This link has expired") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	_, err := w.hand(token, "keyed", w.vendor.Grant("jane").Access)
	wantKind(t, err, fault.Conflict)
	if len(w.accounts()) != 0 {
		t.Errorf("%v", w.accounts())
	}
}

func TestConnectingAgainHealsInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	b.get(b.consent(w.token(), "jane", link).String())
	first := w.accounts()[0]
	broken := first
	broken.State, broken.Reason = behalf.AccountNeedsReauth, "gone"
	if err := w.dev.PutAccount(t.Context(), broken, 1); err != nil {
		t.Fatal(err)
	}
	before := w.credential(first).AccessToken()
	b.get(b.consent(w.token(), "jane", link).String())
	healed := w.accounts()
	if len(healed) != 1 || healed[0].ID != first.ID || !healed[0].Usable() || healed[0].Reason != "" || w.credential(healed[0]).AccessToken().Equal(before) {
		t.Fatalf("%+v", healed)
	}
	b.get(b.consent(w.token(), "john", link).String())
	if n := len(w.accounts()); n != 2 {
		t.Errorf("%d accounts of two people", n)
	}
	// Named, it must be of the same person.
	named := "&accountId=" + string(first.ID)
	if page := b.get(b.consent(w.token(), "john", link, named).String()); page.status != 422 || !strings.Contains(page.body, "another account of Vendor") {
		t.Errorf("another person: %d %s", page.status, page.body)
	}
	if page := b.get(b.consent(w.token(), "jane", link, named).String()); page.status != 200 || len(w.accounts()) != 2 {
		t.Errorf("named: %d", page.status)
	}
	strangers := w.token(func(c *behalf.ConnectToken) { c.User = "xyz-9" })
	for _, id := range []string{string(first.ID), "apn_nothing", "../x"} {
		if page := b.entry(strangers, "vendor", link, "&accountId="+url.QueryEscape(id)); page.status != 400 || strings.Contains(page.body, "jane") {
			t.Errorf("%s of another user: %d", id, page.status)
		}
	}
}

func TestKeysAreTriedBeforeTheyAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, b := w.token(), w.browser()
	page := b.entry(token, "keyed", link)
	for _, want := range []string{"Keyed &amp; Co", `for="field_api_key"`, `type="password"`, "Such as &lt;eu&gt;", "required", "(may be empty)"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("no %s in %s", want, page.body)
		}
	}
	send := func(key string) answer {
		form := page.form()
		form.Set("field_region", `"><script>alert(1)</script>`)
		form.Set("field_api_key", key)
		return b.do("POST", "/connect/keys", form)
	}
	bad := send("key-canary-wrong")
	if bad.status != 422 || !strings.Contains(bad.body, "does not accept this credential") || strings.Contains(bad.body, "key-canary") || strings.Contains(bad.body, "<script>alert") || len(w.accounts()) != 0 {
		t.Fatalf("%d %s", bad.status, bad.body)
	}
	if form := bad.form(); !strings.Contains(form.Get("field_region"), "alert(1)") {
		t.Errorf("what is no secret has to be filled in again: %v", form)
	}
	if missing := b.do("POST", "/connect/keys", page.form()); missing.status != 422 || !strings.Contains(missing.body, "Region is missing") {
		t.Errorf("%d %s", missing.status, missing.body)
	}
	good := w.vendor.Grant("jane").Access
	if done := send(good); done.status != 200 || len(w.accounts()) != 1 || w.credential(w.accounts()[0]).Fields["api_key"].Reveal() != good {
		t.Errorf("%d %s", done.status, done.body)
	}
	if again := send(good); again.status != 410 {
		t.Errorf("a second use: %d", again.status)
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Errorf("log: %s", w.log)
	}
}

func TestATokenIsNoWayToTryOutKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, b := w.token(), w.browser()
	form := b.entry(token, "keyed", link).form()
	form.Set("field_region", "eu")
	form.Set("field_api_key", "guess")
	for range 20 {
		b.do("POST", "/connect/keys", form)
	}
	calls := w.vendor.Counts().Calls
	if page := b.do("POST", "/connect/keys", form); page.status != 410 || w.vendor.Counts().Calls != calls {
		t.Errorf("the 21st: %d", page.status)
	}
}

func TestAnAddressOfACustomerStaysInItsDomain(t *testing.T) {
	t.Parallel()
	reached := ""
	w := newWorld(t, func(_ *connect.Config, d *connect.Deps) {
		d.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			reached = r.URL.Host
			return httptest.NewRecorder().Result(), nil
		})}
	})
	b := w.browser()
	for _, bad := range []string{
		"evil.example/", "evil.example#", "a.b", "a@evil", "evil.example?", `evil\`, "A B", "127.0.0.1:80/", "xn--\u00e9", "a\r\nHost: evil", "{api_key}", strings.Repeat("a", 64), "..", "%2e",
	} {
		form := b.entry(w.token(), "tenant", link).form()
		form.Set("field_subdomain", bad)
		form.Set("field_api_key", "key-canary")
		if page := b.do("POST", "/connect/keys", form); page.status != 422 || len(w.accounts()) != 0 || strings.Contains(page.body, "key-canary") {
			t.Errorf("%q: %d", bad, page.status)
		}
		if reached != "" {
			t.Fatalf("%q reached %s", bad, reached)
		}
	}
	form := b.entry(w.token(), "tenant", link).form()
	form.Set("field_subdomain", "acme")
	form.Set("field_api_key", "key")
	if page := b.do("POST", "/connect/keys", form); page.status != 200 || reached != "acme.tenant.example" {
		t.Errorf("%d, reached %q", page.status, reached)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoOtherSiteSendsOurForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, b := w.token(), w.browser()
	form := b.entry(token, "keyed", link).form()
	form.Set("field_region", "eu")
	form.Set("field_api_key", w.vendor.Grant("mallory").Access)
	for _, path := range []string{"/connect/keys", "/connect/start", "/connect/status"} {
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
			{"Sec-Fetch-Site", "", "Origin", "null"},
		} {
			page := b.do("POST", path, form, headers...)
			if page.status != 403 || len(w.accounts()) != 0 || !strings.Contains(page.body, "<h1>This was sent by another site</h1>") {
				t.Errorf("%s with %v: %d %s", path, headers, page.status, page.body)
			}
			if h := page.header; h.Get("X-Frame-Options") != "DENY" || strings.Contains(page.body, token) {
				t.Errorf("%s with %v: %v", path, headers, h)
			}
		}
		if page := b.get(path + "?" + form.Encode()); page.status != 405 {
			t.Errorf("GET %s: %d", path, page.status)
		}
	}
}

func TestOnlyPagesOfTheTokenMayFrameIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	origins := func(c *behalf.ConnectToken) {
		c.Return.Origins = []string{"https://app.example.com", "https://b.example.com:8443"}
	}
	framed := w.browser().entry(w.token(origins), "vendor")
	csp := framed.header.Get("Content-Security-Policy")
	if !strings.HasSuffix(csp, "; frame-ancestors https://app.example.com https://b.example.com:8443") || framed.header.Get("X-Frame-Options") != "" {
		t.Errorf("%s %v", csp, framed.header)
	}
	if !strings.Contains(framed.body, `"origins":["https://app.example.com","https://b.example.com:8443"]`) || !strings.Contains(framed.body, `target="_blank"`) {
		t.Errorf("%s", framed.body)
	}
	for name, page := range map[string]answer{
		"without origins":  w.browser().entry(w.token(), "vendor"),
		"an unknown token": w.browser().entry("ctok_x", "vendor"),
		"a callback":       w.browser().get(behalf.CallbackPath + "?state=x"),
	} {
		h := page.header
		csp := h.Get("Content-Security-Policy")
		if !strings.HasSuffix(csp, "; frame-ancestors 'none'") || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %s", name, csp)
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || !strings.HasPrefix(csp, "default-src 'none'; script-src 'nonce-") {
			t.Errorf("%s: %s", name, csp)
		}
		if h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, h)
		}
	}
}

func TestAFrameHearsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(func(c *behalf.ConnectToken) { c.Return.Origins = []string{"https://app.example.com"} })
	state := func() answer { return w.browser().do("POST", "/connect/status", values("token", token)) }
	if a := state(); !strings.Contains(a.body, `"state":"open"`) {
		t.Errorf("%s", a.body)
	}
	popup := w.browser()
	done := popup.get(popup.consent(token, "jane").String())
	if a := state(); !strings.Contains(a.body, `"state":"used","account":"`+string(w.accounts()[0].ID)) {
		t.Errorf("%s", a.body)
	}
	if done.status != 200 || !strings.Contains(done.body, "close this window") {
		t.Errorf("the window: %d %s", done.status, done.body)
	}
	if a := w.browser().do("POST", "/connect/status", values("token", "ctok_x")); !strings.Contains(a.body, `"state":"gone"`) {
		t.Errorf("%s", a.body)
	}
}

func TestWhatServicesSayIsNoMarkup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const evil = `</script><script>alert("x")</script><img src=x onerror=alert(1)>`
	b := w.browser()
	done := b.get(b.consent(w.token(func(c *behalf.ConnectToken) { c.Return.Origins = []string{"https://app.example.com"} }), evil).String())
	if done.status != 200 || w.accounts()[0].Name != evil {
		t.Fatalf("%d %+v", done.status, w.accounts())
	}
	odd := "&error=<script>alert(1)</script>&error_description=<script>alert(1)</script>"
	start := b.do("POST", "/connect/start", b.entry(w.token(), "vendor", link).form())
	to, err := url.Parse(start.next(t))
	if err != nil {
		t.Fatal(err)
	}
	failed := b.get(behalf.CallbackPath + "?state=" + url.QueryEscape(to.Query().Get("state")) + odd)
	if failed.status != 422 {
		t.Errorf("%d", failed.status)
	}
	for _, page := range []answer{done, failed, b.entry(w.token(), `"><script>alert(1)</script>`), b.entry(w.token(), "vendor", "&oauthAppId=%22%3E%3Cscript%3Ealert(1)")} {
		if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img") || strings.Contains(page.body, `</script><script>a`) {
			t.Errorf("%s", page.body)
		}
	}
}

func TestAProjectsOwnClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, word := w.vendor.Client()
	w.clients.own = []behalf.OAuthApp{
		{ID: "oa_1", Project: project, App: "vendor", ClientID: id, Scopes: []string{"read"}, CreatedAt: time.Unix(1, 0)},
		{ID: "oa_2", Project: "proj_theirs", App: "vendor", ClientID: id, CreatedAt: time.Unix(2, 0)},
	}
	w.clients.words = map[behalf.OAuthAppID]secret.String{"oa_1": word}
	w.clients.shipped = oauth.Registration{}
	b := w.browser()
	b.get(b.consent(w.token(), "jane", link).String())
	if a := w.accounts(); len(a) != 1 || a[0].OAuthApp != "oa_1" || w.credential(a[0]).OAuthApp != "oa_1" || len(a[0].Scopes) != 1 {
		t.Errorf("%+v", a)
	}
	for query, want := range map[string]int{"&oauthAppId=oa_1": 200, "&oauthAppId=oa_2": 400, "&oauthAppId=oa_none": 400} {
		if page := b.entry(w.token(), "vendor", link, query); page.status != want {
			t.Errorf("%s: %d", query, page.status)
		}
	}
	bound := w.token(func(c *behalf.ConnectToken) { c.App, c.OAuthApp = "vendor", "oa_1" })
	if page := b.entry(bound, "", link); page.status != 200 {
		t.Errorf("bound: %d", page.status)
	}
	for _, page := range []answer{b.entry(bound, "keyed", link), b.entry(bound, "vendor", "&oauthAppId=oa_2"), b.entry(w.token(), "", link), b.entry(w.token(), "nope", link)} {
		if page.status != 400 {
			t.Errorf("%d %s", page.status, page.body)
		}
	}
	w.clients.own = nil
	if page := b.entry(w.token(), "vendor", link); page.status != 404 || !strings.Contains(page.body, "behalf oauth-apps create vendor") {
		t.Errorf("without a client: %d %s", page.status, page.body)
	}
}

func TestTheServiceRefusesTheCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, b := w.token(), w.browser()
	back := b.consent(token, "jane", link)
	w.vendor.Fail(oauthtest.AtToken, oauthtest.Refusal(400, "invalid_grant"))
	if page := b.get(back.String()); page.status != 422 || len(w.accounts()) != 0 || w.use(token).State != "" {
		t.Errorf("%d %s", page.status, page.body)
	}
	back = b.consent(token, "jane", link)
	w.vendor.Fail(oauthtest.AtAPI, oauthtest.HTML())
	if page := b.get(back.String()); page.status != 200 || len(w.accounts()) != 1 {
		t.Errorf("a test that says nothing: %d %s", page.status, page.body)
	}
}

func TestWhatCannotBeKeptIsNot(t *testing.T) {
	t.Parallel()
	puts := &counting{Store: credentialtest.NewMemory()}
	w := newWorld(t, func(_ *connect.Config, d *connect.Deps) {
		env := d.Environments[dev]
		env.Credentials = puts
		d.Environments[dev] = env
	})
	token, b := w.token(), w.browser()
	back := b.consent(token, "jane", link)
	w.dev.broken = fault.New(fault.Exhausted, "memory", "there is no room")
	if page := b.get(back.String()); page.status != 503 || w.use(token).State != "" {
		t.Fatalf("%d %s", page.status, page.body)
	}
	if puts.kept != 0 || puts.puts == 0 {
		t.Errorf("%d puts, %d of them stay though nothing leads to them", puts.puts, puts.kept)
	}
}

// counting is a credential store that counts what lies in it.
type counting struct {
	credential.Store

	puts, kept int
}

func (c *counting) Put(ctx context.Context, p credential.Path, v credential.Credential, r credential.Revision) (credential.Revision, error) {
	c.puts++
	c.kept++
	return c.Store.Put(ctx, p, v, r)
}

func (c *counting) Delete(ctx context.Context, p credential.Path) error {
	c.kept--
	return c.Store.Delete(ctx, p)
}

func TestAWebhookIsToldWithoutACredential(t *testing.T) {
	t.Parallel()
	told := make(chan string, 4)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told <- string(body)
	}))
	t.Cleanup(hook.Close)
	w := newWorld(t)
	token, b := w.token(func(c *behalf.ConnectToken) { c.Return.WebhookURI = hook.URL }), w.browser()
	back := b.consent(token, "jane", link)
	w.vendor.Fail(oauthtest.AtToken, oauthtest.Refusal(400, "invalid_grant"))
	b.get(back.String())
	if news := <-told; !strings.Contains(news, `"event":"CONNECTION_ERROR"`) || !strings.Contains(news, `"error":"Vendor no longer`) || !strings.Contains(news, token) {
		t.Errorf("%s", news)
	}
	b.get(b.consent(token, "jane", link).String())
	news := <-told
	for _, want := range []string{`"event":"CONNECTION_SUCCESS"`, `"environment":"development"`, `"external_id":"abc-123"`, string(w.accounts()[0].ID), `"name_slug":"vendor"`} {
		if !strings.Contains(news, want) {
			t.Errorf("no %s in %s", want, news)
		}
	}
	if strings.Contains(news, "canary") || strings.Contains(news, `"oauth_`) {
		t.Errorf("a credential in %s", news)
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"https://behalf.example.com": "__Host-behalf_connect_", "": "behalf_connect_"} {
		w := newWorld(t, func(c *connect.Config, _ *connect.Deps) {
			if base != "" {
				c.URL = base
			}
		})
		b := w.browser()
		b.http.Jar = nil
		start := b.do("POST", "/connect/start", b.entry(w.token(), "vendor", link).form())
		cookie := start.header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, want) || !strings.Contains(cookie, "Path=/; Max-Age=900; HttpOnly;") || !strings.HasSuffix(cookie, "SameSite=Lax") || strings.Contains(cookie, "Secure") != (base != "") || strings.Contains(cookie, "Domain") {
			t.Errorf("%s", cookie)
		}
	}
}
