package api_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// neighbours is peopled, with an account of the other user's at the same app.
func neighbours(t *testing.T) *world {
	t.Helper()
	w := peopled(t)
	now := time.Now().UTC()
	w.dev.accounts[key(mine, "apn_d4")] = behalf.Account{ID: "apn_d4", Project: mine, App: "slack", User: "xyz-9", CreatedAt: now, UpdatedAt: now}
	w.dev.credentials["apn_d4"] = canary
	return w
}

func TestAConnectTokenSeesItsUserAlone(t *testing.T) {
	t.Parallel()
	w := neighbours(t)
	token := w.bearer(w.dev, "abc-123")
	for query, want := range map[string]string{
		"": "apn_a1 apn_b2", "?app=slack": "apn_a1 apn_b2", "?app=github": "", "?oauth_app_id=oa_mine": "apn_b2", "?limit=1": "apn_a1",
		"?external_user_id=abc-123": "apn_a1 apn_b2", "?external_user_id=xyz-9": "", "?external_user_id=nobody": "",
	} {
		for _, path := range []string{"/v1/connect/accounts", "/v1/connect/proj_mine/accounts"} {
			a := w.as(token, "GET", path+query, "")
			if a.status != 200 || ids(t, a.field(t, "data")) != want || strings.Contains(a.body, canary) {
				t.Errorf("%s%s: %d %s, want %s", path, query, a.status, a.body, want)
			}
		}
	}
	if a, b := w.as(token, "GET", "/v1/connect/accounts?external_user_id=xyz-9", ""), w.as(token, "GET", "/v1/connect/accounts?external_user_id=nobody", ""); !same(a, b) {
		t.Errorf("%s, and of nobody %s", a.body, b.body)
	}
	if a := w.as(token, "GET", "/v1/connect/accounts/apn_b2", ""); a.status != 200 || a.field(t, "name") != "Work" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.as(token, "GET", "/v1/connect/users/abc-123/accounts", ""); a.status != 200 || strings.Count(a.body, `"id":"apn_`) != 2 {
		t.Errorf("%d %s", a.status, a.body)
	}
	nothing := w.as(token, "GET", "/v1/connect/accounts/apn_never", "")
	flat(t, nothing, 404, "not_found")
	for _, target := range []string{"accounts/apn_c3", "accounts/apn_d4", "accounts/apn_own", "proj_mine/accounts/apn_c3"} {
		for _, method := range []string{"GET", "DELETE"} {
			if a := w.as(token, method, "/v1/connect/"+target, ""); !same(a, nothing) {
				t.Errorf("%s %s: %d %s", method, target, a.status, a.body)
			}
		}
	}
	flat(t, w.as(token, "GET", "/v1/connect/proj_theirs/accounts", ""), 404, "not_found")
	for _, target := range []string{"/v1/apps", "/v1/connect/apps", "/v1/connect/apps/slack", "/v1/connect/proj_mine/apps/slack"} {
		if a := w.as(token, "GET", target, ""); a.status != 200 || !strings.Contains(a.body, `"name_slug":"slack"`) {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
}

func TestAConnectTokenDeletesWhatIsItsUsers(t *testing.T) {
	t.Parallel()
	for target, left := range map[string]string{
		"accounts/apn_a1": "apn_b2 apn_c3 apn_d4", "apps/slack/accounts": "apn_c3 apn_d4", "apps/oa_mine/accounts": "apn_a1 apn_c3 apn_d4",
		"apps/github/accounts": "apn_a1 apn_b2 apn_c3 apn_d4", "users/abc-123": "apn_c3 apn_d4",
	} {
		w := neighbours(t)
		token := w.bearer(w.dev, "abc-123")
		if a := w.as(token, "DELETE", "/v1/connect/"+target, ""); a.status != http.StatusNoContent {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
		if got := ids(t, w.call(backend, "GET", "/v1/connect/accounts", "").field(t, "data")); got != left {
			t.Errorf("%s leaves %s, want %s", target, got, left)
		}
		if len(w.dev.credentials) != len(strings.Fields(left))+1 { // and the project's own
			t.Errorf("%s leaves the credentials of %d", target, len(w.dev.credentials))
		}
		if strings.HasPrefix(target, "users/") {
			flat(t, w.as(token, "GET", "/v1/connect/accounts", ""), 401, "unauthenticated") // it ends with its user
		}
	}
}

func TestAConnectTokenSaysItsEnvironment(t *testing.T) {
	t.Parallel()
	w := neighbours(t)
	dev, prod := w.bearer(w.dev, "abc-123"), w.bearer(w.prod, "abc-123")
	const target = "/v1/connect/accounts"
	for env, status := range map[string]int{"": 200, "development": 200, "production": 403, "staging": 400, "development, development": 400} {
		if a := w.as(dev, "GET", target, "", "X-Pd-Environment", env); a.status != status {
			t.Errorf("%q: %d %s", env, a.status, a.body)
		}
	}
	if a := w.as(prod, "GET", target, ""); a.status != 200 || ids(t, a.field(t, "data")) != "" {
		t.Errorf("in production: %d %s", a.status, a.body)
	}
}

func TestAConnectTokenIsABearerUntilItIsUsed(t *testing.T) {
	t.Parallel()
	w := neighbours(t)
	for state, status := range map[behalf.TokenState]int{"": 200, behalf.TokenClaimed: 200, behalf.TokenUsed: 401} {
		token := w.bearer(w.dev, "abc-123", func(c *behalf.ConnectToken) { c.Use.State = state })
		if a := w.as(token, "GET", "/v1/connect/accounts", ""); a.status != status {
			t.Errorf("%q: %d %s", state, a.status, a.body)
		}
	}
}

// An unknown token is looked for in as many places as one that is known, in whichever environment.
func TestAnUnknownConnectTokenCostsTheSame(t *testing.T) {
	t.Parallel()
	w := neighbours(t)
	cost := func(token string) (n int) {
		w.dev.writes() // they forget what was done
		w.prod.writes()
		w.as(token, "GET", "/v1/connect/accounts", "")
		for _, m := range []*memory{w.prod, w.dev} {
			n += len(slices.DeleteFunc(slices.Clone(m.log), func(method string) bool { return method != "ConnectToken" }))
		}
		return n
	}
	for name, token := range map[string]string{"unknown": "ctok_x", "development's": w.bearer(w.dev, "abc-123"), "production's": w.bearer(w.prod, "abc-123")} {
		if n := cost(token); n != 2 {
			t.Errorf("%s costs %d reads", name, n)
		}
	}
	narrow := newWorld(t, func(c *api.Config, _ *api.Deps) { c.PerStranger = web.Rate{PerSecond: 1e-6, Burst: 2} })
	good := narrow.bearer(narrow.dev, "abc-123")
	for range 2 {
		flat(t, narrow.as("ctok_x", "GET", "/v1/connect/accounts", ""), 401, "unauthenticated")
	}
	flat(t, narrow.as("ctok_y", "GET", "/v1/connect/accounts", ""), 429, "throttled")
	if a := narrow.as(good, "GET", "/v1/connect/accounts", ""); a.status != 200 {
		t.Errorf("a good one of the same address: %d %s", a.status, a.body)
	}
}

const page = "https://app.example.com"

func allowing(c *behalf.ConnectToken) {
	c.Return.Origins = []string{page, "https://b.example.com:8443"}
}

// TestOnlyPagesOfTheTokenReadTheAnswer is what browsers hold: who may read an answer, and who is not given one.
func TestOnlyPagesOfTheTokenReadTheAnswer(t *testing.T) {
	t.Parallel()
	w := neighbours(t)
	token, closed := w.bearer(w.dev, "abc-123", allowing), w.bearer(w.dev, "abc-123")
	for _, target := range []string{"/v1/connect/accounts", "/v1/connect/accounts/apn_a1", "/v1/connect/accounts/apn_never", "/v1/connect/accounts?limit=0", "/v1/runs"} {
		for _, origin := range []string{page, "https://b.example.com:8443"} {
			a := w.as(token, "GET", target, "", "Origin", origin)
			if a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Vary") != "Origin" {
				t.Errorf("%s from %s: %d %v", target, origin, a.status, a.header)
			}
		}
		for _, origin := range []string{"https://evil.example", "null", "http://app.example.com", "https://app.example.com.evil.example", "https://app.example.com:443", page + "/", "*", " "} {
			a := w.as(token, "GET", target, "", "Origin", origin)
			flat(t, a, 403, "forbidden")
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %q: %v", target, origin, a.header)
			}
		}
	}
	flat(t, w.as(closed, "GET", "/v1/connect/accounts", "", "Origin", page), 403, "forbidden")
	if a := w.as(token, "GET", "/v1/connect/accounts", ""); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("from no page: %d %v", a.status, a.header)
	}
	two := httptest.NewRequest(http.MethodGet, "/v1/connect/accounts", http.NoBody)
	two.Header = http.Header{"Authorization": {"Bearer " + token}, "Origin": {page, page}}
	flat(t, w.do(two), 403, "forbidden")
	if a := w.call(backend, "GET", "/v1/connect/accounts", "", "Origin", page); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a client's token from a page: %d %v", a.status, a.header)
	}
	w.as(token, "DELETE", "/v1/connect/accounts/apn_a1", "", "Origin", "https://evil.example")
	w.as(token, "POST", "/v1/connect/accounts", `{"app_slug":"slack","cfmap_json":"{}"}`, "Origin", "https://evil.example")
	if len(w.dev.accounts) != 5 {
		t.Errorf("a foreign page changed something: %v", w.dev.accounts)
	}
	valid := w.call("", "GET", "/v1/connect/tokens/"+token+"/validate?app_id=slack", "", "Origin", page)
	foreign := w.call("", "GET", "/v1/connect/tokens/"+token+"/validate?app_id=slack", "", "Origin", "https://evil.example")
	if valid.header.Get("Access-Control-Allow-Origin") != page || foreign.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("validate: %v, %v", valid.header, foreign.header)
	}
}

