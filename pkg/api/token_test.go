package api_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

const (
	asForm = "application/x-www-form-urlencoded"
	asJSON = "application/json"
)

func (w *world) askToken(contentType, body string, headers ...string) answer {
	r := httptest.NewRequest(http.MethodPost, "/v1/oauth/token", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.do(r)
}

// body spells a request for a token.
func (w *world) body(contentType string, id behalf.ClientID, more ...string) string {
	fields := map[string]string{
		"grant_type": "client_credentials", "client_id": string(id), "client_secret": w.secrets[id].Reveal(),
	}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i]] = more[i+1]
		if more[i+1] == "" {
			delete(fields, more[i])
		}
	}
	if contentType == asJSON {
		doc, _ := json.Marshal(fields)
		return string(doc)
	}
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	return form.Encode()
}

func basic(id, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+password))
}

func TestToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mySecret := w.secrets[ours].Reveal()
	for name, c := range map[string]struct {
		contentType, body string
		headers           []string
		scope             string
	}{
		"JSON, as SDK 3 sends it": {asJSON, w.body(asJSON, ours), nil, "connect invoke manage"},
		"a form, as SDK 1.8 sends it": {
			asForm, w.body(asForm, ours, "project_id", "proj_x", "environment", "development"), nil, "connect invoke manage",
		},
		"JSON with fields we do not know": {asJSON, w.body(asJSON, ours, "project_id", "proj_x", "colour", "red"), nil, "connect invoke manage"},
		"JSON with its charset":           {asJSON + "; charset=utf-8", w.body(asJSON, ours), nil, "connect invoke manage"},
		"a form with its charset":         {asForm + ";charset=UTF-8", w.body(asForm, ours), nil, "connect invoke manage"},
		"Basic and a form": {
			asForm, "grant_type=client_credentials", []string{"Authorization", basic(string(ours), mySecret)}, "connect invoke manage",
		},
		"Basic in lower case and JSON": {
			asJSON, `{"grant_type":"client_credentials"}`,
			[]string{"Authorization", strings.Replace(basic(string(ours), mySecret), "Basic", "basic", 1)},
			"connect invoke manage",
		},
		"Basic, escaped, with the id in the body too": {
			asForm, "grant_type=client_credentials&client_id=" + string(ours),
			[]string{"Authorization", basic("oac%5Fours", mySecret)},
			"connect invoke manage",
		},
		"an empty Authorization header":     {asJSON, w.body(asJSON, ours), []string{"Authorization", ""}, "connect invoke manage"},
		"their scope for everything":        {asForm, w.body(asForm, ours, "scope", "*"), nil, "connect invoke manage"},
		"all, of a client that has some":    {asForm, w.body(asForm, backend, "scope", "*"), nil, "connect invoke"},
		"less than it has":                  {asForm, w.body(asForm, ours, "scope", "invoke"), nil, "invoke"},
		"their names":                       {asJSON, w.body(asJSON, ours, "scope", "connect:workflow:invoke connect:accounts:read"), nil, "connect invoke"},
		"more than it has":                  {asJSON, w.body(asJSON, backend, "scope", "invoke manage"), nil, "invoke"},
		"a client of development alone":     {asJSON, w.body(asJSON, developer), nil, "connect invoke manage"},
		"a client of production alone":      {asJSON, w.body(asJSON, productive), nil, "connect invoke manage"},
		"a client of another project, also": {asJSON, w.body(asJSON, other), nil, "connect invoke manage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.askToken(c.contentType, c.body, c.headers...)
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatal(err)
			}
			names := slices.Sorted(maps.Keys(got))
			if want := []string{"access_token", "created_at", "expires_in", "scope", "token_type"}; !slices.Equal(names, want) {
				t.Errorf("fields %v, want %v", names, want)
			}
			created, _ := got["created_at"].(float64)
			if got["token_type"] != "Bearer" || got["expires_in"] != 3600.0 || got["scope"] != c.scope || time.Since(time.Unix(int64(created), 0)) > time.Minute {
				t.Errorf("%s", a.body)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || a.header.Get("Content-Type") != asJSON {
				t.Errorf("header %v", a.header)
			}
			if used := w.call("", "GET", "/v1/users", "", "Authorization", "bearer "+got["access_token"].(string)); used.status == 401 {
				t.Errorf("the token is not taken: %s", used.body)
			}
		})
	}
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.PerAddress = web.Rate{PerSecond: 1e6, Burst: 1e6} })
	good := basic(string(ours), w.secrets[ours].Reveal())
	long := strings.Repeat("x", 17<<10)
	deep := strings.Repeat("[", 100_000)
	for name, c := range map[string]struct {
		contentType, body string
		headers           []string
		status            int
		code              string
	}{
		"unknown client":          {asJSON, w.body(asJSON, "oac_unknown", "client_secret", "x"), nil, 401, "invalid_client"},
		"wrong secret":            {asJSON, w.body(asJSON, ours, "client_secret", "x"), nil, 401, "invalid_client"},
		"another's secret":        {asJSON, w.body(asJSON, ours, "client_secret", w.secrets[other].Reveal()), nil, 401, "invalid_client"},
		"the hash as secret":      {asJSON, w.body(asJSON, ours, "client_secret", w.prod.clients[ours].SecretHash), nil, 401, "invalid_client"},
		"revoked":                 {asJSON, w.body(asJSON, gone), nil, 401, "invalid_client"},
		"no environment":          {asJSON, w.body(asJSON, nowhere), nil, 401, "invalid_client"},
		"no secret":               {asJSON, w.body(asJSON, ours, "client_secret", ""), nil, 401, "invalid_client"},
		"no client":               {asJSON, w.body(asJSON, ours, "client_id", ""), nil, 401, "invalid_client"},
		"client id a wildcard":    {asForm, w.body(asForm, ours, "client_id", "oac_*"), nil, 401, "invalid_client"},
		"client id with a dot":    {asForm, w.body(asForm, ours, "client_id", "oac_a.b"), nil, 401, "invalid_client"},
		"client id of NATS":       {asForm, w.body(asForm, ours, "client_id", "$JS.API.INFO"), nil, 401, "invalid_client"},
		"client id with CR LF":    {asForm, w.body(asForm, ours, "client_id", "oac_a\r\nX: y"), nil, 401, "invalid_client"},
		"client id with NUL":      {asForm, w.body(asForm, ours, "client_id", "oac_a\x00"), nil, 401, "invalid_client"},
		"client id long":          {asForm, w.body(asForm, ours, "client_id", "oac_"+long[:4096]), nil, 401, "invalid_client"},
		"client id of emoji":      {asJSON, w.body(asJSON, ours, "client_id", "oac_🦊"), nil, 401, "invalid_client"},
		"client id a path":        {asForm, w.body(asForm, ours, "client_id", "../../etc/passwd"), nil, 401, "invalid_client"},
		"client id __proto__":     {asJSON, w.body(asJSON, ours, "client_id", "__proto__"), nil, 401, "invalid_client"},
		"Basic wrong":             {asForm, "grant_type=client_credentials", []string{"Authorization", basic("oac_ours", "x")}, 401, "invalid_client"},
		"Basic broken":            {asForm, "grant_type=client_credentials", []string{"Authorization", "Basic !!!"}, 401, "invalid_client"},
		"Basic without a colon":   {asForm, "grant_type=client_credentials", []string{"Authorization", "Basic YWJj"}, 401, "invalid_client"},
		"Basic badly escaped":     {asForm, "grant_type=client_credentials", []string{"Authorization", basic("oac_%zz", "x")}, 401, "invalid_client"},
		"Bearer instead":          {asForm, w.body(asForm, ours), []string{"Authorization", "Bearer x"}, 401, "invalid_client"},
		"two Basic":               {asForm, "grant_type=client_credentials", []string{"Authorization", good, "Authorization", good}, 401, "invalid_client"},
		"Basic and a secret":      {asForm, w.body(asForm, ours), []string{"Authorization", good}, 400, "invalid_request"},
		"Basic and another id":    {asForm, "grant_type=client_credentials&client_id=oac_other", []string{"Authorization", good}, 400, "invalid_request"},
		"secret in the query":     {asForm, "", nil, 400, "invalid_request"},
		"no grant":                {asJSON, w.body(asJSON, ours, "grant_type", ""), nil, 400, "invalid_request"},
		"grant password":          {asJSON, w.body(asJSON, ours, "grant_type", "password"), nil, 400, "unsupported_grant_type"},
		"grant refresh_token":     {asForm, w.body(asForm, ours, "grant_type", "refresh_token"), nil, 400, "unsupported_grant_type"},
		"grant in capitals":       {asForm, w.body(asForm, ours, "grant_type", "CLIENT_CREDENTIALS"), nil, 400, "unsupported_grant_type"},
		"grant with a space":      {asForm, w.body(asForm, ours, "grant_type", "client_credentials "), nil, 400, "unsupported_grant_type"},
		"grant twice":             {asForm, w.body(asForm, ours) + "&grant_type=client_credentials", nil, 400, "invalid_request"},
		"client id twice":         {asForm, w.body(asForm, ours) + "&client_id=oac_other", nil, 400, "invalid_request"},
		"secret twice":            {asForm, w.body(asForm, ours) + "&client_secret=x", nil, 400, "invalid_request"},
		"scope twice":             {asForm, w.body(asForm, ours) + "&scope=a&scope=b", nil, 400, "invalid_request"},
		"scope unknown":           {asJSON, w.body(asJSON, ours, "scope", "admin"), nil, 400, "invalid_scope"},
		"scope not its own":       {asJSON, w.body(asJSON, backend, "scope", "manage"), nil, 400, "invalid_scope"},
		"scope with a quote":      {asJSON, w.body(asJSON, ours, "scope", `manage"`), nil, 400, "invalid_scope"},
		"scope with commas":       {asJSON, w.body(asJSON, ours, "scope", "invoke,manage"), nil, 400, "invalid_scope"},
		"empty JSON body":         {asJSON, "", nil, 400, "invalid_request"},
		"empty form":              {asForm, "", nil, 400, "invalid_request"},
		"JSON null":               {asJSON, "null", nil, 400, "invalid_request"},
		"JSON true":               {asJSON, "true", nil, 400, "invalid_request"},
		"JSON list":               {asJSON, "[]", nil, 400, "invalid_request"},
		"JSON quote":              {asJSON, `"`, nil, 400, "invalid_request"},
		"JSON cut short":          {asJSON, `{"grant_type":"client_cred`, nil, 400, "invalid_request"},
		"JSON with garbage":       {asJSON, w.body(asJSON, ours) + "x", nil, 400, "invalid_request"},
		"JSON twice":              {asJSON, w.body(asJSON, ours) + w.body(asJSON, ours), nil, 400, "invalid_request"},
		"JSON with a BOM":         {asJSON, "\ufeff" + w.body(asJSON, ours), nil, 400, "invalid_request"},
		"JSON not UTF-8":          {asJSON, "{\"grant_type\":\"\xff\"}", nil, 400, "invalid_request"},
		"JSON as UTF-16":          {asJSON, "\xff\xfe{\x00}\x00", nil, 400, "invalid_request"},
		"JSON deep":               {asJSON, deep[:15<<10], nil, 400, "invalid_request"},
		"JSON grant a number":     {asJSON, `{"grant_type":1}`, nil, 400, "invalid_request"},
		"JSON grant an object":    {asJSON, `{"grant_type":{"$ne":""}}`, nil, 400, "invalid_request"},
		"JSON id a list":          {asJSON, `{"grant_type":"client_credentials","client_id":["oac_ours"]}`, nil, 400, "invalid_request"},
		"JSON secret a number":    {asJSON, `{"grant_type":"client_credentials","client_id":"oac_ours","client_secret":1e309}`, nil, 400, "invalid_request"},
		"JSON secret true":        {asJSON, `{"grant_type":"client_credentials","client_id":"oac_ours","client_secret":true}`, nil, 400, "invalid_request"},
		"JSON secret null":        {asJSON, `{"grant_type":"client_credentials","client_id":"oac_ours","client_secret":null}`, nil, 401, "invalid_client"},
		"JSON scope a list":       {asJSON, `{"grant_type":"client_credentials","scope":["invoke"]}`, nil, 400, "invalid_request"},
		"JSON lone surrogate":     {asJSON, `{"grant_type":"\ud800"}`, nil, 400, "unsupported_grant_type"},
		"JSON NaN":                {asJSON, `{"grant_type":NaN}`, nil, 400, "invalid_request"},
		"JSON too large":          {asJSON, `{"grant_type":"` + long + `"}`, nil, 400, "invalid_request"},
		"form too large":          {asForm, "grant_type=" + long, nil, 400, "invalid_request"},
		"form badly escaped":      {asForm, "grant_type=%zz", nil, 400, "invalid_request"},
		"form with semicolons":    {asForm, "grant_type=client_credentials;client_id=oac_ours", nil, 400, "invalid_request"},
		"form of NULs":            {asForm, "\x00\x00", nil, 400, "invalid_request"},
		"a form called JSON":      {asJSON, w.body(asForm, ours), nil, 400, "invalid_request"},
		"JSON called a form":      {asForm, w.body(asJSON, ours), nil, 400, "invalid_request"},
		"multipart":               {"multipart/form-data; boundary=x", "--x", nil, 400, "invalid_request"},
		"text":                    {"text/plain", w.body(asJSON, ours), nil, 400, "invalid_request"},
		"XML":                     {"text/xml", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>", nil, 400, "invalid_request"},
		"gzip, so they say":       {asJSON, "\x1f\x8b", []string{"Content-Encoding", "gzip"}, 400, "invalid_request"},
		"JSON in another charset": {asJSON + "; charset=utf-7", "+AHs-", nil, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.askToken(c.contentType, c.body, c.headers...)
			var got map[string]any
			if err := json.Unmarshal([]byte(a.body), &got); err != nil {
				t.Fatalf("%v in %s", err, a.body)
			}
			if a.status != c.status || got["error"] != c.code {
				t.Errorf("%d %s, want %d %s", a.status, a.body, c.status, c.code)
			}
			if a.header.Get("Cache-Control") != "no-store" || (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("header %v", a.header)
			}
			for _, s := range w.secrets {
				if strings.Contains(a.body, s.Reveal()) {
					t.Error("the answer repeats a secret")
				}
			}
		})
	}
}

