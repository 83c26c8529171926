package app_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const chat = `slug: chat
name: Chat
description: Talk
docs: https://chat.example/docs
base_url: https://api.chat.example/v1/
hosts: [files.chat.example]
auth:
  type: oauth2
  docs: https://chat.example/docs/oauth
  authorize: https://chat.example/oauth/v2/authorize
  token: /oauth.access
  scopes: [read, write]
  scope_separator: ","
  authorize_params: { access_type: offline }
  client: basic
  refresh: keeps
  send:
    - { header: Authorization, value: "Bearer {oauth_access_token}" }
fields:
  oauth_access_token: { from: credential }
  oauth_uid: { from: credential, optional: true, public: true }
`

func load(t *testing.T, files map[string]string) (app.Catalog, error) {
	t.Helper()
	return app.Load(folder(files))
}

func folder(files map[string]string) fs.FS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// credential makes a credential of names and values in turn.
func credential(pairs ...string) map[string]secret.String {
	c := map[string]secret.String{}
	for pair := range slices.Chunk(pairs, 2) {
		c[pair[0]] = secret.New(pair[1])
	}
	return c
}

func standard(tb testing.TB) app.Catalog {
	tb.Helper()
	apps, err := app.Load(configs.Apps())
	if err != nil {
		tb.Fatal(err)
	}
	return apps
}

func TestTheCatalogueLoads(t *testing.T) {
	t.Parallel()
	apps := standard(t)
	want := []behalf.AppSlug{
		"airtable_oauth", "custom", "github", "gmail", "google_calendar", "google_sheets", "hubspot", "jira", "linear", "microsoft_teams", "notion", "openai",
		"postgresql", "practice", "salesforce_rest_api", "slack", "stripe",
	}
	entries, err := fs.ReadDir(configs.Apps(), ".")
	if err != nil || len(entries) != len(want) || !slices.Equal(apps.Slugs(), want) {
		t.Errorf("%d files make %v, %v", len(entries), apps.Slugs(), err)
	}
	practice, ok := apps.App("practice")
	if !ok || !apps.Known("practice") || apps.Known("trello") {
		t.Fatalf("known are %v", apps.Slugs())
	}
	if practice.Auth.Type != app.OAuth2 || practice.Auth.TokenURL != "" || practice.BaseURL != "" || !practice.Auth.PKCE {
		t.Errorf("got %+v", practice)
	}
}

// Every app says where it is documented, and, unless it has no HTTP API, where its credential goes.
func TestEveryAppIsWhole(t *testing.T) {
	t.Parallel()
	apps := standard(t)
	for _, slug := range apps.Slugs() {
		a, _ := apps.App(slug)
		if slug != "practice" && a.Docs == "" || a.Name == "" || a.Description == "" {
			t.Errorf("%s lacks its docs, name or description", slug)
		}
		if a.Auth.Type == app.OAuth2 && slug != "practice" && (a.Auth.Docs == "" || a.Auth.AuthorizeURL == "" || a.Auth.TokenURL == "") {
			t.Errorf("%s: %+v", slug, a.Auth)
		}
		if (len(a.Auth.Send) == 0) != (slug == "postgresql") {
			t.Errorf("%s sends %v", slug, a.Auth.Send)
		}
	}
}

func TestAnAppIsReadWhole(t *testing.T) {
	t.Parallel()
	apps, err := load(t, map[string]string{"chat.yaml": chat, "README.md": "not an app"})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := apps.App("chat")
	if got.BaseURL != "https://api.chat.example/v1" || got.Auth.AuthorizeURL != "https://chat.example/oauth/v2/authorize" ||
		got.Auth.TokenURL != "https://api.chat.example/v1/oauth.access" || !slices.Equal(got.Auth.Scopes, []string{"read", "write"}) {
		t.Errorf("got %+v", got)
	}
	if got.Auth.ScopeSeparator != "," || got.Auth.Client != app.ClientBasic || got.Auth.Refresh != app.RefreshKeeps ||
		!maps.Equal(got.Auth.AuthorizeParams, map[string]string{"access_type": "offline"}) {
		t.Errorf("got %+v", got.Auth)
	}
	if want := []string{"api.chat.example", "files.chat.example"}; !slices.Equal(got.Hosts, want) {
		t.Errorf("hosts are %v, want %v", got.Hosts, want)
	}
	if want := (app.Field{Name: "oauth_uid", From: app.FromCredential, Optional: true, Public: true}); got.Fields[1] != want {
		t.Errorf("got %+v, want %+v", got.Fields[1], want)
	}
}

