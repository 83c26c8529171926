package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

var refreshAt = time.Date(2026, 12, 1, 8, 30, 0, 0, time.UTC)

// peopled has a user with one account of each sort: connected with our client, with the project's own, and with keys.
func peopled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	now := time.Now().UTC()
	for _, a := range []behalf.Account{
		{ID: "apn_a1", App: "slack", User: "abc-123"},
		{ID: "apn_b2", App: "slack", User: "abc-123", Name: "Work", Grant: behalf.Grant{OAuthApp: "oa_mine", Scopes: []string{"chat:write"}, ExpiresAt: now, RefreshAt: refreshAt}},
		{ID: "apn_c3", App: "github", User: "xyz-9", State: behalf.AccountNeedsReauth, Reason: "it was taken back"},
		{ID: "apn_own", App: "github", Name: "main"},
	} {
		a.Project, a.CreatedAt, a.UpdatedAt = mine, now, now
		w.dev.accounts[key(mine, a.ID)] = a
		w.dev.credentials[a.ID] = canary
		if !a.Own() {
			w.dev.users[key(mine, a.User)] = behalf.ExternalUser{ID: behalf.UserRecordID("exu_" + a.ID[4:]), Project: mine, External: a.User, CreatedAt: now, UpdatedAt: now}
		}
	}
	return w
}

func ids(t *testing.T, list any) string {
	t.Helper()
	var all []string
	items, _ := list.([]any)
	for _, each := range items {
		item, _ := each.(map[string]any)
		all = append(all, fmt.Sprint(item["id"]))
	}
	return strings.Join(all, " ")
}

func TestConnectAccountsAreListedWithAndWithoutTheProject(t *testing.T) {
	t.Parallel()
	w := peopled(t)
	for query, want := range map[string]string{
		"": "apn_a1 apn_b2 apn_c3", "?app=slack": "apn_a1 apn_b2", "?external_user_id=xyz-9": "apn_c3", "?oauth_app_id=oa_mine": "apn_b2",
		"?app=oa_mine": "apn_b2", "?external_user_id=nobody": "", "?app=slack&external_user_id=abc-123&include_credentials=0": "apn_a1 apn_b2",
	} {
		for _, path := range []string{"/v1/connect/accounts", "/v1/connect/proj_mine/accounts"} {
			a := w.call(backend, "GET", path+query, "")
			if a.status != 200 || ids(t, a.field(t, "data")) != want || a.field(t, "page_info.end_cursor") != nil || strings.Contains(a.body, canary) {
				t.Errorf("%s%s: %d %s, want %s", path, query, a.status, a.body, want)
			}
		}
	}
	var seen []string
	for cursor := "first"; cursor != ""; {
		query := "?limit=2"
		if cursor != "first" {
			query += "&after=" + strings.ReplaceAll(cursor, " ", "%20")
		}
		a := w.call(backend, "GET", "/v1/connect/accounts"+query, "")
		seen = append(seen, ids(t, a.field(t, "data")))
		cursor, _ = a.field(t, "page_info.end_cursor").(string)
	}
	if !slices.Equal(seen, []string{"apn_a1 apn_b2", "apn_c3"}) {
		t.Errorf("pages %q", seen)
	}
	for _, query := range []string{"?app=*", "?external_user_id=", "?oauth_app_id=x", "?limit=0", "?before=x", "?include_credentials=yes", "?include_credentials="} {
		flat(t, w.call(backend, "GET", "/v1/connect/accounts"+query, ""), 400, "invalid")
	}
	nothing := w.call(backend, "GET", "/v1/connect/proj_never/accounts/apn_a1", "")
	flat(t, nothing, 404, "not_found")
	if foreign := w.call(backend, "GET", "/v1/connect/proj_theirs/accounts/apn_a1", ""); !same(foreign, nothing) {
		t.Errorf("a foreign project tells %s, one that never was %s", foreign.body, nothing.body)
	}
}