// TestUnknownClientLooksLikeWrongSecret compares the bytes of the answers, and what was read for them.
func TestUnknownClientLooksLikeWrongSecret(t *testing.T) {
	t.Parallel()
	var answers, reads []string
	for _, id := range []behalf.ClientID{ours, "oac_unknown", developer, productive, gone} {
		w := newWorld(t)
		a := w.askToken(asJSON, w.body(asJSON, id, "client_secret", "wrong"))
		answers = append(answers, fmt.Sprint(a.status, a.header, a.body))
		reads = append(reads, fmt.Sprint(w.prod.log, w.dev.log))
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("the answers differ: %q", answers)
	}
	if len(slices.Compact(reads)) != 1 {
		t.Errorf("the work differs: %q", reads)
	}
}

// TestTokenWithAnEnvironmentAway holds that "we cannot tell" is never told as "no".
func TestTokenWithAnEnvironmentAway(t *testing.T) {
	t.Parallel()
	away := fault.Wrap(fault.Unavailable, "store", errors.New("10.0.0.7"))
	for name, c := range map[string]struct {
		prod, dev error
		id        behalf.ClientID
		status    int
	}{
		"production away, unknown there":             {away, nil, "oac_unknown", 503},
		"development away, unknown in production":    {nil, away, developer, 503},
		"development away, known in production":      {nil, away, ours, 200},
		"production away, known in development":      {away, nil, ours, 200},
		"both away":                                  {away, away, ours, 503},
		"development away, wrong secret":             {nil, away, other, 401},
		"both there, and it is known in development": {nil, nil, developer, 200},
	} {
		w := newWorld(t)
		w.prod.fail("ClientFromLeader", c.prod)
		w.dev.fail("ClientFromLeader", c.dev)
		body := w.body(asJSON, c.id)
		switch {
		case c.status == 401:
			body = w.body(asJSON, c.id, "client_secret", "x")
		case w.secrets[c.id].IsZero():
			body = w.body(asJSON, c.id, "client_secret", "x")
		}
		if a := w.askToken(asJSON, body); a.status != c.status || strings.Contains(a.body, "10.0.0.7") {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, c.status)
		}
	}
}

