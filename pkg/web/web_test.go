package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{
		fault.Internal: 500, fault.Invalid: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404,
		fault.Conflict: 409, fault.Exhausted: 429, fault.Unavailable: 503, fault.Timeout: 504, fault.Canceled: 503,
		fault.StepFailed: 400,
	}
	for _, kind := range append(fault.Kinds(), fault.Kind(200)) {
		status, ok := want[kind]
		if !ok {
			status = 500
		}
		if got := web.Status(kind); got != status {
			t.Errorf("%v: %d, want %d", kind, got, status)
		}
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		body   string
		header map[string]string
	}{
		"an outside error shows its kind alone": {
			fault.Wrap(fault.Unavailable, "bus.Publish", errors.New("dial tcp 10.0.0.7: refused")),
			503, `{"error":"unavailable","code":"unavailable"}`,
			map[string]string{"Retry-After": "1", "Cache-Control": "no-store"},
		},
		"what nobody classified is ours": {
			errors.New("secret of the operator"), 500, `{"error":"internal","code":"internal"}`, map[string]string{"Retry-After": ""},
		},
		"a message and a code": {
			fault.New(fault.Invalid, "api", "no <such> app").WithCode("app_unknown"),
			400, `{"error":"no \u003csuch\u003e app","code":"app_unknown"}`,
			map[string]string{"Content-Type": "application/json"},
		},
		"who is asked to prove themselves is told how": {
			fault.New(fault.Unauthenticated, "auth", ""), 401, `{"error":"unauthenticated","code":"unauthenticated"}`,
			map[string]string{"WWW-Authenticate": "Bearer"},
		},
		"a rate, with its time rounded up": {
			web.RetryLater(fault.New(fault.Exhausted, "api", "slower"), 1200*time.Millisecond), 429, `{"error":"slower","code":"exhausted"}`,
			map[string]string{"Retry-After": "2"},
		},
		"a rate with no time is still not at once": {
			web.RetryLater(fault.New(fault.Exhausted, "api", "slower"), 0), 429, `{"error":"slower","code":"exhausted"}`,
			map[string]string{"Retry-After": "1"},
		},
		"a wrapped rate keeps its time, to a minute": {
			fmt.Errorf("again: %w", web.RetryLater(fault.New(fault.Exhausted, "api", "slower"), time.Hour)), 429, `{"error":"slower","code":"exhausted"}`,
			map[string]string{"Retry-After": "60"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			web.WriteError(w, c.err)
			if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			for h, want := range c.header {
				if got := w.Header().Get(h); got != want {
					t.Errorf("%s = %q, want %q", h, got, want)
				}
			}
		})
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"as everybody sends it":            {[]string{"Bearer abc.DEF-_~+/="}, "abc.DEF-_~+/="},
		"scheme in lower case":             {[]string{"bearer abc"}, "abc"},
		"scheme in capitals":               {[]string{"BEARER abc"}, "abc"},
		"two spaces":                       {[]string{"Bearer  abc"}, "abc"},
		"an empty header beside it":        {[]string{"", "Bearer abc"}, "abc"},
		"no header":                        {nil, ""},
		"an empty header":                  {[]string{""}, ""},
		"two headers":                      {[]string{"Bearer abc", "Bearer abc"}, ""},
		"two schemes":                      {[]string{"Bearer abc", "Basic abc"}, ""},
		"no token":                         {[]string{"Bearer"}, ""},
		"no token behind the space":        {[]string{"Bearer "}, ""},
		"equal signs alone":                {[]string{"Bearer =="}, ""},
		"a tab between":                    {[]string{"Bearer\tabc"}, ""},
		"a tab behind the space":           {[]string{"Bearer \tabc"}, ""},
		"two tokens":                       {[]string{"Bearer abc def"}, ""},
		"a comma":                          {[]string{"Bearer abc,def"}, ""},
		"another scheme":                   {[]string{"Basic YTpi"}, ""},
		"the token alone":                  {[]string{"abc"}, ""},
		"a scheme that begins like it":     {[]string{"Bearerabc def"}, ""},
		"text that is not ASCII":           {[]string{"Bearer äbc"}, ""},
		"a NUL":                            {[]string{"Bearer a\x00b"}, ""},
		"an equal sign amid":               {[]string{"Bearer a=b"}, ""},
		"a quoted one":                     {[]string{`Bearer "abc"`}, ""},
		"a parameter":                      {[]string{"Bearer token=abc"}, ""},
		"a scheme with a letter of kelvin": {[]string{"Bearer\u212a abc"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.Header["Authorization"] = c.headers
			got, err := web.Bearer(r)
			if got.Reveal() != c.want {
				t.Errorf("token %q, want %q", got.Reveal(), c.want)
			}
			if (err == nil) != (c.want != "") || err != nil && !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

type form struct {
	App    string         `json:"app"`
	Count  int            `json:"count"`
	Nested map[string]any `json:"nested"`
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		header map[string]string
		code   string
		says   string
	}{
		"good":                         {`{"app":"slack","count":1}`, nil, "", ""},
		"good, with white space":       {" \n{\"app\":\"slack\"}\n ", nil, "", ""},
		"good, with its charset":       {`{"app":"slack"}`, map[string]string{"Content-Type": "application/json; charset=UTF-8"}, "", ""},
		"good, no type named":          {`{"app":"slack"}`, map[string]string{"Content-Type": ""}, "", ""},
		"good, brackets in text":       {`{"app":"` + strings.Repeat("[{", 300) + `"}`, nil, "", ""},
		"good, quotes escaped in text": {`{"app":"\"[\\"}`, nil, "", ""},
		"as deep as may be":            {`{"nested":{"a":` + strings.Repeat("[", 254) + strings.Repeat("]", 254) + `}}`, nil, "", ""},
		"one deeper":                   {`{"nested":{"a":` + strings.Repeat("[", 255) + strings.Repeat("]", 255) + `}}`, nil, "invalid", "256 values deep"},
		"100,000 deep":                 {strings.Repeat("[", 1000), nil, "invalid", "256 values deep"},
		"empty":                        {"", nil, "invalid", "empty"},
		"white space":                  {"  ", nil, "invalid", "empty"},
		"a list":                       {"[]", nil, "invalid", "object"},
		"text":                         {`"x"`, nil, "invalid", "object"},
		"an unknown field":             {`{"colour":"red"}`, nil, "invalid", "colour"},
		"an unknown field, very long":  {`{"` + strings.Repeat("x", 900) + `":1}`, nil, "invalid", "…"},
		"a wrong type":                 {`{"count":"canary"}`, nil, "invalid", "count"},
		"a number too large":           {`{"count":1e309}`, nil, "invalid", "count"},
		"a fraction":                   {`{"count":1.5}`, nil, "invalid", "count"},
		"NaN":                          {`{"count":NaN}`, nil, "invalid", "JSON"},
		"garbage behind":               {`{"app":"slack"} x`, nil, "invalid", "more than one"},
		"a second value":               {`{"app":"slack"}{}`, nil, "invalid", "more than one"},
		"cut short":                    {`{"app":"sl`, nil, "invalid", "JSON"},
		"a byte order mark":            {"\ufeff{}", nil, "invalid", "JSON"},
		"not UTF-8":                    {"{\"app\":\"\xff\"}", nil, "invalid", "UTF-8"},
		"UTF-16":                       {"{\x00\"\x00a\x00", nil, "invalid", "JSON"},
		"too large":                    {`{"app":"` + strings.Repeat("x", 2000) + `"}`, nil, web.CodeBodyTooLarge, "1024 bytes"},
		"a form":                       {"app=slack", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, web.CodeUnsupportedMediaType, "application/json"},
		"multipart":                    {`{}`, map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, web.CodeUnsupportedMediaType, ""},
		"a broken type":                {`{}`, map[string]string{"Content-Type": ";;"}, web.CodeUnsupportedMediaType, ""},
		"another charset":              {`{}`, map[string]string{"Content-Type": "application/json; charset=utf-16"}, web.CodeUnsupportedMediaType, ""},
		"gzip":                         {"\x1f\x8b", map[string]string{"Content-Encoding": "gzip"}, web.CodeUnsupportedMediaType, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			for h, v := range c.header {
				r.Header.Set(h, v)
			}
			var into form
			err := web.DecodeJSON(httptest.NewRecorder(), r, 1024, &into)
			switch {
			case c.code == "" && err != nil:
				t.Fatal(err)
			case c.code == "":
				return
			case err == nil:
				t.Fatal("accepted")
			}
			if !fault.Is(err, fault.Invalid) || fault.CodeOf(err) != c.code || !strings.Contains(fault.Safe(err), c.says) {
				t.Errorf("kind %v, code %s, says %q; want %s, %q", fault.KindOf(err), fault.CodeOf(err), fault.Safe(err), c.code, c.says)
			}
			if strings.Contains(err.Error(), "canary") || len(fault.Safe(err)) > 200 {
				t.Errorf("the error repeats the body: %v", err)
			}
		})
	}
	t.Run("the tolerant one passes over what it does not know, and nothing else", func(t *testing.T) {
		t.Parallel()
		decode := func(body string) error {
			var into form
			return web.DecodeTolerantJSON(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), 1024, &into)
		}
		if err := decode(`{"app":"slack","colour":"red"}`); err != nil {
			t.Error(err)
		}
		if decode(`{"app":1}`) == nil || decode(`{} x`) == nil {
			t.Error("accepted")
		}
	})
}

