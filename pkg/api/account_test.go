package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const canary = "xoxb-canary-credential"

func TestAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	credential := `{"oauth_access_token":"` + canary + `"}`
	made := w.call(backend, "POST", "/v1/accounts", `{"app":"slack","user":"abc/123 é","credential":`+credential+`}`)
	if made.status != 200 || made.field(t, "app") != "slack" || made.field(t, "user") != "abc/123 é" || made.field(t, "healthy") != true {
		t.Fatalf("%d %s", made.status, made.body)
	}
	id, _ := made.field(t, "id").(string)
	if got := w.dev.writes(); !slices.Equal(got, []string{"PutCredential", "EnsureUser", "PutAccount"}) {
		t.Errorf("writes: %v; the credential comes first, then the user, then the record", got)
	}
	if w.dev.credentials[behalf.AccountID(id)] != credential {
		t.Errorf("credential: %s", w.dev.credentials[behalf.AccountID(id)])
	}
	own := w.call(backend, "POST", "/v1/accounts", `{"app":"github","own":true,"name":"main","credential":{"token":"`+canary+`"}}`)
	if own.status != 200 || own.field(t, "own") != true || own.field(t, "name") != "main" || own.field(t, "user") != nil {
		t.Fatalf("%d %s", own.status, own.body)
	}
	list := func(query string) answer { return w.call(backend, "GET", "/v1/accounts"+query, "") }
	user := url.QueryEscape("abc/123 é")
	for query, n := range map[string]float64{
		"?user=" + user: 1, "?user=" + user + "&app=slack": 1, "?user=" + user + "&app=github": 0, "?user=nobody": 0,
		"?own=true": 1, "?own=true&app=github": 1, "?own=true&app=slack": 0,
	} {
		if a := list(query); a.status != 200 || a.field(t, "page_info.count") != n || a.field(t, "page_info.end_cursor") != nil {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	show := w.call(backend, "GET", "/v1/accounts/"+id, "")
	if show.status != 200 || show.body != made.body {
		t.Errorf("%d %s", show.status, show.body)
	}
	shownUser := w.call(backend, "GET", "/v1/users/"+url.PathEscape("abc/123 é"), "")
	if shownUser.field(t, "accounts.0.id") != id {
		t.Errorf("%d %s", shownUser.status, shownUser.body)
	}
	for _, a := range []answer{made, own, show, shownUser, list("?own=true")} {
		if strings.Contains(a.body, canary) {
			t.Errorf("a credential came out: %s", a.body)
		}
	}
	for _, query := range []string{"", "?user=a&own=true", "?own=false", "?own=", "?own=1", "?user=", "?include_credentials=true&user=a", "?limit=1&user=a"} {
		flat(t, list(query), 400, "invalid")
	}
	flat(t, w.call(backend, "GET", "/v1/accounts/"+id+"?include_credentials=true", ""), 400, "invalid")

	w.dev.writes()
	if a := w.call(backend, "DELETE", "/v1/accounts/"+id, ""); a.status != 204 || a.body != "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := w.dev.writes(); !slices.Equal(got, []string{"DeleteCredential", "DeleteAccount"}) {
		t.Errorf("writes: %v", got)
	}
	flat(t, w.call(backend, "DELETE", "/v1/accounts/"+id, ""), 404, "not_found")
	if a := w.call(backend, "GET", "/v1/users/"+url.PathEscape("abc/123 é"), ""); a.status != 200 {
		t.Errorf("losing the last account does not remove a user: %d", a.status)
	}
	if strings.Contains(w.log.String(), canary) {
		t.Error("a credential is in the log")
	}
}

