//go:build integration

package test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// pageCall is how a page of an application calls the API with a connect token, with the headers of the usual clients.
const pageCall = `fetch("http://%s/v1/connect/%s", { method: %q, body: %s, headers: { authorization: "Bearer %s",
	"content-type": "application/json", "x-pd-sdk-version": "1.8.0", "x-fern-language": "JavaScript" } })
	.then(async (r) => r.status + " " + await r.text(), () => "the browser says no")`

// asPage calls as the page would, and gives what the page may read.
func (h *home) asPage(c *chromium, page, token, method, path, body string) string {
	h.t.Helper()
	sent := "undefined"
	if body != "" {
		quoted, _ := json.Marshal(body)
		sent = string(quoted)
	}
	var said string
	if text := c.eval(page, fmt.Sprintf(pageCall, h.addr, path, method, sent, token)); json.Unmarshal([]byte(text), &said) != nil {
		h.t.Errorf("%s %s: the page cannot call: %s", method, path, text)
	}
	return said
}

// callsByPages is what a real browser lets the pages of two origins do with the token of one.
func callsByPages(t *testing.T, h *home, c *chromium) {
	t.Helper()
	application, stranger := framing(t), framing(t)
	token, _ := h.connectToken(`{"external_user_id":"paged","allowed_origins":["` + application + `"]}`)
	mine, other := c.open(application+"/app?src=about:blank"), c.open(stranger+"/app?src=about:blank")
	for _, page := range []string{mine, other} {
		c.until(page, `document.readyState === "complete"`)
	}
	if got := h.asPage(c, mine, token, "GET", "accounts?app=stripe", ""); !strings.HasPrefix(got, `200 {"data":[]`) {
		t.Errorf("the application's page reads %s", got)
	}
	if got := h.asPage(c, mine, token, "GET", "accounts?include_credentials=true", ""); !strings.HasPrefix(got, "403 ") {
		t.Errorf("who asks for credentials reads %s", got)
	}
	key := `{"app_slug":"stripe","cfmap_json":"{\"api_key\":\"sk_good\"}","connect_token":"` + token + `"}`
	for _, call := range [][3]string{{"GET", "accounts", ""}, {"POST", "accounts", key}, {"DELETE", "users/paged", ""}} {
		if got := h.asPage(c, other, token, call[0], call[1], call[2]); got != "the browser says no" {
			t.Errorf("a stranger's page does %v and reads %s", call, got)
		}
	}
	if all := h.accountsOf("paged"); all != "" {
		t.Errorf("a stranger's page made %s", all)
	}
	if got := h.asPage(c, mine, token, "POST", "accounts", key); !strings.HasPrefix(got, `200 {"id":"apn_`) || strings.Contains(got, "sk_good") {
		t.Errorf("whoever hands a key over reads %s", got)
	}
	if got := h.asPage(c, mine, token, "GET", "accounts", ""); got != "the browser says no" {
		t.Errorf("with a used token the page reads %s", got)
	}
}

