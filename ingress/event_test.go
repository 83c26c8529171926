package ingress_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// published sends a request that nobody waits for and returns its event.
func published(t *testing.T, w *world, r *http.Request) behalf.Event {
	t.Helper()
	res := w.send(r)
	events := w.bus.stored()
	if len(events) != 1 {
		t.Fatalf("%d events; answered %d %s", len(events), res.status, res.body)
	}
	return events[0]
}

func TestTheEventOfARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	proxies, err := web.ParseProxies("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	w.config.Proxies = proxies
	r := request(http.MethodPut, "/a%20b/c?x=1&y=%C3%A9&x=2&z", oauth+user+
		"X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https\nCookie: session=1\nProxy-Authorization: Basic x\nX-Two: a\nX-Two: \"b\"\nX-Latin: caf\xe9\n"+
		"Content-Type: application/json\nx-behalf-accounts: slack=apn_1, github=apn_2", `{"n": 12345678901234567890}`)
	e := published(t, w, r)
	want := `{"method":"PUT","path":"/a%20b/c","query":{"x":["1","2"],"y":"é","z":""},"client_ip":"203.0.113.9",` +
		`"url":"https://127.0.0.1/e/` + endpointID + `/a%20b/c",` +
		`"headers":{"host":"127.0.0.1","content-type":"application/json","x-behalf-accounts":"slack=apn_1, github=apn_2","x-forwarded-for":"203.0.113.9",` +
		`"x-forwarded-proto":"https","x-latin":"café","x-pd-external-user-id":"abc-123","x-two":"a, \"b\""},"body":{"n": 12345678901234567890}}`
	if string(e.Trigger) != want {
		t.Errorf("trigger\n%s\nwant\n%s", e.Trigger, want)
	}
	if e.V != 1 || e.ID != e.Run.Event() || e.Run.Keyed() || e.Project != project || e.Environment != behalf.Production || e.Workflow != workflow ||
		e.Version != "d_1" || e.Lane != behalf.Shared || e.User != "abc-123" || time.Since(e.At) > time.Minute {
		t.Errorf("event %+v", e)
	}
	o := e.Origin
	if o.Endpoint != endpointID || o.Client != "oac_1" || o.Waits || !o.Trusted || o.ResultHash != "" ||
		!maps.Equal(o.Accounts, map[behalf.AppSlug]behalf.AccountID{"slack": "apn_1", "github": "apn_2"}) {
		t.Errorf("origin %+v", o)
	}
}

func TestTheResultTokenTravelsAsItsHash(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthToken, behalf.RespondImmediate)
	res := w.send(request(http.MethodPost, "", "Authorization: bearer "+staticText, ""))
	_, token, _ := strings.Cut(res.header.Get("Location"), "?token=")
	sum := sha256.Sum256([]byte(token))
	e := w.bus.stored()[0]
	if e.Origin.ResultHash != hex.EncodeToString(sum[:]) || !e.Origin.Trusted || e.Origin.Client != "" {
		t.Errorf("origin %+v of token %q", e.Origin, token)
	}
	if bytes.Contains(e.Trigger, []byte(staticText)) || bytes.Contains(e.Trigger, []byte(token)) {
		t.Errorf("a token in %s", e.Trigger)
	}
}