func TestConnectAccountHasTheShapeThatClientsExpect(t *testing.T) {
	t.Parallel()
	w := peopled(t)
	a := w.call(backend, "GET", "/v1/connect/proj_mine/accounts/apn_b2", "")
	for field, want := range map[string]any{
		"id": "apn_b2", "name": "Work", "external_id": "abc-123", "healthy": true, "dead": false, "error": nil, "app.id": "oa_mine",
		"app.name_slug": "slack", "app.auth_type": "oauth", "authorized_scopes.0": "chat:write", "last_refreshed_at": nil,
		"next_refresh_at": "2026-12-01T08:30:00Z",
	} {
		if got := a.field(t, field); got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	ended := w.call(backend, "GET", "/v1/connect/accounts/apn_c3", "")
	if ended.field(t, "healthy") != false || ended.field(t, "dead") != true || ended.field(t, "error") != "it was taken back" || ended.field(t, "name") != nil ||
		ended.field(t, "next_refresh_at") != nil {
		t.Errorf("%s", ended.body)
	}
	bare := w.call(backend, "GET", "/v1/connect/users/abc-123/accounts?app=slack", "")
	var list []map[string]any
	if err := json.Unmarshal([]byte(bare.body), &list); err != nil || len(list) != 2 {
		t.Errorf("%d %s: %v", bare.status, bare.body, err)
	}
	flat(t, w.call(backend, "GET", "/v1/connect/users/nobody/accounts", ""), 404, "not_found")
}

// TestCredentialsAreOnlyHandedOutOfWhatIsTheProjectsOwn asks for the credentials of every sort of account.
func TestCredentialsAreOnlyHandedOutOfWhatIsTheProjectsOwn(t *testing.T) {
	t.Parallel()
	w := peopled(t)
	for id, handed := range map[string]bool{"apn_a1": false, "apn_b2": true} {
		a := w.call(backend, "GET", "/v1/connect/accounts/"+id+"?include_credentials=true", "")
		if a.status != 200 || strings.Contains(a.body, canary) != handed {
			t.Errorf("%s: %d %s", id, a.status, a.body)
		}
	}
	flat(t, w.call(backend, "GET", "/v1/connect/accounts/apn_own?include_credentials=true", ""), 404, "not_found")
	if !strings.Contains(w.log.String(), "credentials handed out") || strings.Contains(w.log.String(), canary) {
		t.Errorf("the log says %s", w.log)
	}
	closed := newWorld(t, func(_ *api.Config, d *api.Deps) {
		for env, e := range d.Environments {
			e.Secrets = nil
			d.Environments[env] = e
		}
	})
	flat(t, closed.call(backend, "GET", "/v1/connect/accounts?include_credentials=1", ""), 403, "forbidden")
}

func TestConnectDeletes(t *testing.T) {
	t.Parallel()
	for target, left := range map[string]string{
		"accounts/apn_a1": "apn_b2 apn_c3", "accounts/app/slack": "apn_c3", "apps/slack/accounts": "apn_c3", "apps/oa_mine/accounts": "apn_a1 apn_c3",
		"users/abc-123": "apn_c3", "apps/github/accounts": "apn_a1 apn_b2",
	} {
		w := peopled(t)
		if a := w.call(backend, "DELETE", "/v1/connect/proj_mine/"+target, ""); a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
		if got := ids(t, w.call(backend, "GET", "/v1/connect/accounts", "").field(t, "data")); got != left {
			t.Errorf("%s leaves %s, want %s", target, got, left)
		}
		if len(w.dev.credentials) != len(strings.Fields(left))+1 { // and the project's own
			t.Errorf("%s leaves the credentials %v", target, w.dev.credentials)
		}
	}
	w := peopled(t)
	for _, target := range []string{"accounts/apn_never", "apps/nothing/accounts", "accounts/app/nothing", "users/nobody", "users"} {
		flat(t, w.call(backend, "DELETE", "/v1/connect/"+target, ""), 404, "not_found")
	}
}

func TestConnectCreateTakesTheFieldsOfKeysAsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.call(backend, "POST", "/v1/connect/accounts?external_user_id=abc-123", `{"app_slug":"github","cfmap_json":"{\"token\":\"`+canary+`\"}","name":null,"app_override_id":"x"}`)
	if a.status != 200 || a.field(t, "external_id") != "abc-123" || strings.Contains(a.body, canary) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := w.dev.credentials[behalf.AccountID(a.field(t, "id").(string))]; got != `{"token":"`+canary+`"}` {
		t.Errorf("the credential is %s", got)
	}
	for _, bad := range []string{`{"app_slug":"github","cfmap_json":"x"}`, `{"app_slug":"never","cfmap_json":"{}"}`, `{"app_slug":"github","cfmap_json":"{}","account_id":"apn_a1"}`} {
		flat(t, w.call(backend, "POST", "/v1/connect/accounts?external_user_id=abc-123", bad), 400, "invalid")
	}
	flat(t, w.call(backend, "POST", "/v1/connect/accounts", `{"app_slug":"github","cfmap_json":"{\"token\":\"x\"}"}`), 400, "invalid")
}

