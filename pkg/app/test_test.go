package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const full = `slug: chat
name: Chat
base_url: https://api.chat.example/v1
hosts: [id.chat.example]
auth:
  type: oauth2
  authorize: https://chat.example/authorize
  token: /token
  revoke: { url: "https://api.chat.example/v1/apps/{client_id}/grant", method: DELETE, token: access, in: json, name: access_token, client: basic }
  tokens:
    format: json
    headers: { X-Version: "2" }
    answer: { oauth_uid: user.id }
    errors: { grant: [gone], client: [wrong], later: [busy] }
    lifetime_seconds: 3600
    grace_seconds: 30
    idle_days: 60
    refresh_days: 365
  send:
    - { header: Authorization, value: "Bearer {oauth_access_token}" }
test: { method: POST, url: https://id.chat.example/me, headers: { X-Version: "2" }, body: '{"query":"{ me }"}', ok: ok, id: me.0.id, name: me.0.name }
fields:
  oauth_access_token: { from: credential }
  oauth_uid: { from: credential, optional: true, public: true }
sources:
  token: https://chat.example/docs?id=1#token
unverified:
  grace: nobody says how long
`

func TestTheTraitsOfTokensAreRead(t *testing.T) {
	t.Parallel()
	a := appOf(t, "chat", full)
	tokens := a.Auth.Tokens
	if tokens.Format != app.FormatJSON || tokens.Headers["X-Version"] != "2" || tokens.Answer["oauth_uid"] != "user.id" || tokens.Errors.Later[0] != "busy" {
		t.Errorf("got %+v", tokens)
	}
	if tokens.Lifetime != time.Hour || tokens.Grace != 30*time.Second || tokens.Idle != 60*24*time.Hour || tokens.RefreshLifetime != 365*24*time.Hour {
		t.Errorf("got %+v", tokens)
	}
	revoke := a.Auth.Revoke
	if revoke.URL != "https://api.chat.example/v1/apps/{client_id}/grant" || revoke.Method != http.MethodDelete || revoke.Token != app.RevokeAccess ||
		revoke.In != app.RevokeInJSON || revoke.Name != "access_token" || revoke.Client != app.RevokeBasic {
		t.Errorf("got %+v", revoke)
	}
	if a.Evidence.Sources["token"] != "https://chat.example/docs?id=1#token" || a.Evidence.Unverified["grace"] != "nobody says how long" {
		t.Errorf("got %+v", a.Evidence)
	}
}

func TestAMovedAppIsRevokedAndTestedAtItsNewPlace(t *testing.T) {
	t.Parallel()
	apps, err := load(t, map[string]string{"chat.yaml": full})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := apps.WithURL("chat", "http://127.0.0.1:4000/mock")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := moved.App("chat")
	if a.Auth.Revoke.URL != "http://127.0.0.1:4000/mock/v1/apps/{client_id}/grant" || a.Test.URL != "http://127.0.0.1:4000/mock/me" {
		t.Errorf("got %s, %s", a.Auth.Revoke.URL, a.Test.URL)
	}
	if _, err := a.TestRequest(t.Context(), credential("oauth_access_token", "at-1")); err != nil {
		t.Error(err)
	}
}

