package connect_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/web"
)

// TestNoPageTellsACanary goes every way through the pages, framed and unframed, well and badly. Whatever the vendor gives out
// is a canary, and so are the keys that are typed: pages, frames, webhooks, records and the log hold none of them.
func TestNoPageTellsACanary(t *testing.T) {
	t.Parallel()
	news := &buffer{}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(news, r.Body) }))
	t.Cleanup(hook.Close)
	w := newWorld(t, func(c *connect.Config, _ *connect.Deps) { c.PerAddress = web.Rate{PerSecond: 1e6, Burst: 1e6} })
	records := &buffer{}
	every := func(c *behalf.ConnectToken) {
		c.Return = behalf.Return{WebhookURI: hook.URL, Origins: []string{"https://app.example.com"}}
	}
	ways := 0
	for _, more := range []string{link, "", "&hideClose=true"} {
		for _, fail := range []func(){
			func() {},
			func() { w.vendor.Fail(oauthtest.AtToken, oauthtest.Refusal(400, "invalid_grant")) },
			func() { w.vendor.Fail(oauthtest.AtToken, oauthtest.Refusal(401, "invalid_client")) },
			func() { w.vendor.Fail(oauthtest.AtToken, oauthtest.HTML()) },
			func() { w.vendor.Fail(oauthtest.AtToken, oauthtest.Away("1")) },
			func() { w.vendor.Fail(oauthtest.AtToken, oauthtest.CutAfter()) },
			func() { w.vendor.Fail(oauthtest.AtAPI, oauthtest.HTML()) },
			func() { w.vendor.Fail(oauthtest.AtAPI, oauthtest.Limited("1")) },
			func() { w.vendor.Fail(oauthtest.AtAPI, oauthtest.CutAfter()) },
			func() { w.vendor.Fail(oauthtest.AtAPI, oauthtest.Refusal(403, "canary")) },
		} {
			ways++
			token, b := w.token(every), w.browser()
			back := b.consent(token, "jane", more).String()
			w.record(t, records)
			fail()
			b.get(back)
			b.get(back)
			b.do("POST", "/connect/status", values("token", token))
			b.entry(token, "vendor", more)
			w.vendor.Heal(oauthtest.AtToken)
			w.vendor.Heal(oauthtest.AtAPI)
		}
		for _, key := range []string{"key-canary-wrong", "key-canary\x00", strings.Repeat("key-canary", 9000), w.vendor.Grant("jane").Access} {
			ways++
			token, b := w.token(every), w.browser()
			form := b.entry(token, "keyed", more).form()
			form.Set("field_region", "eu")
			form.Set("field_api_key", key)
			b.do("POST", "/connect/keys", form)
			b.do("POST", "/connect/keys", form)
			if _, err := w.hand(w.token(every), "keyed", key); err != nil {
				_, _ = io.WriteString(w.said, err.Error())
			}
		}
	}
	w.record(t, records)
	w.pages.Wait()
	for place, text := range map[string]string{"the pages": w.said.String(), "the webhooks": news.String(), "the records": records.String(), "the log": w.log.String()} {
		if at := strings.Index(text, "canary"); at >= 0 {
			t.Errorf("a canary in %s: …%q…", place, text[max(0, at-300):min(len(text), at+60)])
		}
		if text == "" {
			t.Errorf("nothing was in %s", place)
		}
	}
	if n := strings.Count(w.said.String(), "\n"); n < ways || len(w.accounts()) == 0 {
		t.Errorf("%d answers of %d ways, %d accounts", n, ways, len(w.accounts()))
	}
}

// record keeps what lies in the stores beside the credentials.
func (w *world) record(t *testing.T, into io.Writer) {
	t.Helper()
	w.dev.mu.Lock()
	defer w.dev.mu.Unlock()
	if err := json.NewEncoder(into).Encode([]any{w.dev.tokens, w.dev.consents, w.dev.accounts}); err != nil {
		t.Error(err)
	}
}

// An address that cannot be reached is in the error of whoever tried, and a service may ask for its key there.
func TestAnErrorOfTheWayTellsNoKey(t *testing.T) {
	t.Parallel()
	const key = "key-canary-1"
	w := newWorld(t, func(_ *connect.Config, d *connect.Deps) {
		d.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return nil, errors.New("cannot send " + r.Header.Get("Authorization") + " to " + r.URL.String())
		})}
	})
	token, b := w.token(), w.browser()
	form := b.entry(token, "tenant", link).form()
	form.Set("field_subdomain", "acme")
	form.Set("field_api_key", key)
	page := b.do("POST", "/connect/keys", form)
	_, err := w.hand(token, "tenant", "", func(k *connect.Keys) { k.Fields = words("subdomain", "acme", "api_key", key) })
	if page.status != 503 || err == nil || strings.Contains(page.body+err.Error()+w.log.String(), key) || !strings.Contains(w.log.String(), "cannot send") {
		t.Errorf("%d %s, %v, log %s", page.status, page.body, err, w.log)
	}
}