func TestConnectUsersAreSearched(t *testing.T) {
	t.Parallel()
	w := peopled(t)
	a := w.call(backend, "GET", "/v1/connect/proj_mine/users?q=xyz", "")
	if a.status != 200 || a.field(t, "page_info.total_count") != 1.0 || a.field(t, "data.0.external_id") != "xyz-9" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// meeting hands credentials out when so many ask for one at the same time.
type meeting struct {
	missing atomic.Int32
	all     chan struct{}
}

func (m *meeting) Credential(context.Context, behalf.Account) (map[string]secret.String, error) {
	if m.missing.Add(-1) == 0 {
		close(m.all)
	}
	select {
	case <-m.all:
		return map[string]secret.String{"token": secret.New("met")}, nil
	case <-time.After(time.Minute):
		return nil, fault.New(fault.Unavailable, "meeting", "the others did not come")
	}
}

// Credentials of a page are not read one after the other, because each may have to be made anew first. Their order stays.
func TestCredentialsOfAPageAreReadTogether(t *testing.T) {
	t.Parallel()
	m := &meeting{all: make(chan struct{})}
	w := newWorld(t, func(_ *api.Config, d *api.Deps) {
		e := d.Environments[behalf.Development]
		e.Secrets = m
		d.Environments[behalf.Development] = e
	})
	want := []string{"apn_1", "apn_2", "apn_3", "apn_4", "apn_5", "apn_6", "apn_7", "apn_8"}
	m.missing.Store(int32(len(want)))
	for _, id := range want {
		w.dev.accounts[key(mine, id)] = behalf.Account{ID: behalf.AccountID(id), Project: mine, App: "slack", User: "abc-123", Grant: behalf.Grant{OAuthApp: "oa_mine"}}
	}
	a := w.call(backend, "GET", "/v1/connect/accounts?include_credentials=true", "")
	if a.status != 200 || strings.Count(a.body, `"token":"met"`) != len(want) || ids(t, a.field(t, "data")) != strings.Join(want, " ") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !strings.Contains(w.log.String(), `"accounts":8`) {
		t.Errorf("the log says %s", w.log)
	}
}

// TestImportMakesAnAccountOnce sends the same account again, and again after tries that were cut short.
func TestImportMakesAnAccountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	line := func(secret string) string {
		return `{"app":"slack","user":"abc-123","credential":{"oauth_access_token":"` + secret + `","scopes":["chat:write"],"oauth_app_id":"oa_mine"}}`
	}
	w.dev.oauthApps[key(mine, "oa_mine")] = behalf.OAuthApp{ID: "oa_mine", Project: mine, App: "slack"}
	w.dev.credentials["apn_old"] = "what a try before this one left"
	made := w.call(backend, "PUT", "/v1/accounts/apn_old", line("one"))
	if made.status != 200 || made.field(t, "outcome") != "created" || made.field(t, "id") != "apn_old" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	again := w.call(backend, "PUT", "/v1/accounts/apn_old", line("two"))
	if again.field(t, "outcome") != "kept" || !strings.Contains(w.dev.credentials["apn_old"], "one") || len(w.dev.accounts) != 1 {
		t.Errorf("%d %s, the credential is %s", again.status, again.body, w.dev.credentials["apn_old"])
	}
	if got := w.dev.accounts[key(mine, "apn_old")].Grant; got.OAuthApp != "oa_mine" || !slices.Equal(got.Scopes, []string{"chat:write"}) {
		t.Errorf("the grant is %+v", got)
	}
	flat(t, w.call(backend, "PUT", "/v1/accounts/old", line("one")), 404, "not_found")
}