func TestATestRequestCarriesTheCredential(t *testing.T) {
	t.Parallel()
	a := appOf(t, "chat", full)
	req, err := a.TestRequest(t.Context(), credential("oauth_access_token", "at-1"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != `{"query":"{ me }"}` || req.Method != http.MethodPost || req.URL.String() != "https://id.chat.example/me" {
		t.Errorf("got %s %s %s, %v", req.Method, req.URL, body, err)
	}
	if h := req.Header; h.Get("Authorization") != "Bearer at-1" || h.Get("X-Version") != "2" || h.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", h)
	}
	if _, err := a.TestRequest(t.Context(), credential()); !fault.Is(err, fault.Invalid) {
		t.Errorf("no token: %v", err)
	}
	postgresql, _ := standard(t).App("postgresql")
	if _, err := postgresql.TestRequest(t.Context(), credential("host", "h")); !fault.Is(err, fault.NotFound) {
		t.Errorf("a database: %v", err)
	}
}

func TestWhatATestAnswerMeans(t *testing.T) {
	t.Parallel()
	chatApp := appOf(t, "chat", full)
	plain := appOf(t, "chat", strings.Replace(full, ", ok: ok, id: me.0.id, name: me.0.name", "", 1))
	for name, tc := range map[string]struct {
		app    app.App
		status int
		body   string
		want   app.Identity
		kind   fault.Kind
	}{
		"whose it is":            {chatApp, 200, `{"ok":true,"me":[{"id":12345678901234567890,"name":"Jane"}]}`, app.Identity{ID: "12345678901234567890", Name: "Jane"}, 0},
		"no name":                {chatApp, 200, `{"ok":true,"me":[{"id":"u1"}]}`, app.Identity{ID: "u1"}, 0},
		"not ok":                 {chatApp, 200, `{"ok":false,"error":"invalid_auth"}`, app.Identity{}, fault.Invalid},
		"ok is missing":          {chatApp, 200, `{"me":[{"id":"u1"}]}`, app.Identity{}, fault.Invalid},
		"nobody":                 {chatApp, 200, `{"ok":true,"me":[]}`, app.Identity{}, fault.Invalid},
		"errors instead of data": {chatApp, 200, `{"ok":true,"me":null}`, app.Identity{}, fault.Invalid},
		"HTML":                   {chatApp, 200, `<html>`, app.Identity{}, fault.Unavailable},
		"unauthorized":           {chatApp, 401, ``, app.Identity{}, fault.Invalid},
		"forbidden":              {chatApp, 403, `{}`, app.Identity{}, fault.Invalid},
		"too many":               {chatApp, 429, ``, app.Identity{}, fault.Exhausted},
		"broken":                 {chatApp, 502, `{"ok":true}`, app.Identity{}, fault.Unavailable},
		"a redirect":             {chatApp, 302, ``, app.Identity{}, fault.Unavailable},
		"any 200 will do":        {plain, 200, `<html>`, app.Identity{}, 0},
		"nothing will do":        {plain, 204, ``, app.Identity{}, 0},
		"not this":               {plain, 401, ``, app.Identity{}, fault.Invalid},
	} {
		got, err := tc.app.TestAnswer(&http.Response{StatusCode: tc.status, Body: io.NopCloser(strings.NewReader(tc.body))})
		if got != tc.want || fault.KindOf(err) != tc.kind && err != nil || (err == nil) != (tc.kind == 0) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestPickReadsOnlyWhatStandsThere(t *testing.T) {
	t.Parallel()
	var document any
	if err := json.Unmarshal([]byte(`{"a":{"b":[1,{"c":"x"}],"t":true,"n":null,"f":2.5}}`), &document); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{"a.b.0": "1", "a.b.1.c": "x", "a.t": "true", "a.f": "2.5"} {
		if got, ok := app.Pick(document, place); got != want || !ok {
			t.Errorf("%s: %q, %v", place, got, ok)
		}
	}
	for _, place := range []string{"", "a", "a.b", "a.b.2", "a.b.-1", "a.b.x", "a.n", "a.t.x", "z"} {
		if got, ok := app.Pick(document, place); ok {
			t.Errorf("%q: %q", place, got)
		}
	}
}

func TestAnAccountsAddressLiesWithinTheService(t *testing.T) {
	t.Parallel()
	salesforce, _ := standard(t).App("salesforce_rest_api")
	for _, good := range []string{"https://acme.my.salesforce.com", "https://Acme--dev.sandbox.my.salesforce.com/", "https://na1.salesforce.com"} {
		if _, err := salesforce.Base(credential("instance_url", good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"https://evil.example", "https://salesforce.com", "https://evilsalesforce.com", "https://a.salesforce.com.evil.example", "https://a.salesforce.com:8443",
		"http://a.salesforce.com", "https://a@evil.example/.salesforce.com", "https://evil.example?.salesforce.com", "https://evil.example#.salesforce.com",
		"https://.salesforce.com", "https://..salesforce.com", "https://a..salesforce.com", "https://ev\u0131l.salesforce.com", "https://a_b.salesforce.com",
		"https://a.salesforce.com.", "https://evil.example\\.salesforce.com", "https://evil.example%2f.salesforce.com",
	} {
		if base, err := salesforce.Base(credential("instance_url", bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s makes %v, %v", bad, base, err)
		}
	}
}

func TestEveryMistakeAboutTokensIsTold(t *testing.T) {
	t.Parallel()
	_, err := load(t, map[string]string{"chat.yaml": `slug: chat
name: Chat
base_url: https://api.chat.example
within: [chat.example, X]
auth:
  type: oauth2
  authorize: /a
  token: /t
  revoke: { method: PUT, token: both, in: bearer, name: x, client: y, more: z }
  tokens: { format: xml, headers: { Authorization: x, Host: y, A: 1 }, answer: { oauth_access_token: a, other: "b..c" }, errors: { gone: [a] }, lifetime_seconds: 0, idle_days: 9999, x: 1 }
  send: [{ header: Authorization, value: "Bearer {oauth_access_token}" }]
test: { method: PUT, url: https://evil.example/me, body: "{", ok: "a b", id: "", more: 1 }
fields: { oauth_access_token: { from: credential } }
sources: { token: http://x, taste: https://x.example, grace: https://x.example }
unverified: { grace: unknown, pkce: 1 }
`, "desk.yaml": `slug: desk
name: Desk
base_url: "{where}"
within: [desk.example]
auth:
  type: oauth2
  authorize: https://desk.example/a
  token: https://{where}.desk.example/t
  revoke: { url: "https://{client_id}.desk.example/revoke" }
  send: [{ header: Authorization, value: "Bearer {where}" }]
test: { url: https://desk.example/me }
fields: { where: { from: credential } }
`})
	want := `chat.yaml:4: a host must be a full name in lower case, without scheme, port or path; hint: write hosts: [api.example.com]
chat.yaml:4: within is only for a base_url that is a field of the account; hint: write base_url: "{instance_url}", or leave within out`
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("got\n%v", err)
	}
	for _, part := range []string{
		`chat.yaml:9: there is no field "more" here`, "chat.yaml:9: auth.revoke.url is missing", `chat.yaml:9: this word is not known here; hint: write "DELETE" or "POST"`,
		`chat.yaml:9: this word is not known here; hint: write "access" or "refresh"`, "chat.yaml:9: a bearer has no name",
		`chat.yaml:9: this word is not known here; hint: write "as_token", "basic", "none" or "post"`,
		`chat.yaml:10: there is no field "x" here`, `chat.yaml:10: this word is not known here; hint: write "form" or "json"`,
		"chat.yaml:10: this header is not for the file to set; hint: leave it out", "chat.yaml:10: auth.tokens.headers.A must be a text, not a number",
		"chat.yaml:10: this is no place in a JSON document", "chat.yaml:10: auth.tokens.lifetime_seconds must be from 1 to", "chat.yaml:10: auth.tokens.idle_days must be from 1 to 3650",
		`chat.yaml:10: there is no field "gone" here`, "chat.yaml:5: oauth_access_token is read by Behalf itself", "chat.yaml:5: there is no field other of the credential",
		`chat.yaml:12: there is no field "more" here`, `chat.yaml:12: this word is not known here; hint: write "GET" or "POST"`,
		"chat.yaml:12: the credential may not be sent to this host", "chat.yaml:12: this is no JSON", "chat.yaml:12: this is no place in a JSON document",
		`chat.yaml:14: there is no field "taste" here`, "chat.yaml:14: the source of token must be an https URL", "chat.yaml:15: grace has a source",
		"chat.yaml:15: unverified.pkce must be a text", "desk.yaml:8: this must be an https URL", "desk.yaml:9: {client_id} must be a part of the path",
		"desk.yaml:11: the credential may not be sent to this host",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not told:\n%v", part, err)
		}
	}
}

func ExampleApp_TestRequest() {
	apps, err := app.Load(configs.Apps())
	if err != nil {
		fmt.Println(err)
		return
	}
	linear, _ := apps.App("linear")
	req, err := linear.TestRequest(context.Background(), map[string]secret.String{"oauth_access_token": secret.New("lin-1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(req.Method, req.URL, req.Header.Get("Authorization"))

	answer := &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"data":{"viewer":{"id":"u-1","name":"Jane"}}}`))}
	who, err := linear.TestAnswer(answer)
	fmt.Println(who.ID, who.Name, err)
	// Output:
	// POST https://api.linear.app/graphql Bearer lin-1
	// u-1 Jane <nil>
}
