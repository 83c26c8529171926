package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

const tokens = "/v1/connect/tokens"

func TestAConnectTokenIsOfItsUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.call(backend, "POST", tokens, `{"external_user_id":"abc-123","external_id":"abc-123","success_redirect_uri":"http://127.0.0.1:3000/ok",
		"allowed_origins":["https://App.example.com"],"scope":"connect:*","allow_progressive_scopes":true}`)
	text, _ := a.field(t, "token").(string)
	if a.status != 200 || !strings.HasPrefix(text, "ctok_") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if link := a.field(t, "connect_link_url"); link != "http://127.0.0.1:8080/_static/connect.html?token="+text+"&connectLink=true" {
		t.Errorf("link %v", link)
	}
	kept := w.dev.connects[auth.Hash(secret.New(text))]
	if kept.User != "abc-123" || kept.Project != mine || kept.Return.Origins[0] != "https://app.example.com" || kept.ExpiresAt.Sub(kept.CreatedAt) != 4*time.Hour {
		t.Errorf("kept %+v", kept)
	}
	if _, ok := w.dev.users[key(mine, "abc-123")]; !ok {
		t.Error("the user does not exist with it")
	}
	if w.prod.connects[kept.Hash].Hash != "" || strings.Contains(w.log.String(), text) {
		t.Error("it is known elsewhere")
	}
}

func TestAConnectTokenOfOneApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dev.oauthApps[key(mine, "oa_1")] = behalf.OAuthApp{ID: "oa_1", Project: mine, App: "github"}
	w.dev.oauthApps[key(theirs, "oa_2")] = behalf.OAuthApp{ID: "oa_2", Project: theirs, App: "github"}
	a := w.call(ours, "POST", tokens, `{"external_user_id":"u","oauth_app_id":"oa_1","expires_in":60}`)
	text, _ := a.field(t, "token").(string)
	if link, _ := a.field(t, "connect_link_url").(string); !strings.HasSuffix(link, "&app=github") {
		t.Errorf("link %s", link)
	}
	if kept := w.dev.connects[auth.Hash(secret.New(text))]; kept.App != "github" || kept.OAuthApp != "oa_1" || kept.ExpiresAt.Sub(kept.CreatedAt) != time.Minute {
		t.Errorf("kept %+v", kept)
	}
	for _, bad := range []string{
		`{}`, `{"external_user_id":""}`, `{"external_user_id":"u","app_id":"none"}`, `{"external_user_id":"u","oauth_app_id":"oa_2"}`,
		`{"external_user_id":"u","oauth_app_id":"oa_1","app_id":"slack"}`, `{"external_user_id":"u","oauth_app_id":"oa_*"}`,
		`{"external_user_id":"u","expires_in":0}`, `{"external_user_id":"u","expires_in":14401}`, `{"external_user_id":"u","expires_in":-1}`,
		`{"external_user_id":"u","success_redirect_uri":"http://evil.example"}`, `{"external_user_id":"u","error_redirect_uri":"javascript:alert(1)"}`,
		`{"external_user_id":"u","webhook_uri":"https://u:p@evil.example"}`, `{"external_user_id":"u","allowed_origins":["*"]}`, `[]`, ``,
	} {
		flat(t, w.call(ours, "POST", tokens, bad, "Content-Type", "application/json"), 400, "invalid")
	}
}

func TestLoopbackIsForALocalAPIAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.URL = "https://behalf.example.com" })
	flat(t, w.call(ours, "POST", tokens, `{"external_user_id":"u","success_redirect_uri":"http://127.0.0.1:3000/ok"}`), 400, "invalid")
	if a := w.call(ours, "POST", tokens, `{"external_user_id":"u","success_redirect_uri":"https://app.example.com/ok"}`); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestConnectTokensOfOneUserAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.PerUser = web.Rate{PerSecond: 1e-6, Burst: 2} })
	for range 2 {
		w.call(ours, "POST", tokens, `{"external_user_id":"u"}`)
	}
	flat(t, w.call(ours, "POST", tokens, `{"external_user_id":"u"}`), 429, "throttled")
	if a := w.call(ours, "POST", tokens, `{"external_user_id":"v"}`); a.status != 200 {
		t.Errorf("another user: %d", a.status)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := secret.New("ctok_1")
	token := behalf.ConnectToken{
		Hash: auth.Hash(text), Project: mine, User: "user-canary", ExpiresAt: time.Now().Add(time.Hour),
		Return: behalf.Return{SuccessURI: "https://app.example.com/ok", WebhookURI: "https://hook-canary.example"},
	}
	w.dev.users[key(mine, "user-canary")] = behalf.ExternalUser{ID: "exu_1", Project: mine, External: "user-canary"}
	ask := func(change func(*behalf.ConnectToken), query string) answer {
		changed := token
		change(&changed)
		w.dev.connects = map[string]behalf.ConnectToken{changed.Hash: changed}
		return w.call("", "GET", tokens+"/ctok_1/validate"+query, "", "X-Pd-Environment", "")
	}
	same := func(*behalf.ConnectToken) {}
	good := ask(same, "?app_id=slack")
	if good.field(t, "success") != true || good.field(t, "app.name_slug") != "slack" || good.field(t, "project_environment") != "development" ||
		good.field(t, "success_redirect_uri") != "https://app.example.com/ok" || strings.Contains(good.body, "canary") {
		t.Errorf("good: %s", good.body)
	}
	for name, a := range map[string]answer{
		"no app":            ask(same, ""),
		"an unknown app":    ask(same, "?app_id=none"),
		"another app":       ask(func(c *behalf.ConnectToken) { c.App = "github" }, "?app_id=slack"),
		"used":              ask(func(c *behalf.ConnectToken) { c.Use.State = behalf.TokenUsed }, "?app_id=slack"),
		"claimed":           ask(func(c *behalf.ConnectToken) { c.Use.State = behalf.TokenClaimed }, "?app_id=slack"),
		"of a deleted user": ask(func(c *behalf.ConnectToken) { c.User = "deleted" }, "?app_id=slack"),
		"unknown":           w.call("", "GET", tokens+"/ctok_2/validate?app_id=slack", "", "X-Pd-Environment", ""),
		"a wildcard":        w.call("", "GET", tokens+"/%3E/validate?app_id=slack", "", "X-Pd-Environment", ""),
	} {
		if a.status != 200 || a.field(t, "success") != false || a.field(t, "error") == nil {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// TestTheProjectInThePath is as the official clients call: with the project, which must be that of the token.
func TestTheProjectInThePath(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for target, want := range map[string]int{
		"/v1/connect/proj_mine/tokens":      200,
		"/v1/connect/proj_theirs/tokens":    404,
		"/v1/connect/proj_nobody/tokens":    404,
		"/v1/connect/proj_mine/proj_mine/x": 404,
		"/v1/connect/proj_mine":             404,
		"/v1/connect/proj_%2Fmine/tokens":   404,
		"/v1/connect/proj_mine/tok%65ns":    200,
	} {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(`{"external_user_id":"u"}`))
		r.Header.Set("Authorization", "Bearer "+w.token(ours))
		r.Header.Set("X-Pd-Environment", "development")
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}

func TestOAuthApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const path = "/v1/connect/oauth_apps"
	made := w.call(ours, "POST", path, `{"app":"slack","client_id":"123.456","client_secret":"word-canary","name":"Acme","scopes":["chat:write"]}`)
	id, _ := made.field(t, "id").(string)
	if made.status != 200 || !strings.HasPrefix(id, "oa_") || made.field(t, "redirect_uri") != "http://127.0.0.1:8080/connect/callback" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	if w.dev.oauthWords[behalf.OAuthAppID(id)] != "word-canary" || w.prod.oauthApps[key(mine, id)].ID != "" {
		t.Error("the secret is not kept, or elsewhere too")
	}
	changed := w.call(ours, "PUT", path+"/"+id, `{"client_secret":"word-canary-2","scopes":[]}`)
	if changed.status != 200 || changed.field(t, "name") != "Acme" || w.dev.oauthWords[behalf.OAuthAppID(id)] != "word-canary-2" {
		t.Errorf("changed: %s", changed.body)
	}
	if renamed := w.call(ours, "PUT", path+"/"+id, `{"name":"Other"}`); renamed.field(t, "name") != "Other" || w.dev.oauthWords[behalf.OAuthAppID(id)] != "word-canary-2" {
		t.Errorf("renamed: %s", renamed.body)
	}
	list := w.call(ours, "GET", path+"?app=slack", "")
	if list.field(t, "data.0.id") != id || w.call(ours, "GET", path+"?app=github", "").field(t, "page_info.count") != 0. {
		t.Errorf("list: %s", list.body)
	}
	for _, bad := range []string{
		`{"app":"none","client_id":"1"}`, `{"app":"slack"}`, `{"app":"slack","client_id":""}`, `{"app":"slack","client_id":"a b"}`,
		`{"app":"slack","client_id":"1","client_secret":"a\nb"}`, `{"app":"slack","client_id":"1","scopes":["a b"]}`, `{"app":"slack","client_id":"1","x":1}`,
	} {
		flat(t, w.call(ours, "POST", path, bad), 400, "invalid")
	}
	flat(t, w.call(ours, "PUT", path+"/"+id, `{"app":"github"}`), 400, "invalid")
	if a := w.call(ours, "DELETE", path+"/"+id, ""); a.status != 204 || len(w.dev.oauthWords) != 0 {
		t.Errorf("deleted: %d, %v", a.status, w.dev.oauthWords)
	}
	if all := w.log.String() + made.body + changed.body + list.body; strings.Contains(all, "word-canary") {
		t.Error("the secret is shown")
	}
}

// Of two who change a client at once one wins, with both halves.
func TestALostChangeOfAnOAuthAppLeavesTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.call(ours, "POST", "/v1/connect/oauth_apps", `{"app":"slack","client_id":"1","client_secret":"first"}`)
	id, _ := made.field(t, "id").(string)
	change := func(body string) answer { return w.call(ours, "PUT", "/v1/connect/oauth_apps/"+id, body) }
	w.dev.fail("PutOAuthApp", fault.New(fault.Conflict, "memory", "another was quicker"))
	if a := change(`{"client_id":"2","client_secret":"second"}`); a.status != 409 || w.dev.oauthWords[behalf.OAuthAppID(id)] != "first" {
		t.Errorf("%d %s, the secret is %q", a.status, a.body, w.dev.oauthWords[behalf.OAuthAppID(id)])
	}
	w.dev.fail("PutOAuthApp", nil)
	if a := change(`{"client_id":"2","client_secret":"second"}`); a.status != 200 || w.dev.oauthWords[behalf.OAuthAppID(id)] != "second" {
		t.Errorf("%d %s, the secret is %q", a.status, a.body, w.dev.oauthWords[behalf.OAuthAppID(id)])
	}
}