func TestHostAndPathForm(t *testing.T) {
	t.Parallel()
	upper := strings.ToUpper(endpointID)
	for target, want := range map[string]string{
		"http://" + endpointID + ".flows.example":                "/",
		"http://" + endpointID + ".flows.example:8443/a/b":       "/a/b",
		"http://" + upper + ".FLOWS.example./healthz":            "/healthz",
		"http://" + endpointID + ".flows.example//x//":           "//x//",
		"http://" + endpointID + ".flows.example/e/enother/x":    "/e/enother/x",
		"http://127.0.0.1:8080/e/" + endpointID:                  "/",
		"http://[::1]:8080/e/" + upper + "/":                     "/",
		"http://flows.example/e/" + endpointID + "/..%2F/%2e/;x": "/..%2F/%2e/;x",
		"http://api.flows.example/e/" + endpointID + "/e/y":      "/e/y",
		"http://127.0.0.1/":                                      "",
		"http://127.0.0.1/e/":                                    "",
		"http://127.0.0.1//e/" + endpointID:                      "",
		"http://127.0.0.1/E/" + endpointID:                       "",
		"http://a." + endpointID + ".flows.example/":             "",
		"http://" + endpointID + ".flows.example.evil.example/":  "",
		"http://" + endpointID + "flows.example/":                "",
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res := w.send(r)
		events := w.bus.stored()
		if want == "" {
			if res.status != 404 || len(events) > 0 {
				t.Errorf("%s: %d", target, res.status)
			}
			continue
		}
		var got struct {
			Path string `json:"path"`
		}
		if len(events) != 1 || json.Unmarshal(events[0].Trigger, &got) != nil || got.Path != want {
			t.Errorf("%s: %d, path %q, want %q", target, res.status, got.Path, want)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 256) + strings.Repeat("]", 256)
	for name, c := range map[string]struct{ contentType, body, want string }{
		"none":                   {"application/json", "", ""},
		"object":                 {"application/json", ` {"a":1} `, ` {"a":1} `},
		"vendor JSON":            {"application/vnd.api+json; charset=utf-8", `[1]`, `[1]`},
		"upper-case":             {"Application/JSON", `[1]`, `[1]`},
		"null":                   {"application/json", `null`, `null`},
		"a huge number":          {"application/json", `1e309`, `1e309`},
		"not a number":           {"application/json", `NaN`, `"NaN"`},
		"lone surrogate":         {"application/json", `"\ud800"`, `"\ud800"`},
		"duplicate keys":         {"application/json", `{"a":1,"a":2}`, `{"a":1,"a":2}`},
		"byte order mark":        {"application/json", "\ufeff[1]", `[1]`},
		"trailing garbage":       {"application/json", `{} x`, `"{} x"`},
		"an open quote":          {"application/json", `"`, `"\""`},
		"as deep as may be":      {"application/json", deep, deep},
		"brackets in a string":   {"application/json", `"` + strings.Repeat("[", 300) + `"`, `"` + strings.Repeat("[", 300) + `"`},
		"text":                   {"text/plain;charset=UTF-8", "a\"\\\n\x00é", `"a\"\\\n\u0000é"`},
		"no type":                {"", `{"a":1}`, `"{\"a\":1}"`},
		"a broken type":          {"%%;;", "x", `"x"`},
		"XML":                    {"application/xml", "<a/>", `"<a/>"`},
		"a prototype's own name": {"application/json", `{"__proto__":{"x":1}}`, `{"__proto__":{"x":1}}`},
		"not what it says":       {"application/json", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n", `"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n"`},
		"JSON by another name":   {"text/json", `{"a":1}`, `"{\"a\":1}"`},
		"another multipart":      {"multipart/mixed; boundary=x", "--x--", `"--x--"`},
		"bytes":                  {"application/octet-stream", "\x00\xff", `"AP8=","body_encoding":"base64"`},
		"bytes in JSON":          {"application/json", "\"\xff\"", `"Iv8i","body_encoding":"base64"`},
		"UTF-16 by its bytes":    {"application/json", "\xff\xfe{\x00}\x00", `"//57AH0A","body_encoding":"base64"`},
		"UTF-7":                  {"text/plain; charset=\"utf-7\"", "+ADw-", `"K0FEdy0=","body_encoding":"base64"`},
		"Latin-1":                {"text/xml; charset=ISO-8859-1", "caf\xe9", `"Y2Fm6Q==","body_encoding":"base64"`},
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		headers := ""
		if c.contentType != "" {
			headers = "Content-Type: " + c.contentType
		}
		e := published(t, w, request(http.MethodPost, "", headers, c.body))
		_, got, _ := bytes.Cut(e.Trigger, []byte(`"body":`))
		if got := strings.TrimSuffix(string(got), "}"); got != c.want || !json.Valid(e.Trigger) {
			t.Errorf("%s: body %s, want %s", name, got, c.want)
		}
	}
}

func TestARawBodyBesideTheParsedOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ headers, body, want string }{
		{"Content-Type: application/json", "{ \"a\":1 }\n", `"body":{ "a":1 }` + "\n" + `,"body_raw":"{ \"a\":1 }\n"}`},
		{"Content-Type: application/x-www-form-urlencoded", "a=%31&b", `"body":{"a":"1","b":""},"body_raw":"a=%31&b"}`},
		{"Content-Type: multipart/form-data; boundary=x", "\xff\n--x--", `"body":{},"body_raw":"/wotLXgtLQ==","body_raw_encoding":"base64"}`},
		{"Content-Type: image/png", "\x89PNG", `"body":"iVBORw==","body_encoding":"base64","body_raw":"iVBORw==","body_raw_encoding":"base64"}`},
		{"Content-Type: application/json\nContent-Encoding: gzip", gzipped("[1]"), `"body":[1],"body_raw":"[1]"}`},
		{"Content-Type: application/json", "", `,"content-type":"application/json"}}`},
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		w.endpoint.Trigger.RawBody = true
		e := published(t, w, request(http.MethodPost, "", c.headers, c.body))
		if !bytes.HasSuffix(e.Trigger, []byte(c.want)) || !json.Valid(e.Trigger) {
			t.Errorf("%s: trigger %s", c.headers, e.Trigger)
		}
	}
}

