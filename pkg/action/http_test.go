package action_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/action"
)

// http-request, by what it was given and what then arrives. The URL {v} is the vendor's.
func TestWhatHTTPRequestSends(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		props  string
		sent   received
		header map[string]string
	}{
		"a plain GET": {
			`{"url": "{v}/a%2Fb/?x=1#part"}`,
			received{method: "GET", uri: "/a%2Fb/?x=1"},
			map[string]string{"Accept": "*/*", "User-Agent": "behalf", "Idempotency-Key": "run_1:send", "Content-Type": "", "Authorization": ""},
		},
		"a query": {`{"url": "{v}?x=1", "query": {"q": "a b&c", "n": [1, true, null], "none": null}}`, received{method: "GET", uri: "/?x=1&n=1&n=true&q=a+b%26c"}, nil},
		"JSON": {
			`{"url": "{v}/x", "method": "POST", "body": {"a": ["<", null, 1.50]}}`,
			received{method: "POST", uri: "/x", body: `{"a":["<",null,1.50]}`},
			map[string]string{"Content-Type": "application/json; charset=utf-8"},
		},
		"a text": {
			`{"url": "{v}/x", "method": "PUT", "data": "plain"}`,
			received{method: "PUT", uri: "/x", body: `plain`},
			map[string]string{"Content-Type": "text/plain; charset=utf-8"},
		},
		"a text of the author's type": {
			`{"url": "{v}/x", "method": "PATCH", "body": "{\"a\":1}", "headers": {"content-type": "application/json", "X-List": ["a", 1], "user-agent": "mine", "Idempotency-Key": null}}`,
			received{method: "PATCH", uri: "/x", body: `{"a":1}`},
			map[string]string{"Content-Type": "application/json", "X-List": "a, 1", "User-Agent": "mine", "Idempotency-Key": ""},
		},
		"a form": {
			`{"url": "{v}/x", "method": "POST", "body": {"b": "x y", "a": [1, 2]}, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}`,
			received{method: "POST", uri: "/x", body: `a=1&a=2&b=x+y`},
			map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		},
		"a key of the author's": {
			`{"url": "{v}/x", "method": "DELETE", "headers": {"idempotency-key": "mine", "Authorization": "Bearer own"}}`,
			received{method: "DELETE", uri: "/x"},
			map[string]string{"Idempotency-Key": "mine", "Authorization": "Bearer own"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, says(200, `{"a":1}`))
			a := v.action(t, "http-request@1")
			if outcome := run(t, a, v.call(a, strings.ReplaceAll(c.props, "{v}", v.URL))); outcome.Err != nil {
				t.Fatalf("it failed: %+v", outcome.Err)
			}
			got := v.requests()[0]
			if got.method != c.sent.method || got.uri != c.sent.uri || got.body != c.sent.body {
				t.Errorf("it was sent %s %s %s", got.method, got.uri, got.body)
			}
			for name, want := range c.header {
				if got.header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
				}
			}
		})
	}
}