func TestAFileThatSaysNothingOfOAuthGetsTheDefaults(t *testing.T) {
	t.Parallel()
	practice, _ := standard(t).App("practice")
	apps, err := load(t, map[string]string{"a.yaml": `{slug: a, name: A, base_url: "https://a.example", fields: {t: {from: credential}},
  auth: {type: oauth2, authorize: /a, token: /t, send: [{header: X-Key, value: "{t}"}]}}`})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := apps.App("a")
	for _, got := range []app.Auth{a.Auth, practice.Auth} {
		if got.ScopeSeparator != " " || got.Client != app.ClientPost || got.Refresh != app.RefreshRotates {
			t.Errorf("got %+v", got)
		}
	}
}

func TestWithURLMovesOneAppInACopy(t *testing.T) {
	t.Parallel()
	apps, err := load(t, map[string]string{"chat.yaml": chat})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := apps.WithURL("chat", "http://127.0.0.1:4000/mock/")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := moved.App("chat")
	if got.BaseURL != "http://127.0.0.1:4000/mock" || got.Auth.AuthorizeURL != "http://127.0.0.1:4000/mock/oauth/v2/authorize" ||
		got.Auth.TokenURL != "http://127.0.0.1:4000/mock/oauth.access" || !slices.Equal(got.Hosts, []string{"127.0.0.1"}) {
		t.Errorf("got %+v", got)
	}
	if before, _ := apps.App("chat"); before.BaseURL != "https://api.chat.example/v1" {
		t.Errorf("the first catalogue moved too: %s", before.BaseURL)
	}
	for _, bad := range []string{"", "127.0.0.1:4000", "ftp://h/", "http://", "http://u:p@h/", "http://h/?q", "http://h/#f", "http://h/?"} {
		if _, err := apps.WithURL("chat", bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	if _, err := apps.WithURL("slack", "http://h/"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown app: %v", err)
	}
}

func TestATeamAddsItsOwnApps(t *testing.T) {
	t.Parallel()
	apps, err := app.Load(configs.Apps(), folder(map[string]string{"chat.yaml": chat}))
	if err != nil || !apps.Known("chat") || !apps.Known("slack") {
		t.Fatalf("known are %v, %v", apps.Slugs(), err)
	}
	own, _ := apps.App("chat")
	if standard, _ := apps.App("slack"); !own.Own || standard.Own {
		t.Error("what is the team's own is not told apart")
	}
	_, err = app.Load(configs.Apps(), folder(map[string]string{
		"chat.yml": chat, "talk.yaml": "slug: talk\nname: Talk\nbase_url: https://t.example\n" +
			"auth: { type: oauth2, authorize: /a, token: /t, send: [{ header: Authorization, value: \"{oauth_access_token}\" }] }\n" +
			"fields: { oauth_access_token: { from: credential, public: true } }\n",
	}))
	if want := "chat.yml: the file of an app ends in .yaml; hint: rename it to chat.yaml\n" +
		"talk.yaml:5: an access token is a secret; hint: leave public out"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, err = app.Load(configs.Apps(), folder(map[string]string{"slack.yaml": `slug: slack
name: Another
base_url: https://evil.example
auth: { type: keys, send: [{ query: key, value: "{k}" }] }
fields: { k: { from: credential } }
`}))
	if want := "slack.yaml:1: there is an app slack already; hint: give yours another slug, and its file the same name"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestEveryMistakeOfEveryFileIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, map[string]string{
		"a.yaml": "slug: b\nname: 1\ndocs: http://x\nbase_url: https://u@x\nauth: { type: magic }\nfields: {}\nextra: 1\n",
		"b.yaml": "slug: B!\nname: B\nbase_url: at_start\nauth: { type: oauth2, authorize: \"//evil/x\", pkce: 1 }\nfields: { A: { from: nowhere }, b: {} }\nhosts: [X.example]\n",
		"c.yaml": "slug: c\nname: C\nbase_url: https://c.example\nauth: { type: keys, token: /x, send: [] }\nfields: { api_key: { from: credential } }\n",
		"d.yaml": "",
		"e.yaml": `slug: e
name: E
base_url: https://e.{region}
auth:
  type: oauth2
  authorize: /a
  token: /t
  client: secret
  refresh: often
  authorize_params: { state: x, n: 1 }
  send:
    - { header: Authorization }
    - { header: Host, value: "{token}" }
    - { header: X, query: y, value: "{nobody}", unless: [nothing] }
    - { basic: "{token}", value: x }
    - { value: x }
    - { query: q, value: "{token" }
fields:
  token: { from: credential }
  base: { from: app, optional: true }
`,
		"f.yaml": "slug: f\nname: F\nbase_url: none\nauth: { type: keys, send: [{ query: q, value: \"{k}\" }] }\nfields: { k: { from: credential } }\n",
		"g.yaml": "slug: g\nname: G\nbase_url: \"{where\"\nauth: { type: keys, send: [{ query: q, value: \"{k}\" }] }\nfields: { k: { from: credential } }\n",
		"h.yaml": "slug: h\nname: H\nbase_url: \"{where}\"\nauth: { type: keys, send: [{ query: q, value: \"{k}\" }] }\nfields: { k: { from: credential } }\n",
	})
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	want := `a.yaml:1: the slug is not the file's name; hint: write slug: a, or rename the file
a.yaml:2: name must be a text, not a number
a.yaml:3: this must be an https URL without query or fragment; hint: write https://…
a.yaml:4: this must be an https URL without query or fragment; hint: write https://…
a.yaml:5: this is no way of authentication; hint: write type: oauth2 or type: keys
a.yaml:5: auth.send is missing; hint: write send: and where the credential goes: - { header: Authorization, value: "Bearer {oauth_access_token}" }
a.yaml:6: there must be at least one field; hint: write oauth_access_token: { from: credential }
a.yaml:7: there is no field "extra" here; hint: write auth, base_url, description, docs, fields, hosts, name, slug, sources, test, unverified or within
b.yaml:1: app must be lower-case letters, digits, - and _, at most 64
b.yaml:4: this is not a path; hint: write a path such as /oauth/token
b.yaml:4: auth.token is missing; hint: write token: https://… , or a path of the base URL
b.yaml:4: auth.pkce must be true or false, not a number
b.yaml:4: auth.send is missing; hint: write send: and where the credential goes: - { header: Authorization, value: "Bearer {oauth_access_token}" }
b.yaml:5: a field's name must be lower-case letters, digits and _, at most 64
b.yaml:5: this is no origin of a field; hint: write from: credential or from: app
b.yaml:5: fields.b.from is missing; hint: write { from: credential } or { from: app }
b.yaml:6: a host must be a full name in lower case, without scheme, port or path; hint: write hosts: [api.example.com]
c.yaml:4: the credential must go somewhere; hint: write send: and a list: - { header: Authorization, value: "Bearer {oauth_access_token}" }
c.yaml:4: token is only for type: oauth2; hint: leave it out
d.yaml:1: the file is empty
e.yaml:3: with a field in it, the address must still be https and end in a host of the service's own; hint: write https://{subdomain}.example.com
e.yaml:3: there is no field region of the credential; hint: write region: { from: credential } under fields, or another name here
e.yaml:8: this word is not known here; hint: write "basic" or "post"
e.yaml:9: this word is not known here; hint: write "keeps", "none" or "rotates"
e.yaml:10: state is set by Behalf itself; hint: leave it out
e.yaml:10: auth.authorize_params.n must be a text, not a number; hint: write a text, in quotes where it looks like a number
e.yaml:11: there is no field nothing of the credential; hint: write nothing: { from: credential } under fields, or another name here
e.yaml:11: there is no field nobody of the credential; hint: write nobody: { from: credential } under fields, or another name here
e.yaml:12: auth.send[0].value is missing; hint: write { header: Authorization, value: "Bearer {field}" }, { query: api_key, value: "{field}" } or { basic: "{user}:{password}" }
e.yaml:13: this is no header for a credential; hint: write header: Authorization
e.yaml:14: there is a header here already; hint: write another entry of the list
e.yaml:15: value is not for basic; hint: write basic: "{user}:{password}"
e.yaml:15: a colon must stand between user and password; hint: write basic: "{user}:{password}"
e.yaml:16: this says no place; hint: write { header: Authorization, value: "Bearer {field}" }, { query: api_key, value: "{field}" } or { basic: "{user}:{password}" }
e.yaml:17: there is a { without its }; hint: write {field} for a field of the credential
e.yaml:20: a field from: app has nothing else to say; hint: write { from: app }
f.yaml:4: an app with base_url: none gets no requests; hint: leave send out, or write the base_url
g.yaml:3: there is a { without its }; hint: write https://{subdomain}.example.com, where the account's credential has a field subdomain
h.yaml:3: there is no field where of the credential; hint: write where: { from: credential } under fields, or another name here`
	if err.Error() != want {
		t.Errorf("got\n%v", err)
	}
}

type brokenFS struct{ fstest.MapFS }

func (brokenFS) ReadFile(string) ([]byte, error) { return nil, errors.New("disk on fire") }

func TestAFolderThatCannotBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	if _, err := app.Load(brokenFS{fstest.MapFS{"a.yaml": {}}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestStepAuthHasDefaultsAndNoMore(t *testing.T) {
	t.Parallel()
	postgresql, _ := standard(t).App("postgresql")
	auth := postgresql.StepAuth(credential("host", "db.example", "password", "secret-1", "other", "x"))
	if len(auth) != 4 || auth["port"].Reveal() != "5432" || auth["sslmode"].Reveal() != "verify-full" || auth["password"].Reveal() != "secret-1" {
		t.Errorf("got %d fields", len(auth))
	}
	custom, _ := standard(t).App("custom")
	if auth := custom.StepAuth(credential("api_key", "k")); len(auth) != 1 {
		t.Errorf("got %d fields", len(auth))
	}
}

func TestPublicFieldsAreNoSecrets(t *testing.T) {
	t.Parallel()
	custom, _ := standard(t).App("custom")
	secrets := custom.Secrets(credential("api_key", "key-1", "base_url", "https://api.example", "header", "X-Key", "unknown", "u-1"))
	var got []string
	for _, s := range secrets {
		got = append(got, s.Reveal())
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"key-1", "u-1"}) {
		t.Errorf("got %v", got)
	}
}

func ExampleApp_StepAuth() {
	apps, err := app.Load(configs.Apps())
	if err != nil {
		fmt.Println(err)
		return
	}
	apps, err = apps.WithURL("practice", "http://127.0.0.1:4001")
	if err != nil {
		fmt.Println(err)
		return
	}
	practice, _ := apps.App("practice")
	auth := practice.StepAuth(map[string]secret.String{
		"oauth_access_token":  secret.New("at-1"),
		"oauth_refresh_token": secret.New("rt-1"),
	})
	for _, field := range practice.Fields {
		fmt.Println(field.Name, auth[field.Name], auth[field.Name].Reveal())
	}
	_, leaked := auth["oauth_refresh_token"]
	fmt.Println("refresh token:", leaked)
	// Output:
	// oauth_access_token *** at-1
	// base_url *** http://127.0.0.1:4001
	// refresh token: false
}