// TestAccountHalfStored breaks each step of storing and deleting in turn.
func TestAccountHalfStored(t *testing.T) {
	t.Parallel()
	create := `{"app":"slack","user":"u","credential":{"token":"` + canary + `"}}`
	away, refused := fault.Wrap(fault.Unavailable, "x", errors.New("10.0.0.7")), fault.New(fault.Conflict, "x", "there is one")
	for name, c := range map[string]struct {
		method string
		err    error
		status int
		kept   bool
	}{
		"the credential is refused":               {"PutCredential", fault.New(fault.Invalid, "x", "no credential of slack"), 400, false},
		"the credential's store is away":          {"PutCredential", away, 503, false},
		"the user cannot be made":                 {"EnsureUser", fault.New(fault.Invalid, "x", "no user"), 400, false},
		"the record is refused for good":          {"PutAccount", refused, 409, false},
		"it is not known whether the record lies": {"PutAccount", away, 503, true},
	} {
		w := newWorld(t)
		w.dev.fail(c.method, c.err)
		a := w.call(ours, "POST", "/v1/accounts", create)
		if a.status != c.status || (len(w.dev.credentials) > 0) != c.kept {
			t.Errorf("%s: %d %s, credentials left: %d", name, a.status, a.body, len(w.dev.credentials))
		}
	}
	t.Run("a half deleted account can be deleted again", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		id, _ := w.call(ours, "POST", "/v1/accounts", create).field(t, "id").(string)
		w.dev.fail("DeleteAccount", away)
		flat(t, w.call(ours, "DELETE", "/v1/accounts/"+id, ""), 503, "unavailable")
		if len(w.dev.credentials) != 0 {
			t.Error("the secret is what must go first")
		}
		w.dev.fail("DeleteAccount", nil)
		w.dev.fail("DeleteCredential", fault.New(fault.NotFound, "x", "none"))
		if a := w.call(ours, "DELETE", "/v1/accounts/"+id, ""); a.status != 204 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	odd := []string{
		"abc-123", "a/b", "/a", "a/", "a//b", ".", "..", "../..", "a b", "a+b", "a%2Fb", "é", "用户", "🦊", "a?b=c", "a#b", "a;b", "*", ">", "a.b", `a\b`,
		"__proto__", "null", "\u202egnp", strings.Repeat("x", 250), strings.Repeat("é", 250), "{user}", "%", "auth0|123", "a@b.c",
	}
	for i, u := range odd {
		w.dev.users[key(mine, u)] = behalf.ExternalUser{ID: behalf.UserRecordID(fmt.Sprint("exu_", i)), Project: mine, External: behalf.ExternalUserID(u)}
	}
	w.dev.users[key(theirs, "stranger")] = behalf.ExternalUser{Project: theirs, External: "stranger"}
	escape := func(u string) string { // as 3.x does, and dots too: a path of dots is no path
		return strings.ReplaceAll(url.PathEscape(u), ".", "%2E")
	}
	for i, u := range odd {
		a := w.call(backend, "GET", "/v1/users/"+escape(u), "")
		if a.status != 200 || a.field(t, "user") != u || a.field(t, "id") != fmt.Sprint("exu_", i) {
			t.Errorf("%q: %d %s", u, a.status, a.body)
		}
	}
	if a := w.call(backend, "GET", "/v1/users/a/b", ""); a.status != 200 { // 1.8 does not escape
		t.Errorf("a slash as it is: %d", a.status)
	}
	for _, u := range []string{"nobody", "%00", "a%0Ab", "%ff", strings.Repeat("x", 251), "%20%0d", "stranger"} {
		flat(t, w.call(backend, "GET", "/v1/users/"+u, ""), 404, "not_found")
	}
	seen, cursor := []string{}, ""
	for pages := 0; ; pages++ {
		a := w.call(backend, "GET", "/v1/users?limit=7"+cursor, "")
		var got struct {
			Data []struct {
				User string `json:"user"`
			} `json:"data"`
			Info struct {
				Cursor *string `json:"end_cursor"`
			} `json:"page_info"`
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || pages > len(odd) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, d := range got.Data {
			seen = append(seen, d.User)
		}
		if got.Info.Cursor == nil {
			break
		}
		cursor = "&after=" + url.QueryEscape(*got.Info.Cursor)
	}
	slices.Sort(odd)
	slices.Sort(seen)
	if !slices.Equal(seen, odd) {
		t.Errorf("pages give %q", seen)
	}
	for _, query := range []string{"?after=*", "?after=AAAA", "?limit=101", "?before=x"} {
		flat(t, w.call(backend, "GET", "/v1/users"+query, ""), 400, "invalid")
	}
}

// TestBadBodies sends what strangers send, to every route that reads a body.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account := func(fields string) string { return `{"app":"slack","credential":{"a":"b"},` + fields + `}` }
	bodies := map[string]string{
		"empty": "", "white space": "  ", "null": "null", "true": "true", "number": "1", "text": `"x"`, "quote": `"`, "list": "[]", "object": "{}",
		"1e309": "1e309", "-0": "-0", "NaN": "NaN", "comment": "/* */{}", "single quotes": "{'app':'slack'}", "comma behind": `{"app":"slack",}`,
		"deep": strings.Repeat("[", 100_000), "deep objects": strings.Repeat(`{"a":`, 50_000), "BOM": "\ufeff{}", "UTF-16": "\xff\xfe{\x00}\x00",
		"not UTF-8": "{\"app\":\"\xff\xfe\"}", "lone surrogate": `{"app":"\ud800"}`, "NUL": "\x00", "garbage behind": "{} x", "two": "{}{}",
		"1 MiB key": `{"` + strings.Repeat("k", 1<<20) + `":1}`, "gzip": "\x1f\x8b\x08\x00", "XML": "<a/>", "a form": "app=slack&user=u",
		"multipart": "--x\r\nContent-Disposition: form-data; name=\"files[].filepath\"\r\n\r\n/etc/passwd\r\n--x--", "prototype": `{"__proto__":{"admin":true}}`,
		"100,000 keys": "{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 100_000), ",") + "}",

		"app missing": `{"user":"u","credential":{}}`, "app a number": `{"app":1}`, "app null": `{"app":null,"user":"u","credential":{}}`,
		"app unknown": `{"app":"evil","user":"u","credential":{}}`, "app a path": `{"app":"../slack","user":"u","credential":{}}`,
		"app a wildcard": `{"app":">","user":"u","credential":{}}`, "app in capitals": `{"app":"SLACK","user":"u","credential":{}}`,
		"app long": `{"app":"` + strings.Repeat("a", 65) + `","user":"u","credential":{}}`,
		"nobody":   account(`"name":"x"`), "user empty": account(`"user":""`), "user null": account(`"user":null`), "user a number": account(`"user":1`),
		"user a list": account(`"user":["u"]`), "user with a control character": account(`"user":"a\u0000b"`), "user with a line end": account(`"user":"a\nb"`),
		"user long": account(`"user":"` + strings.Repeat("x", 251) + `"`), "user and own": account(`"user":"u","own":true,"name":"main"`),
		"own without a name": account(`"own":true`), "own with a path": account(`"own":true,"name":"a/b"`), "own with a dot": account(`"own":true,"name":"a.b"`),
		"own as text": account(`"own":"true","name":"main"`), "own false": account(`"own":false,"name":"main"`), "own name long": account(`"own":true,"name":"` + strings.Repeat("n", 65) + `"`),
		"name with a control character": account(`"user":"u","name":"a\u001bb"`), "name long": account(`"user":"u","name":"` + strings.Repeat("n", 251) + `"`),
		"credential missing": `{"app":"slack","user":"u"}`, "credential null": `{"app":"slack","user":"u","credential":null}`,
		"credential text": `{"app":"slack","user":"u","credential":"xoxb"}`, "credential a list": `{"app":"slack","user":"u","credential":[]}`,
		"credential a number": `{"app":"slack","user":"u","credential":1}`, "id set": account(`"user":"u","id":"apn_x"`), "project set": account(`"user":"u","project":"proj_theirs"`),
		"environment set": account(`"user":"u","environment":"production"`), "include_credentials": account(`"user":"u","include_credentials":true`),

		"folder missing": `{"files":{"workflow.yaml":"none"}}`, "folder empty": `{"folder":"","files":{"workflow.yaml":"none"}}`, "folder a number": `{"folder":1,"files":{}}`,
		"files missing": `{"folder":"f"}`, "files empty": `{"folder":"f","files":{}}`, "files null": `{"folder":"f","files":null}`, "files a list": `{"folder":"f","files":["a"]}`,
		"files of objects": `{"folder":"f","files":{"workflow.yaml":{}}}`, "no workflow.yaml": `{"folder":"f","files":{"a.mjs":""}}`,
		"project in a deploy": `{"folder":"f","files":{"workflow.yaml":"none"},"project":"proj_theirs"}`,
		"5 MiB":               `{"folder":"f","files":{"workflow.yaml":"` + strings.Repeat("x", 5<<20) + `"}}`,
	}
	for _, route := range []string{"/v1/accounts", "/v1/deploy"} {
		for name, body := range bodies {
			for _, contentType := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
				a := w.call(ours, "POST", route, body, "Content-Type", contentType)
				if a.status < 400 || a.status >= 500 {
					t.Errorf("%s, %s as %q: %d %.200s", route, name, contentType, a.status, a.body)
				}
				if len(a.body) > 500 {
					t.Errorf("%s, %s: an answer of %d bytes", route, name, len(a.body))
				}
			}
		}
	}
	for env, m := range map[string]*memory{"production": w.prod, "development": w.dev} {
		if got := m.writes(); len(got) > 0 {
			t.Errorf("%s was written to: %v", env, got)
		}
	}
	t.Logf("%d bad bodies, 4 content types, 2 routes", len(bodies))
}