func TestWhoTheRunIsFor(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 250)
	for headers, want := range map[string]behalf.ExternalUserID{
		"": "", user: "abc-123",
		"x-pd-external-user-id: Jos\xe9":                                           "José",
		"x-behalf-external-user-id: Jos%C3%A9":                                     "José",
		"x-pd-external-user-id: Jos\xe9\nx-behalf-external-user-id: Jos%c3%a9":     "José",
		"x-behalf-external-user-id: a+b%2F%20c":                                    "a+b/ c",
		"x-behalf-external-user-id: " + strings.Repeat("%C3%BC", 250):              behalf.ExternalUserID(long),
		"x-pd-external-user-id: " + strings.Repeat("\xfc", 250):                    behalf.ExternalUserID(long),
		"x-pd-external-user-id: ..":                                                "..",
		"x-pd-external-user-id: *.>":                                               "*.>",
		"x-pd-external-user-id: __proto__":                                         "__proto__",
		"x-behalf-external-user-id: %E2%80%AEabc":                                  "\u202eabc",
		"x-pd-external-user-id: $JS.API.STREAM.DELETE.EVENTS_production, abc-123 ": "$JS.API.STREAM.DELETE.EVENTS_production, abc-123 ",
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		if e := published(t, w, request(http.MethodPost, "", headers, "")); e.User != want {
			t.Errorf("%q: user %q, want %q", headers, e.User, want)
		}
	}
}

// What clients send in headers, others send in the query of a URL that they were given.
func TestTheQueryNamesUserAndEnvironment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query, headers, env, user, code string
	}{
		{"?x-pd-external-user-id=abc-123&x=1", "", "production", "abc-123", ""},
		{"?X-PD-External-User-ID=Jos%C3%A9&x-pd-environment=development", "", "development", "José", ""},
		{"?x-pd-external-user-id=Jos%C3%A9", "x-pd-external-user-id: Jos\xe9", "production", "José", ""},
		{"?x-pd-environment=development", "x-pd-environment: development", "development", "", ""},
		{"?x-pd-environment=development", "x-pd-environment: production", "", "", "environment_invalid"},
		{"?x-pd-environment=development&x-pd-environment=production", "", "", "", "environment_invalid"},
		{"?x-pd-environment=staging", "", "", "", "environment_invalid"},
		{"?x-pd-external-user-id=a", "x-pd-external-user-id: b", "", "", "request_invalid"},
		{"?x-pd-external-user-id=a&x-pd-external-user-id=a", "", "", "", "request_invalid"},
		{"?x-pd-external-user-id=", "", "", "", "request_invalid"},
		{"?x-pd-external-user-id=%FF", "", "production", "%FF", ""}, // no escape of UTF-8: it stays as it is written
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		w.endpoint.Trigger.PublicDevelopment = true
		r := request(http.MethodPost, c.query, c.headers, "")
		if c.code != "" {
			if res := w.send(r); res.status != 400 || res.header.Get("X-Behalf-Error") != c.code || len(w.bus.stored()) > 0 {
				t.Errorf("%s %s: %d %s, %d events", c.query, c.headers, res.status, res.body, len(w.bus.stored()))
			}
			continue
		}
		if e := published(t, w, r); string(e.User) != c.user || string(e.Environment) != c.env {
			t.Errorf("%s: user %q in %s", c.query, e.User, e.Environment)
		}
	}
}