// TestCanariesOfConnecting connects by keys, well and badly, on the page and without one, imports a credential, and asks for
// all of it by every bearer: the secrets are nowhere but at the service, and with the backend that has the scope and asks.
func TestCanariesOfConnecting(t *testing.T) {
	t.Parallel()
	wrong, good, access, refresh := "canary-wrong-"+rand.Text(), "canary-good-"+rand.Text(), "canary-access-"+rand.Text(), "canary-refresh-"+rand.Text()
	told := make(chan string, 16)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hook" { // dev reaches no other address of this machine
			body, _ := io.ReadAll(r.Body)
			told <- string(body)
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+good {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(r.Header.Get("Authorization"))) // a service that says again what it was told
			return
		}
		_, _ = w.Write([]byte(`{"id":"acct_1","business_profile":{"name":"Acme"}}`))
	}))
	t.Cleanup(service.Close)
	h := newHome(t)
	h.serve("--app-url", "stripe="+service.URL)
	hunt := newHunt(t, newCanary("the wrong key", wrong), newCanary("the good key", good), newCanary("the access token", access), newCanary("the refresh token", refresh))

	made := 0
	fresh := func() string {
		made++
		token, _ := h.connectToken(`{"external_user_id":"hunted","webhook_uri":"` + service.URL + `/hook","allowed_origins":["http://localhost:1"]}`)
		return token
	}
	for _, key := range []string{wrong, good} {
		for _, framed := range []string{"", "&connectLink=true"} {
			token := fresh()
			hunt.answer("the page", h.bearing(token, http.MethodGet, "/_static/connect.html?token="+token+"&app=stripe"+framed, ""))
			form := url.Values{"token": {token}, "app": {"stripe"}, "field_api_key": {key}}
			for range 2 {
				hunt.answer("the form", h.post("http://"+h.addr+"/connect/keys", form.Encode(), header("Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")))
			}
			hunt.answer("its status", h.post("http://"+h.addr+"/connect/status", url.Values{"token": {token}}.Encode(), header("Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")))
		}
		token := fresh()
		fields, _ := json.Marshal(map[string]string{"api_key": key})
		body, _ := json.Marshal(map[string]string{"app_slug": "stripe", "cfmap_json": string(fields), "connect_token": token})
		for _, sent := range []string{string(body), strings.Replace(string(body), "cfmap_json", "other", 1), string(body[:len(body)-1])} {
			hunt.answer("keys without a page", h.bearing(token, http.MethodPost, "/v1/connect/accounts", sent))
		}
	}
	h.mustRun(fmt.Sprintf(`{"oauth_access_token":%q,"oauth_refresh_token":%q}`, access, refresh), "accounts", "create", "--app", "practice", "--user", "hunted", "--env", "development", "--credential", "-")
	h.huntByEveryBearer(hunt, fresh(), good)
	for range 8 { // the wrong key is tried five times, the good one three
		hunt.look("webhooks", "the webhook", []byte(soonText(t, told)))
	}

	hunt.metricsAt(h.world, h.metrics)
	hunt.tree(h.dev, nil)
	_, js := connectNATS(t, h.file.NATSURL, h.file.NATSCreds["development"])
	hunt.streamsOf(js)
	hunt.files(h.world)
	hunt.report()
	t.Logf("%d connect tokens; looked through %v", made, hunt.places)
}

// huntByEveryBearer asks for the accounts as everybody can. Only the backend that asks for it is given the key, which shows
// that the hunt would see it.
func (h *home) huntByEveryBearer(hunt *hunt, token, key string) {
	h.t.Helper()
	for _, path := range []string{"accounts", "accounts?include_credentials=true", "users/hunted/accounts", "users/hunted/accounts?include_credentials=1", "apps/stripe"} {
		hunt.answer("by the user, "+path, h.bearing(token, http.MethodGet, "/v1/connect/"+path, ""))
		if !strings.Contains(path, "include") {
			hunt.answer("by the backend, "+path, h.bearing(h.token, http.MethodGet, "/v1/connect/"+path, ""))
		}
	}
	asked := h.bearing(h.token, http.MethodGet, "/v1/connect/accounts?external_user_id=hunted&include_credentials=true", "")
	if asked.status != http.StatusOK || !strings.Contains(asked.body, key) || strings.Contains(asked.body, "refresh_token") {
		h.t.Errorf("the backend that asks is answered %v", asked)
	}
	for _, args := range [][]string{{"accounts", "list", "--user", "hunted"}, {"users", "show", "hunted"}} {
		hunt.look("answers", strings.Join(args, " "), []byte(h.mustRun("", append(args, "--env", "development", "--json")...)))
	}
}

// bearing sends a request with this bearer, in development.
func (h *home) bearing(token, method, target, body string) answer {
	return h.post("http://"+h.addr+target, body, header("Authorization", "Bearer "+token), in(development), func(r *http.Request) { r.Method = method })
}

// soonText waits for what comes on a channel.
func soonText(t *testing.T, texts <-chan string) string {
	t.Helper()
	var text string
	eventually(t, asLongAsItTakes, "nothing is told", func() bool {
		select {
		case text = <-texts:
			return true
		default:
			return false
		}
	})
	return text
}