func TestWhatHTTPRequestReturns(t *testing.T) {
	t.Parallel()
	typed := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{kind}
			w.Header()["Date"] = nil
			w.Header().Set("Set-Cookie", "session=secret-1")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct{ kind, body, value string }{
		"JSON":                {"application/json", "\ufeff{ \"a\" : 1 }", `{"a":1}`},
		"JSON of a kind":      {"application/problem+json; charset=utf-8", `[1]`, `[1]`},
		"JSON that is none":   {"application/json", `{"a":`, `"{\"a\":"`},
		"JSON that is a text": {"text/plain", `{"a":1}`, `"{\"a\":1}"`},
		"a text":              {"text/html; charset=utf-8", `<b>é</b>`, `"<b>é</b>"`},
		"bytes":               {"image/png", "\x89PNG\xff", `{"content_type":"image/png","base64":"iVBOR/8="}`},
		"no type":             {"", "x", `"x"`},
		"nothing":             {"application/json", "", `null`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, typed(c.kind, c.body))
			a := v.action(t, "http-request@1")
			outcome := run(t, a, v.call(a, `{"url": "`+v.URL+`"}`))
			if outcome.Err != nil {
				t.Fatalf("it failed: %+v", outcome.Err)
			}
			var got struct {
				Value   json.RawMessage   `json:"$return_value"`
				Summary string            `json:"$summary"`
				Status  int               `json:"status"`
				Headers map[string]string `json:"headers"`
			}
			if err := json.Unmarshal(outcome.Exports, &got); err != nil {
				t.Fatal(err)
			}
			sameJSON(t, "the value", string(got.Value), c.value)
			_, cookie := got.Headers["set-cookie"]
			if got.Status != 201 || got.Summary != "GET answered 201" || got.Headers["content-type"] != c.kind || cookie {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestHTTPRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	const where = "a path needs an account, whose app says where it leads; without one the URL must begin with https://"
	for name, c := range map[string]struct{ props, message string }{
		"a path without an account": {`{"url": "/x"}`, where},
		"another scheme":            {`{"url": "file:///etc/passwd"}`, "http-request: url does not have the right form"},
		"no host":                   {`{"url": "https:///x"}`, "url must be a URL that begins with https:// or http://"},
		"no URL":                    {`{"url": "http://a b/"}`, "url must be a URL that begins with https:// or http://"},
		"a password":                {`{"url": "https://u:p@example.com/"}`, "url must have no user and password in it; use an account"},
		"the host":                  {`{"url": "{v}", "headers": {"host": "evil.example"}}`, "headers: host is set by Behalf itself"},
		"the connection":            {`{"url": "{v}", "headers": {"Connection": "upgrade"}}`, "headers: Connection is set by Behalf itself"},
		"the length":                {`{"url": "{v}", "headers": {"content-length": 5}}`, "headers: content-length is set by Behalf itself"},
		"the chunks":                {`{"url": "{v}", "headers": {"Transfer-Encoding": "chunked"}}`, "headers: Transfer-Encoding is set by Behalf itself"},
		"a proxy":                   {`{"url": "{v}", "headers": {"proxy-authorization": "x"}}`, "headers: proxy-authorization is set by Behalf itself"},
		"two lines in a header":     {`{"url": "{v}", "headers": {"X": "a\r\nY: b"}}`, `headers: "X" is not a header with a value of one line`},
		"a header that is no name":  {`{"url": "{v}", "headers": {"X Y": "a"}}`, `headers: "X Y" is not a header with a value of one line`},
		"an object in a header":     {`{"url": "{v}", "headers": {"X": {}}}`, `headers: "X" is not a header with a value of one line`},
		"an object in the query":    {`{"url": "{v}", "query": {"x": {}}}`, `query: "x" must be a text, a number, true or false, or a list of these`},
		"a list for headers":        {`{"url": "{v}", "headers": []}`, "http-request: headers must be an object (name: value), not a list"},
		"an unknown method":         {`{"url": "{v}", "method": "TRACE"}`, "http-request: method must be DELETE, GET, HEAD, OPTIONS, PATCH, POST or PUT"},
		"too long a time":           {`{"url": "{v}", "timeout": 751}`, "http-request: timeout must be at most 750"},
		"no time":                   {`{"url": "{v}", "timeout": 0}`, "http-request: timeout must be at least 1"},
		"no URL at all":             {`{}`, "http-request: url is missing"},
		"props that are none":       {`[]`, "http-request: the props are not one JSON object"},
		"too long a URL":            {`{"url": "{v}/` + strings.Repeat("a", 16<<10) + `"}`, "the URL is longer than 16 KiB"},
		"too large headers":         {`{"url": "{v}", "headers": {"X": "` + strings.Repeat("a", 64<<10) + `"}}`, "the headers are larger than 64 KiB"},
		"too large a body":          {`{"url": "{v}", "body": "` + strings.Repeat("a", 10<<20+1) + `"}`, "the body is larger than 10 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, says(200, `{}`))
			a := v.action(t, "http-request@1")
			failed(t, run(t, a, v.call(a, strings.ReplaceAll(c.props, "{v}", v.URL))), action.InvalidProps, c.message)
			v.sawNothing(t)
		})
	}
}

func TestHTTPRequestWithAnAccount(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{}`))
	a := v.action(t, "http-request@1")
	for _, url := range []string{"/users?x=1", v.URL + "/users?x=1"} {
		c := v.call(a, `{"url": "`+url+`"}`)
		c.Apps = account("github", "oauth_access_token", canary)
		if outcome := run(t, a, c); outcome.Err != nil {
			t.Errorf("%s: %+v", url, outcome.Err)
		}
	}
	c := v.call(a, `{"url": "/things"}`)
	c.Apps = account("custom", "base_url", v.URL+"/v1", "api_key", canary, "header", "x-api-key")
	if outcome := run(t, a, c); outcome.Err != nil {
		t.Errorf("custom: %+v", outcome.Err)
	}
	got := v.requests()
	if got[0].uri != "/users?x=1" || got[1].uri != "/users?x=1" || got[0].header.Get("Authorization") != "Bearer "+canary ||
		got[2].uri != "/v1/things" || got[2].header.Get("X-Api-Key") != canary || got[2].header.Get("Authorization") != "" {
		t.Errorf("it was sent %+v", got)
	}
}

// A credential leaves for a host of its own app, or not at all: neither the props, which a request may fill, nor the
// account's own fields lead it elsewhere.
func TestNoCredentialLeavesItsApp(t *testing.T) {
	t.Parallel()
	thief := newVendor(t, says(200, `{}`))
	v := newVendor(t, says(200, `{}`))
	a := v.action(t, "http-request@1")
	host := strings.TrimPrefix(v.URL, "https://")
	for _, url := range []string{
		thief.URL, "http://" + host, "https://slack.com/api", "//" + thief.host(), "https://" + host + ".evil.example/", "https://" + host + "\\@" + thief.host(), "/\\" + thief.host(),
		"/@" + thief.host(), "/../../" + thief.host(),
	} {
		props, err := json.Marshal(map[string]any{"url": url})
		if err != nil {
			t.Fatal(err)
		}
		c := v.call(a, string(props))
		c.Apps = account("slack", "oauth_access_token", canary)
		outcome := run(t, a, c)
		if outcome.Err == nil && !strings.HasPrefix(url, "/") {
			t.Errorf("%s was called", url)
		}
	}
	for _, base := range []string{"http://" + thief.host(), "https://u:p@" + thief.host(), thief.host(), "https://" + thief.host() + "/?x="} {
		c := v.call(a, `{"url": "/x"}`)
		c.Apps = account("custom", "base_url", base, "api_key", canary)
		if outcome := run(t, a, c); outcome.Err == nil || outcome.Err.Name != action.InvalidAccount {
			t.Errorf("%s: %+v", base, outcome.Err)
		}
	}
	thief.sawNothing(t)
}

func TestAnAccountsHeaderIsNotTheAuthors(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{}`))
	a := v.action(t, "http-request@1")
	c := v.call(a, `{"url": "/x", "headers": {"authorization": "Bearer mine"}}`)
	c.Apps = account("slack", "oauth_access_token", canary)
	failed(t, run(t, a, c), action.InvalidProps, "headers: Authorization is set by the account of slack")
	c.Props = json.RawMessage(`{"url": "/x"}`)
	c.Apps = account("slack", "oauth_uid", "U1")
	failed(t, run(t, a, c), action.InvalidAccount, "the account of slack has no oauth_access_token")
	c.Apps = account("slack", "oauth_access_token", canary+"\r\nX: y")
	failed(t, run(t, a, c), action.InvalidAccount, "the credential of the account of slack has a sign in it that no request can carry")
	c.Apps = account("postgresql", "host", "db.example", "password", canary)
	failed(t, run(t, a, c), action.InvalidAccount, "postgresql has no address to which requests could go")
	v.sawNothing(t)
}