func TestTokenRates(t *testing.T) {
	t.Parallel()
	proxies, err := web.ParseProxies("192.0.2.1") // where httptest's requests come from
	if err != nil {
		t.Fatal(err)
	}
	ask := func(w *world, from, body string) answer { return w.askToken(asJSON, body, "X-Forwarded-For", from) }
	slow := web.Rate{PerSecond: 0.001, Burst: 3}
	t.Run("an address", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.Proxies, c.PerAddress = proxies, slow })
		for range 3 {
			if a := ask(w, "203.0.113.1", w.body(asJSON, ours)); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		w.prod.writes()
		a := ask(w, "203.0.113.1", w.body(asJSON, ours))
		flat(t, a, 429, "throttled")
		if a.header.Get("Retry-After") != "60" || len(w.prod.log) > 0 {
			t.Errorf("Retry-After %q, read %v", a.header.Get("Retry-After"), w.prod.log)
		}
		if a := ask(w, "203.0.113.2", w.body(asJSON, ours)); a.status != 200 {
			t.Errorf("another address: %d", a.status)
		}
	})
	t.Run("neighbours in one IPv6 network are one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.Proxies, c.PerAddress = proxies, slow })
		for i := range 3 {
			ask(w, fmt.Sprintf("2001:db8::%d", i+1), w.body(asJSON, ours))
		}
		flat(t, ask(w, "2001:db8::99", w.body(asJSON, ours)), 429, "throttled")
		if a := ask(w, "2001:db8:0:1::1", w.body(asJSON, ours)); a.status != 200 {
			t.Errorf("the next network: %d", a.status)
		}
	})
	t.Run("a client, from wherever, but never by a stranger who knows its id", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.Proxies, c.PerClient = proxies, slow })
		for i := range 10 {
			if a := ask(w, fmt.Sprintf("203.0.113.%d", i), w.body(asJSON, ours, "client_secret", "guess")); a.status != 401 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		for i := range 3 {
			if a := ask(w, fmt.Sprintf("203.0.113.%d", i), w.body(asJSON, ours)); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		flat(t, ask(w, "203.0.113.9", w.body(asJSON, ours)), 429, "throttled")
		if a := ask(w, "203.0.113.9", w.body(asJSON, other)); a.status != 200 {
			t.Errorf("another client: %d", a.status)
		}
	})
}
