package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// path fills the wildcards of a pattern with ids that are well formed.
func path(pattern string) string {
	return strings.NewReplacer(
		"{run}", string(behalf.NewRunID()), "{user...}", "abc-123", "{user}", "abc-123", "{account}", "apn_abc", "{workflow}", "p_abc",
		"{letter}", string(behalf.NewLetterID(9, time.Unix(1, 0))), "{event}", string(behalf.NewRunID().Event()),
		"{app}", "slack", "{action}", "slack-send-message@1", "{endpoint}", "enabc", "{token}", "ctok_abc", "{oauth_app}", "oa_abc", "{client}", "oac_abc",
	).Replace(pattern)
}

// flat checks that an answer has the one shape of errors.
func flat(t *testing.T, a answer, status int, code string) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body) != 2 || body["error"] == "" || body["code"] != code || a.status != status {
		t.Errorf("%d %s, want a flat %d with code %s", a.status, a.body, status, code)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", a.header)
	}
}

// TestEveryRouteIsGuarded makes the matrix from the routes themselves, so that a new one cannot be forgotten.
func TestEveryRouteIsGuarded(t *testing.T) {
	t.Parallel()
	open := []string{"/healthz", "/readyz", "/v1/openapi.json", "/v1/oauth/token", "/v1/connect/tokens/{token}/validate"}
	w := newWorld(t)
	w.prod.writes()
	w.dev.writes()
	// When every route has been asked, nothing may have been written.
	t.Cleanup(func() {
		for _, m := range []*memory{w.prod, w.dev} {
			if done := m.writes(); len(done) > 0 {
				t.Errorf("somebody who may not wrote: %v", done)
			}
		}
	})
	for _, route := range api.Routes() {
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			t.Parallel()
			if route.Scope == "" {
				if !slices.Contains(open, route.Pattern) {
					t.Errorf("this route asks for no scope, and is not one of %v", open)
				}
				return
			}
			call := func(id behalf.ClientID, headers ...string) answer {
				return w.call(id, route.Method, path(route.Pattern), "", headers...)
			}
			good := "Bearer " + w.token(ours)
			flat(t, call(""), 401, "unauthenticated")
			flat(t, call("", "Authorization", "Bearer "+good[len(good)-20:]), 401, "unauthenticated")
			flat(t, call("", "Authorization", "Basic "+good[7:]), 401, "unauthenticated")
			flat(t, call("", "Authorization", good+"x"), 401, "unauthenticated")
			flat(t, call(gone), 401, "unauthenticated")
			flat(t, call(powerless), 403, "forbidden")
			flat(t, call(developer, "X-Pd-Environment", "production"), 403, "forbidden")
			flat(t, call(developer, "X-Pd-Environment", ""), 403, "forbidden") // none means production
			flat(t, call(productive), 403, "forbidden")
			flat(t, call(ours, "X-Pd-Environment", "staging"), 400, "environment_invalid")
			flat(t, call(ours, "X-Pd-Environment", "production, development"), 400, "environment_invalid")
			if route.Scope == behalf.ScopeManage {
				flat(t, call(backend), 403, "forbidden")
			}
			if a := call(ours); a.status == 401 || a.status == 403 || a.status >= 500 {
				t.Errorf("who may is answered %d %s", a.status, a.body)
			}
		})
	}
}

func TestTwoAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodGet, "/v1/users", http.NoBody)
	r.Header["Authorization"] = []string{"Bearer " + w.token(ours), "Bearer " + w.token(other)}
	flat(t, w.do(r), 401, "unauthenticated")
	r.Header["Authorization"] = []string{"Bearer " + w.token(ours)}
	r.Header["X-Pd-Environment"] = []string{"production", "development"}
	flat(t, w.do(r), 400, "environment_invalid")
}

func TestUnmatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		method, target string
		status         int
		code, allow    string
	}{
		"unknown":                   {"GET", "/v1/nothing", 404, "not_found", ""},
		"root":                      {"GET", "/", 404, "not_found", ""},
		"a slash behind":            {"GET", "/v1/users/", 404, "not_found", ""},
		"a double slash":            {"GET", "/v1//users", 404, "not_found", ""},
		"dots":                      {"GET", "/v1/./users", 404, "not_found", ""},
		"dots that climb":           {"GET", "/v1/../v1/users", 404, "not_found", ""},
		"another case":              {"GET", "/V1/users", 404, "not_found", ""},
		"a semicolon":               {"GET", "/v1/users;x=1", 404, "not_found", ""},
		"an escaped slash":          {"GET", "/v1%2Fusers", 404, "not_found", ""},
		"another method":            {"PATCH", "/v1/users", 405, "method_not_allowed", "GET, HEAD"},
		"another method of several": {"PUT", "/v1/accounts", 405, "method_not_allowed", "GET, HEAD, POST"},
		"GET of the token":          {"GET", "/v1/oauth/token", 405, "method_not_allowed", "POST"},
		"an unknown method":         {"BREW", "/v1/deploy", 405, "method_not_allowed", "POST"},
		"a method in lower case":    {"get", "/v1/users", 405, "method_not_allowed", "GET, HEAD"},
		"TRACE":                     {"TRACE", "/v1/runs", 405, "method_not_allowed", "GET, HEAD"},
		"overridden":                {"POST", "/v1/workflows", 405, "method_not_allowed", "GET, HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.call(ours, c.method, c.target, "", "X-Http-Method-Override", "GET")
			flat(t, a, c.status, c.code)
			if a.header.Get("Allow") != c.allow {
				t.Errorf("Allow %q, want %q", a.header.Get("Allow"), c.allow)
			}
		})
	}
}

func TestDefaultEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.DefaultEnvironment = behalf.Development })
	if a := w.call(developer, "GET", "/v1/users", "", "X-Pd-Environment", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	w = newWorld(t, func(_ *api.Config, d *api.Deps) { delete(d.Environments, behalf.Development) })
	flat(t, w.call(ours, "GET", "/v1/users", ""), 400, "environment_invalid")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var against []string
	w := newWorld(t, func(_ *api.Config, d *api.Deps) { d.Ready = func() []string { return against } })
	for range 2 {
		alive, ready := w.call("", "GET", "/healthz", ""), w.call("", "GET", "/readyz", "")
		if alive.status != 200 || (ready.status == 200) != (against == nil) {
			t.Errorf("alive %d, ready %d %s", alive.status, ready.status, ready.body)
		}
		against = []string{"NATS is away in production"}
	}
}

// TestStoresAway breaks each store in turn, on every route: the caller learns that it is our fault, and nothing else.
func TestStoresAway(t *testing.T) {
	t.Parallel()
	methods := []string{
		"Workflow", "Workflows", "PutWorkflow", "Endpoint", "PutEndpoint", "PutObject", "PutVersion", "User", "Users", "EnsureUser",
		"Accounts", "FindAccount", "PutAccount", "DeleteAccount", "PutCredential", "DeleteCredential", "Show", "Find", "List",
		"Cancel", "Source", "Tail", "Letters", "CountLetters", "Letter", "Discard", "Open", "Replayed", "ReadEvents", "Event",
		"ConnectToken", "PutConnectToken", "OAuthApp", "OAuthApps", "PutOAuthApp", "DeleteOAuthApp", "PutOAuthSecret", "DeleteOAuthSecret",
		"ClientForChange", "Clients", "PutClient",
	}
	bodies := map[string]string{
		"POST /v1/accounts":                      `{"app":"slack","user":"abc-123","credential":{"oauth_access_token":"canary-credential"}}`,
		"POST /v1/clients":                       `{}`,
		"POST /v1/connect/tokens":                `{"external_user_id":"abc-123"}`,
		"POST /v1/connect/oauth_apps":            `{"app":"slack","client_id":"1","client_secret":"canary-credential"}`,
		"PUT /v1/connect/oauth_apps/{oauth_app}": `{"client_secret":"canary-credential"}`,
		"POST /v1/deploy":                        `{"folder":"f","files":{"workflow.yaml":"none","a.mjs":"x"}}`,
	}
	for _, method := range methods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w, failures := newWorld(t), 0
			run := w.run(behalf.StateOK)
			w.dev.accounts[key(mine, "apn_abc")] = behalf.Account{ID: "apn_abc", Project: mine, App: "slack", User: "abc-123"}
			w.dev.clients["oac_abc"] = behalf.Client{ID: "oac_abc", Project: mine, Environments: []behalf.Environment{behalf.Development}}
			w.dev.oauthApps[key(mine, "oa_abc")] = behalf.OAuthApp{ID: "oa_abc", Project: mine, App: "slack", ClientID: "1"}
			w.dev.users[key(mine, "abc-123")] = behalf.ExternalUser{ID: "exu_1", Project: mine, External: "abc-123"}
			w.dev.fail(method, fault.Wrap(fault.Unavailable, "store", errors.New("dial tcp 10.0.0.7: refused")))
			for _, route := range api.Routes() {
				target := path(strings.Replace(route.Pattern, "{run}", string(run.ID), 1))
				switch route.Pattern {
				case "/v1/accounts":
					target += "?user=abc-123"
				case "/v1/runs/{run}/result":
					target += "?token=secret-of-the-run"
				}
				if route.Method == http.MethodPost {
					target, _, _ = strings.Cut(target, "?")
				}
				a := w.call(ours, route.Method, target, bodies[route.Method+" "+route.Pattern])
				if a.status >= 500 {
					failures++
					flat(t, a, 503, "unavailable")
					if a.header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				}
				if strings.Contains(a.body, "10.0.0.7") {
					t.Errorf("%s tells where the store is", route.Pattern)
				}
			}
			if failures == 0 {
				t.Error("no route uses it, or none noticed")
			}
			if strings.Contains(w.log.String(), "canary-credential") || !strings.Contains(w.log.String(), "10.0.0.7") {
				t.Errorf("log: %s", w.log)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *api.Config, d *api.Deps) { d.Apps = nil })
	flat(t, w.call(ours, "POST", "/v1/accounts", `{"app":"slack","user":"u","credential":{}}`), 500, "internal")
	if !strings.Contains(w.log.String(), `"stack"`) {
		t.Errorf("log: %s", w.log)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.call(ours, "GET", "/v1/users/abc-123", "")
	w.call(ours, "GET", "/v1/users", "")
	w.call("", "GET", "/v1/users", "")
	w.call("", "BREW", "/v1/secret-path", "")
	want := `
# HELP behalf_api_requests_total Requests by route, method and status.
# TYPE behalf_api_requests_total counter
behalf_api_requests_total{code="200",method="GET",route="/v1/users"} 1
behalf_api_requests_total{code="401",method="GET",route="/v1/users"} 1
behalf_api_requests_total{code="404",method="GET",route="/v1/users/{user...}"} 1
behalf_api_requests_total{code="404",method="other",route="other"} 1
`
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want), "behalf_api_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(w.reg, "behalf_api_request_duration_seconds"); n != 3 || err != nil {
		t.Errorf("%d series of durations, %v", n, err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	w := newWorld(t)
	go func() { over <- w.api.Run(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	cancel()
	if err := <-over; err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, err %v", resp.StatusCode, err)
	}
}