// A value in a path stays in its segment, whatever it is.
func TestNoValueLeavesItsPlaceInAURL(t *testing.T) {
	t.Parallel()
	for value, uri := range map[string]string{
		"../../admin":   "/crm/objects/2026-03/contacts/..%2F..%2Fadmin?idProperty=email",
		"a?x=1#y":       "/crm/objects/2026-03/contacts/a%3Fx%3D1%23y?idProperty=email",
		"a b%2f+\u00e9": "/crm/objects/2026-03/contacts/a%20b%252f%2B%C3%A9?idProperty=email",
	} {
		v := newVendor(t, says(200, `{"id":"1"}`))
		a := v.action(t, "hubspot-add-contact-to-list@1")
		props, err := json.Marshal(map[string]any{"list": "1", "contactEmail": value})
		if err != nil {
			t.Fatal(err)
		}
		run(t, a, v.call(a, string(props)))
		if got := v.requests()[0].uri; got != uri {
			t.Errorf("%q makes %s", value, got)
		}
	}
	v := newVendor(t, says(200, `{}`))
	hubspot, github := v.action(t, "hubspot-add-contact-to-list@1"), v.action(t, "github-create-issue@1")
	for _, value := range []string{".", ".."} {
		failed(t, run(t, hubspot, v.call(hubspot, `{"list": "1", "contactEmail": "`+value+`"}`)), action.InvalidProps, "contactEmail cannot stand in a URL")
		failed(t, run(t, github, v.call(github, `{"repoFullname": "a/`+value+`", "title": "t"}`)), action.InvalidProps, "repoFullname cannot stand in a URL")
	}
	for _, value := range []string{"a", "a/b/c", "/a", "a/", "a/b?c", "a/%2e%2e"} {
		failed(t, run(t, github, v.call(github, `{"repoFullname": "`+value+`", "title": "t"}`)), action.InvalidProps, "github-create-issue: repoFullname does not have the right form")
	}
	v.sawNothing(t)
}