func TestAUserIsFoundByItsLatin1Name(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	needsSlack(w)
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "sent"}})
	if res := w.send(request(http.MethodPost, "", oauth+"x-pd-external-user-id: Jos\xe9", "")); res.status != 200 {
		t.Errorf("answered %d %s", res.status, res.body)
	}
}

// FuzzTheEvent sends what strangers may write and wants valid JSON that says the same.
func FuzzTheEvent(f *testing.F) {
	f.Add("POST", "/a/b", "x=1&x=2&y", "X-Any", "v", `{"a":[1,2]}`, "application/json", true)
	f.Add("get", "//%2e/\xff;x", "%zz=%E9&&=&a=%00", "x\"y", "caf\xe9\x01", "\"\\\xff", "text/plain", false)
	f.Add("", "", "__proto__=1&__proto__=\u2028", "", "\xc3\xa9", "[[[[\"]", "application/x+json", true)
	f.Add("POST", "/", "x-pd-nostore=0", "X-A", "v", "a=1&b", "application/x-www-form-urlencoded", true)
	f.Add("POST", "/", "", "X-A", "v", field("a", "1")+endOfForm, "multipart/form-data; boundary=x", true)
	f.Fuzz(func(t *testing.T, method, path, query, name, value, body, contentType string, raw bool) {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		w.endpoint.Trigger.RawBody = raw
		r := request(http.MethodPost, "", "", body)
		r.Method, r.Host = method, endpointID+".flows.example"
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header = http.Header{"Content-Type": {contentType}, name: {value}}
		res := w.send(r)
		events := w.bus.stored()
		if res.status != 200 {
			if res.status >= 500 || len(events) > 0 {
				t.Fatalf("answered %d with %d events", res.status, len(events))
			}
			return
		}
		roundTrip(t, events[0].Trigger, r, name, value, body)
	})
}

func roundTrip(t *testing.T, trigger json.RawMessage, r *http.Request, name, value, body string) {
	t.Helper()
	var got struct {
		Method      string            `json:"method"`
		Query       map[string]any    `json:"query"`
		Headers     map[string]string `json:"headers"`
		Body        any               `json:"body"`
		Encoding    string            `json:"body_encoding"`
		Raw         string            `json:"body_raw"`
		RawEncoding string            `json:"body_raw_encoding"`
	}
	if !utf8.Valid(trigger) {
		t.Fatalf("no UTF-8: %q", trigger)
	}
	if err := json.Unmarshal(trigger, &got); err != nil {
		t.Fatalf("%v: %q", err, trigger)
	}
	if got.Method != strings.ToValidUTF8(r.Method, "\ufffd") && utf8.ValidString(r.Method) {
		t.Errorf("method %q of %q", got.Method, r.Method)
	}
	latin := make([]rune, 0, len(value))
	for _, b := range []byte(value) {
		latin = append(latin, rune(b))
	}
	if seen, ok := got.Headers[strings.ToLower(name)]; ok && utf8.ValidString(name) && !slices.Contains([]string{"host", "content-type"}, strings.ToLower(name)) && seen != string(latin) {
		t.Errorf("header %q is %q, sent %q", name, seen, value)
	}
	if text, ok := got.Body.(string); ok && got.Encoding == "base64" && text != base64.StdEncoding.EncodeToString([]byte(body)) {
		t.Errorf("body %q, sent %q", text, body)
	} else if ok && got.Encoding == "" && !strings.Contains(strings.ToLower(r.Header.Get("Content-Type")), "json") && text != body {
		t.Errorf("body %q, sent %q", text, body)
	}
	if got.RawEncoding == "base64" {
		body = base64.StdEncoding.EncodeToString([]byte(body))
	}
	if got.Raw != "" && got.Raw != body {
		t.Errorf("raw body %q, sent %q", got.Raw, body)
	}
	want, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return
	}
	for key, values := range want {
		if all := strings.Join(values, ""); utf8.ValidString(key) && utf8.ValidString(all) && !sameValues(got.Query[key], values) {
			t.Errorf("query %q is %v, sent %q", key, got.Query[key], values)
		}
	}
}

func sameValues(got any, want []string) bool {
	if len(want) == 1 {
		return got == want[0]
	}
	list, ok := got.([]any)
	return ok && slices.EqualFunc(list, want, func(a any, b string) bool { return a == b })
}