// TestPreflight asks as browsers do before a page sends a connect token.
func TestPreflight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(method, target string, headers ...string) answer {
		r := httptest.NewRequest(http.MethodOptions, target, http.NoBody)
		r.Header.Set("Origin", page)
		r.Header.Set("Access-Control-Request-Method", method)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
			if headers[i+1] == "" {
				r.Header.Del(headers[i])
			}
		}
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		return answer{rec.Code, rec.Header(), rec.Body.String()}
	}
	for _, route := range api.Routes() {
		a := ask(route.Method, path(route.Pattern))
		if got := a.status == http.StatusNoContent; got != route.ByUser {
			t.Errorf("%s %s: %d", route.Method, route.Pattern, a.status)
		}
		if got := a.header.Get("Access-Control-Allow-Origin") != ""; got != route.ByUser || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %v", route.Method, route.Pattern, a.header)
		}
	}
	const asked = "authorization,content-type,x-pd-environment,x-pd-sdk-version,x-fern-language,x-fern-sdk-name,x-fern-sdk-version,x-fern-runtime,x-fern-runtime-version"
	good := ask("GET", "/v1/connect/proj_mine/accounts", "Access-Control-Request-Headers", asked+",x-evil,cookie,x-fern-*, ,x-fern-a b,*")
	h := good.header
	if h.Get("Access-Control-Allow-Headers") != strings.ReplaceAll(asked, ",", ", ") || h.Get("Access-Control-Allow-Origin") != page ||
		h.Get("Access-Control-Allow-Methods") != "GET" || !strings.Contains(h.Get("Vary"), "Origin") || good.body != "" {
		t.Errorf("%v", h)
	}
	for name, a := range map[string]answer{
		"of no origin":       ask("GET", "/v1/connect/accounts", "Origin", ""),
		"of no method":       ask("", "/v1/connect/accounts"),
		"of another method":  ask("PUT", "/v1/connect/accounts"),
		"of an odd method":   ask("*", "/v1/connect/accounts"),
		"of no route":        ask("GET", "/v1/connect/nothing"),
		"of an untidy route": ask("GET", "/v1/connect//accounts"),
	} {
		if a.status != 404 && a.status != 405 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
}

