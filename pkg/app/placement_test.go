package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const desk = `slug: desk
name: Desk
base_url: https://{subdomain}.desk.example/api/{version}
hosts: [files.desk.example]
auth: { type: keys, send: [{ basic: "{email}/token:{api_token}" }] }
fields:
  subdomain: { from: credential, public: true }
  version: { from: credential, public: true, default: v2 }
  email: { from: credential, public: true }
  api_token: { from: credential }
`

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func appOf(t *testing.T, name, text string) app.App {
	t.Helper()
	apps, err := load(t, map[string]string{name + ".yaml": text})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := apps.App("desk")
	if name != "desk" {
		a, _ = apps.App("chat")
	}
	return a
}

func TestFieldsInAnAddressCannotLeadAway(t *testing.T) {
	t.Parallel()
	a := appOf(t, "desk", desk)
	base, err := a.Base(credential("subdomain", "acme-1"))
	if err != nil || base.String() != "https://acme-1.desk.example/api/v2" {
		t.Fatalf("got %v, %v", base, err)
	}
	for _, bad := range []string{
		"", "evil.example/", "evil.example#", "evil.example?", "a.b", "A", "acmé", "a@evil.example", "a:80", "a\\b", "a b", "a%2e", "..", "a\x00",
		strings.Repeat("a", 64), "evil.example/.desk.example",
	} {
		if base, err := a.Base(credential("subdomain", bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q makes %v, %v", bad, base, err)
		} else if bad != "" && strings.Contains(err.Error(), bad) && len(bad) > 3 {
			t.Errorf("the error shows the value: %v", err)
		}
		if _, err := a.Base(credential("subdomain", "a", "version", bad)); bad != "" && !fault.Is(err, fault.Invalid) {
			t.Errorf("version %q: %v", bad, err)
		}
	}
}

func TestAnAccountsOwnAddressIsHTTPS(t *testing.T) {
	t.Parallel()
	custom, _ := standard(t).App("custom")
	base, err := custom.Base(credential("base_url", "https://api.example.com:8443/v1/"))
	if err != nil || base.String() != "https://api.example.com:8443/v1" {
		t.Fatalf("got %v, %v", base, err)
	}
	for _, bad := range []string{"", "http://api.example.com", "api.example.com", "https://", "https://u:p@h", "https://h?x=1", "https://h#f", "file:///etc/passwd", "javascript:1"} {
		if base, err := custom.Base(credential("base_url", bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q makes %v, %v", bad, base, err)
		}
	}
}

func TestACredentialGoesToItsOwnAppOnly(t *testing.T) {
	t.Parallel()
	a := appOf(t, "chat", chat)
	for _, url := range []string{
		"https://api.chat.example/v1/messages", "https://api.chat.example/other", "https://API.chat.example/", "https://api.chat.example:443/",
		"https://files.chat.example/f",
	} {
		req := get(t, url)
		if err := a.Authorize(req, credential("oauth_access_token", "at-1")); err != nil || req.Header.Get("Authorization") != "Bearer at-1" {
			t.Errorf("%s: %v, %v", url, req.Header, err)
		}
	}
	for _, url := range []string{
		"https://evil.example/", "http://api.chat.example/v1", "https://api.chat.example:8443/", "https://api.chat.example.evil.example/", "https://chat.example/",
		"https://x.api.chat.example/", "https://api.chat.example./", "https://api.chat.example@evil.example/", "https://u:p@api.chat.example/", "http://files.chat.example/",
		"https://169.254.169.254/",
	} {
		req := get(t, url)
		if err := a.Authorize(req, credential("oauth_access_token", "at-1")); !fault.Is(err, fault.Forbidden) || len(req.Header) != 0 {
			t.Errorf("%s: %v, %v", url, req.Header, err)
		} else if strings.Contains(err.Error(), "at-1") {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	req := get(t, "https://api.chat.example/")
	req.Host = "evil.example"
	if err := a.Authorize(req, credential("oauth_access_token", "at-1")); !fault.Is(err, fault.Forbidden) {
		t.Errorf("another Host header: %v", err)
	}
}

func TestAMovedAppSendsItsCredentialToItsNewPlaceOnly(t *testing.T) {
	t.Parallel()
	apps, err := standard(t).WithURL("slack", "http://127.0.0.1:4000/mock")
	if err != nil {
		t.Fatal(err)
	}
	slack, _ := apps.App("slack")
	if err := slack.Authorize(get(t, "http://127.0.0.1:4000/mock/chat.postMessage"), credential("oauth_access_token", "at-1")); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"https://slack.com/api/chat.postMessage", "http://127.0.0.1:4001/", "http://127.0.0.2:4000/"} {
		if err := slack.Authorize(get(t, url), credential("oauth_access_token", "at-1")); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWhereTheKeyOfACustomAPIGoes(t *testing.T) {
	t.Parallel()
	custom, _ := standard(t).App("custom")
	for name, c := range map[string]struct {
		fields []string
		header string
		value  string
		query  string
	}{
		"by default":          {nil, "Authorization", "Bearer key-1", ""},
		"an empty field":      {[]string{"header", ""}, "Authorization", "Bearer key-1", ""},
		"a header":            {[]string{"header", "X-API-Key"}, "X-Api-Key", "key-1", ""},
		"a header and prefix": {[]string{"header", "authorization", "prefix", "Token"}, "Authorization", "Token key-1", ""},
		"the query":           {[]string{"query", "key"}, "Authorization", "", "key=key-1&page=2"},
		"HTTP Basic":          {[]string{"user", "jane"}, "Authorization", "Basic amFuZTprZXktMQ==", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := get(t, "https://api.example.com/v1/things?page=2")
			account := credential(append([]string{"base_url", "https://api.example.com/v1", "api_key", "key-1"}, c.fields...)...)
			if err := custom.Authorize(req, account); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get(c.header); got != c.value {
				t.Errorf("%s is %q, want %q", c.header, got, c.value)
			}
			if c.query != "" && req.URL.RawQuery != c.query {
				t.Errorf("the query is %s", req.URL.RawQuery)
			}
			if names := custom.HeaderNames(account); c.value != "" && (len(names) != 1 || names[0] != c.header) {
				t.Errorf("the headers are said to be %v", names)
			}
		})
	}
}

func TestAnAccountThatCannotBeSentIsInvalid(t *testing.T) {
	t.Parallel()
	custom, _ := standard(t).App("custom")
	for name, fields := range map[string][]string{
		"no key":               {"base_url", "https://api.example.com"},
		"a line break":         {"base_url", "https://api.example.com", "api_key", "key\r\nX: y"},
		"a steering header":    {"base_url", "https://api.example.com", "api_key", "key-1", "header", "Host"},
		"a header with spaces": {"base_url", "https://api.example.com", "api_key", "key-1", "header", "X Y"},
		"no address":           {"api_key", "key-1"},
	} {
		req := get(t, "https://api.example.com/v1")
		if err := custom.Authorize(req, credential(fields...)); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "key-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	postgresql, _ := standard(t).App("postgresql")
	if err := postgresql.Authorize(get(t, "https://db.example"), credential("host", "db.example", "password", "p")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a database: %v", err)
	}
}

func ExampleApp_Authorize() {
	apps, err := app.Load(configs.Apps())
	if err != nil {
		fmt.Println(err)
		return
	}
	slack, _ := apps.App("slack")
	account := map[string]secret.String{"oauth_access_token": secret.New("xoxb-1")}
	for _, url := range []string{"https://slack.com/api/chat.postMessage", "https://slack.com.evil.example/api/chat.postMessage"} {
		req, err := http.NewRequest(http.MethodPost, url, http.NoBody)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := slack.Authorize(req, account); err != nil {
			fmt.Println(fault.KindOf(err), "-", fault.Safe(err))
			continue
		}
		fmt.Println(req.Header.Get("Authorization"))
	}
	// Output:
	// Bearer xoxb-1
	// forbidden - the credential of an account of slack is not sent to this URL: only by https, to slack.com
}

func FuzzBase(f *testing.F) {
	for _, s := range []string{"acme", "evil.example/", "a@evil.example", "xn--80ak6aa92e", "-", "a:1"} {
		f.Add(s, s)
	}
	apps, err := app.Load(folder(map[string]string{"desk.yaml": desk}))
	if err != nil {
		f.Fatal(err)
	}
	a, _ := apps.App("desk")
	f.Fuzz(func(t *testing.T, subdomain, version string) {
		account := credential("subdomain", subdomain, "version", version, "email", "e", "api_token", "token-1")
		base, err := a.Base(account)
		if err != nil {
			return
		}
		if base.Scheme != "https" || base.Host != subdomain+".desk.example" || strings.Contains(subdomain, ".") || base.User != nil {
			t.Errorf("%q makes %s", subdomain, base)
		}
	})
}
