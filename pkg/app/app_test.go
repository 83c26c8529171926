package app_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const chat = `slug: chat
name: Chat
docs: https://chat.example/docs
base_url: https://api.chat.example/v1/
hosts: [files.chat.example]
auth:
  type: oauth2
  authorize: https://chat.example/oauth/v2/authorize
  token: /oauth.access
  scopes: [read, write]
fields:
  oauth_access_token: { from: credential }
  oauth_uid: { from: credential }
`

func load(t *testing.T, files map[string]string) (app.Catalog, error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return app.Load(fsys)
}

func TestTheCatalogueLoads(t *testing.T) {
	t.Parallel()
	apps, err := app.Load(configs.Apps())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(configs.Apps(), ".")
	if err != nil || len(entries) != len(apps.Slugs()) {
		t.Errorf("%d files make %d apps, %v", len(entries), len(apps.Slugs()), err)
	}
	practice, ok := apps.App("practice")
	if !ok || !apps.Known("practice") || apps.Known("slack") {
		t.Fatalf("known are %v", apps.Slugs())
	}
	if practice.Auth.Type != app.OAuth2 || practice.Auth.TokenURL != "" || practice.BaseURL != "" || !practice.Auth.PKCE {
		t.Errorf("got %+v", practice)
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
	if want := []string{"api.chat.example", "files.chat.example"}; !slices.Equal(got.Hosts, want) {
		t.Errorf("hosts are %v, want %v", got.Hosts, want)
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

func TestEveryMistakeOfEveryFileIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, map[string]string{
		"a.yaml": "slug: b\nname: 1\ndocs: http://x\nbase_url: https://u@x\nauth: { type: magic }\nfields: {}\nextra: 1\n",
		"b.yaml": "slug: B!\nname: B\nbase_url: at_start\nauth: { type: oauth2, authorize: \"//evil/x\", pkce: 1 }\nfields: { A: { from: nowhere }, b: {} }\nhosts: [X.example]\n",
		"c.yaml": "slug: c\nname: C\nbase_url: https://c.example\nauth: { type: keys, token: /x }\nfields: { api_key: { from: credential } }\n",
		"d.yaml": "",
	})
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	want := `a.yaml:1: the slug is not the file's name; hint: write slug: a, or rename the file
a.yaml:2: name must be a text, not a number
a.yaml:3: this must be an https URL without query or fragment; hint: write https://…
a.yaml:4: this must be an https URL without query or fragment; hint: write https://…
a.yaml:5: this is no way of authentication; hint: write type: oauth2 or type: keys
a.yaml:6: there must be at least one field; hint: write oauth_access_token: { from: credential }
a.yaml:7: there is no field "extra" here; hint: write auth, base_url, docs, fields, hosts, name or slug
b.yaml:1: app must be lower-case letters, digits, - and _, at most 64
b.yaml:4: this is not a path; hint: write a path such as /oauth/token
b.yaml:4: auth.token is missing; hint: write token: https://… , or a path of the base URL
b.yaml:4: auth.pkce must be true or false, not a number
b.yaml:5: a field's name must be lower-case letters, digits and _, at most 64
b.yaml:5: this is no origin of a field; hint: write from: credential or from: app
b.yaml:5: fields.b.from is missing; hint: write { from: credential } or { from: app }
b.yaml:6: a host must be a full name in lower case, without scheme, port or path; hint: write hosts: [api.example.com]
c.yaml:4: token is only for type: oauth2; hint: leave it out
d.yaml:1: the file is empty`
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