func TestAUserHandsKeysOver(t *testing.T) {
	t.Parallel()
	const target, slack = "/v1/connect/accounts", `{"app_slug":"slack","cfmap_json":"{\"token\":\"` + canary + `\",\"port\":5432,\"tls\":true,\"none\":null}","name":"Mine"`
	w := neighbours(t)
	one := w.bearer(w.dev, "abc-123")
	a := w.as(one, "POST", target, slack+`,"connect_token":"`+one+`","app_override_id":"x"}`)
	id, _ := a.field(t, "id").(string)
	if a.status != 200 || a.field(t, "external_id") != "abc-123" || a.field(t, "name") != "Mine" || strings.Contains(a.body, canary) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if w.dev.credentials[behalf.AccountID(id)] != canary || strings.Contains(w.log.String(), canary) {
		t.Error("the key is not kept, or told")
	}
	flat(t, w.as(one, "POST", target, slack+`}`), 401, "unauthenticated") // it is used up
	// By the token that is borne alone, with the project in the path, and the same account again.
	two := w.bearer(w.dev, "abc-123")
	again := w.as(two, "POST", "/v1/connect/proj_mine/accounts?external_user_id=abc-123", slack+`,"account_id":"`+id+`"}`)
	if again.status != 200 || again.field(t, "id") != id {
		t.Errorf("%d %s", again.status, again.body)
	}
	// A backend may send a user's token as well.
	three := w.bearer(w.dev, "abc-123")
	if sent := w.call(backend, "POST", target, slack+`,"connect_token":"`+three+`"}`); sent.status != 200 || sent.field(t, "external_id") != "abc-123" {
		t.Errorf("%d %s", sent.status, sent.body)
	}
	flat(t, w.call(backend, "POST", target, slack+`,"connect_token":"`+three+`"}`), 409, "conflict")
}