// A credential of a client that is not there could never be refreshed: it is refused while somebody looks.
func TestAnAccountNamesNoClientThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dev.oauthApps[key(mine, "oa_mine")] = behalf.OAuthApp{ID: "oa_mine", Project: mine, App: "slack"}
	w.dev.oauthApps[key(theirs, "oa_theirs")] = behalf.OAuthApp{ID: "oa_theirs", Project: theirs, App: "slack"}
	w.prod.oauthApps[key(mine, "oa_prod")] = behalf.OAuthApp{ID: "oa_prod", Project: mine, App: "slack"}
	for _, c := range []struct {
		app, client string
		status      int
	}{{"slack", "oa_none", 400}, {"github", "oa_mine", 400}, {"slack", "oa_theirs", 400}, {"slack", "oa_prod", 400}, {"slack", "../x", 400}, {"slack", "oa_mine", 200}} {
		given := fmt.Sprintf(`{"oauth_access_token":"one","oauth_app_id":%q}`, c.client)
		for _, ask := range [][3]string{
			{"POST", "/v1/accounts", `{"app":"` + c.app + `","user":"abc-123","credential":` + given + `}`},
			{"PUT", "/v1/accounts/apn_old", `{"app":"` + c.app + `","user":"abc-123","credential":` + given + `}`},
			{"POST", "/v1/connect/accounts?external_user_id=abc-123", fmt.Sprintf(`{"app_slug":%q,"cfmap_json":%q}`, c.app, given)},
		} {
			a := w.call(backend, ask[0], ask[1], ask[2])
			if c.status == 400 {
				flat(t, a, 400, "invalid")
			}
			if a.status != c.status || c.status == 400 && (!strings.Contains(a.body, "oauth_app_id names no OAuth app") || len(w.dev.accounts)+len(w.dev.credentials) != 0) {
				t.Errorf("%s %s by %s of %s: %d %s", ask[0], ask[1], c.client, c.app, a.status, a.body)
			}
		}
	}
}

func TestConfigIsMerged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patch := func(body string) answer { return w.call(backend, "PATCH", "/v1/users/a%2Fb", body) }
	patch(`{"config":{"channel":"C1","limits":{"a":1}}}`)
	a := patch(`{"config":{"channel":null,"plan":"pro"}}`)
	if a.status != 200 || a.field(t, "user") != "a/b" || fmt.Sprint(a.field(t, "config")) != "map[limits:map[a:1] plan:pro]" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if shown := w.call(backend, "GET", "/v1/users/a%2Fb", ""); shown.field(t, "config.plan") != "pro" {
		t.Errorf("%s", shown.body)
	}
	for _, bad := range []string{`{}`, `{"config":null}`, `{"config":{"":1}}`, `{"config":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`} {
		flat(t, patch(bad), 400, "invalid")
	}
}

func TestForgettingTellsWhatWasDoneAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	w := peopled(t)
	w.run(behalf.StateOK, func(r *behalf.Run, _ *behalf.Event) { r.User = "abc-123" })
	w.dev.writes()
	first := w.call(ours, "POST", "/v1/users/forget", `{"user":"abc-123"}`)
	if got := w.dev.writes(); len(got) == 0 || got[0] != "PutTombstone" || got[len(got)-1] != "DeleteRuns" {
		t.Errorf("writes %v: first nothing may run, then the rest goes", got)
	}
	if first.status != 200 || first.field(t, "accounts") != 2.0 || first.field(t, "credentials") != 2.0 || first.field(t, "erased.history") != 1.0 ||
		first.field(t, "settled") != false || strings.Contains(first.body, "abc-123") {
		t.Errorf("%d %s", first.status, first.body)
	}
	second := w.call(ours, "POST", "/v1/users/forget", `{"user":"abc-123"}`)
	if second.status != 200 || second.field(t, "accounts") != 0.0 || second.field(t, "forgotten_at") != first.field(t, "forgotten_at") {
		t.Errorf("%d %s", second.status, second.body)
	}
	if w.dev.credentials["apn_c3"] == "" || w.dev.credentials["apn_own"] == "" {
		t.Error("another user's went too")
	}
}