func TestHandle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		f      web.HandlerFunc
		status int
		logged string
		silent bool
		cut    bool
	}{
		"what the caller did wrong is not logged": {
			f:      func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Invalid, "x", "wrong") },
			status: 400, silent: true,
		},
		"what is away is logged with its cause": {
			f: func(http.ResponseWriter, *http.Request) error {
				return fault.Wrap(fault.Unavailable, "x", errors.New("10.0.0.7"))
			},
			status: 503, logged: `"level":"warn"`,
		},
		"a bug is an error": {
			f:      func(http.ResponseWriter, *http.Request) error { return errors.New("oops") },
			status: 500, logged: `"level":"error"`,
		},
		"a panic is an internal error, its stack in the log alone": {
			f:      func(http.ResponseWriter, *http.Request) error { panic("canary") },
			status: 500, logged: "web_test.go",
		},
		"a panic of another type": {
			f:      func(http.ResponseWriter, *http.Request) error { panic(errors.New("canary")) },
			status: 500, logged: "panicked",
		},
		"after half an answer the connection is cut": {
			f: func(w http.ResponseWriter, _ *http.Request) error {
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic("canary")
			},
			logged: "panicked", cut: true,
		},
		"who cuts on purpose is not logged": {
			f:      func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
			silent: true, cut: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			done := make(chan struct{})
			handler := web.Handle(zerolog.New(&log), c.f)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				handler.ServeHTTP(w, r)
			}))
			srv.Start()
			defer srv.Close()
			resp, err := http.Get(srv.URL)
			var body []byte
			if err == nil {
				defer func() { _ = resp.Body.Close() }()
				body, err = io.ReadAll(resp.Body)
			}
			<-done
			if c.cut != (err != nil) {
				t.Fatalf("err = %v", err)
			}
			if !c.cut && resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if !strings.Contains(log.String(), c.logged) || c.silent && log.Len() > 0 {
				t.Errorf("log: %s", log.String())
			}
			if strings.Contains(string(body), "canary") || strings.Contains(string(body), "10.0.0.7") {
				t.Errorf("body: %s", body)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.Handler
		status  int
		body    string
	}{
		"alive":            {web.Healthz(), 200, `{"status":"ok"}`},
		"ready":            {web.Readyz(func() []string { return nil }), 200, `{"status":"ok"}`},
		"ready, of itself": {web.Readyz(nil), 200, `{"status":"ok"}`},
		"not ready":        {web.Readyz(func() []string { return []string{"NATS is away"} }), 503, `{"reasons":["NATS is away"],"status":"unavailable"}`},
	} {
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
		if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if (w.Header().Get("Retry-After") != "") != (c.status == 503) {
			t.Errorf("%s: Retry-After %q", name, w.Header().Get("Retry-After"))
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"app":"slack","nested":{"a":[1,"\"["]}}`))
	f.Add([]byte("[[[["))
	f.Fuzz(func(t *testing.T, body []byte) {
		var into form
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		err := web.DecodeJSON(httptest.NewRecorder(), r, 1<<20, &into)
		if err == nil && !json.Valid(body) {
			t.Fatalf("accepted %q", body)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatalf("kind %v of %q", fault.KindOf(err), body)
		}
	})
}

func ExampleWriteError() {
	w := httptest.NewRecorder()
	web.WriteError(w, fault.Wrap(fault.Unavailable, "bus.Publish", errors.New("dial tcp 10.0.0.7: refused")))
	fmt.Println(w.Code, w.Header().Get("Retry-After"), w.Body)
	// Output: 503 1 {"error":"unavailable","code":"unavailable"}
}