func TestKeysAreRefusedAlike(t *testing.T) {
	t.Parallel()
	const target, slack = "/v1/connect/accounts", `{"app_slug":"slack","cfmap_json":"{\"token\":\"x\"}"`
	w := neighbours(t)
	token := w.bearer(w.dev, "abc-123")
	never := w.as(token, "POST", target, slack+`,"account_id":"apn_never"}`)
	flat(t, never, 404, "not_found")
	for _, id := range []string{"apn_c3", "apn_d4", "apn_own", "../x"} {
		if a := w.as(token, "POST", target, slack+`,"account_id":"`+id+`"}`); !same(a, never) {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
	}
	flat(t, w.as(token, "POST", target+"?external_user_id=xyz-9", slack+`}`), 404, "not_found")
	unknown := w.as(token, "POST", target, slack+`,"connect_token":"ctok_x"}`)
	flat(t, unknown, 400, "invalid")
	for who, foreign := range map[string]string{
		"another user's":    w.bearer(w.dev, "xyz-9"),
		"production's":      w.bearer(w.prod, "abc-123"),
		"another project's": w.bearer(w.dev, "abc-123", func(c *behalf.ConnectToken) { c.Project = theirs }),
	} {
		if a := w.as(token, "POST", target, slack+`,"connect_token":"`+foreign+`"}`); !same(a, unknown) {
			t.Errorf("%s: %d %s", who, a.status, a.body)
		}
	}
	for _, bad := range []string{
		`{}`, `[]`, `{"app_slug":"slack"}`, `{"app_slug":"slack","cfmap_json":"x"}`, `{"app_slug":"slack","cfmap_json":"[]"}`, `{"app_slug":"slack","cfmap_json":"null"}`,
		`{"app_slug":"slack","cfmap_json":"{\"a\":{}}"}`, `{"app_slug":"slack","cfmap_json":"{} {}"}`, `{"app_slug":"a b","cfmap_json":"{}"}`, slack + `,"name":"a\u0000b"}`,
		`{"app_slug":"slack","cfmap_json":{"token":"x"}}`,
	} {
		flat(t, w.as(token, "POST", target, bad), 400, "invalid")
	}
	flat(t, w.as(token, "POST", target+"?oauth_app_id=oa_mine", slack+`}`), 400, "invalid")
	if len(w.dev.accounts) != 5 {
		t.Errorf("something was kept: %v", w.dev.accounts)
	}
	if a := w.as(token, "POST", target, slack+`}`); a.status != 200 {
		t.Errorf("after all this the token is not good: %d %s", a.status, a.body)
	}
}

func TestOfManyWhoUseAConnectTokenOneDoes(t *testing.T) {
	t.Parallel()
	w := neighbours(t)
	token := w.bearer(w.dev, "abc-123")
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			statuses[i] = w.as(token, "POST", "/v1/connect/accounts", `{"app_slug":"slack","cfmap_json":"{\"token\":\"x\"}"}`).status
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if statuses[0] != 200 || slices.ContainsFunc(statuses[1:], func(s int) bool { return s != 401 && s != 409 }) || len(w.dev.accounts) != 6 {
		t.Errorf("%v, %d accounts", statuses, len(w.dev.accounts))
	}
}

func TestAppsAreFilteredAsClientsAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slugs := func(a answer) string {
		var list []string
		data, _ := a.field(t, "data").([]any)
		for _, each := range data {
			app, _ := each.(map[string]any)
			list = append(list, app["name_slug"].(string))
		}
		return strings.Join(list, " ")
	}
	for query, want := range map[string]string{
		"": "github slack", "?has_actions=1": "slack", "?has_components=true": "slack", "?has_triggers=true": "", "?has_actions=false": "github slack",
		"?category_ids=appcat_a&category_ids=appcat_b": "", "?category_ids=a,b": "", "?sort_key=name&sort_direction=desc": "slack github",
		"?sort_key=featured_weight&sort_direction=asc": "github slack", "?sort_key=name_slug&limit=1": "github", "?q=mess": "slack", "?after=github": "slack",
	} {
		for _, path := range []string{"/v1/apps", "/v1/connect/apps"} {
			if a := w.call(backend, "GET", path+query, ""); a.status != 200 || slugs(a) != want {
				t.Errorf("%s%s: %d %s", path, query, a.status, a.body)
			}
		}
	}
	for _, query := range []string{"?sort_key=x", "?sort_direction=up", "?has_actions=yes", "?q=a&q=b", "?after=never"} {
		flat(t, w.call(backend, "GET", "/v1/connect/apps"+query, ""), 400, "invalid")
	}
}
