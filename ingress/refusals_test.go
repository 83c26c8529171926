package ingress_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

func TestRefusedHeadersAndBodies(t *testing.T) {
	t.Parallel()
	const boundary = "multipart/form-data must name its boundary, of at most 70 characters"
	const key = "Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters"
	const accounts = "x-behalf-accounts must be app=apn_… pairs, joined by commas, each app once"
	for name, c := range map[string]struct{ headers, body, text string }{
		"multipart":              {"Content-Type: Multipart/Form-Data", "--x--", boundary},
		"two types":              {"Content-Type: application/json\nContent-Type: multipart/form-data", "{}", "Content-Type must be sent once"},
		"UTF-16":                 {"Content-Type: application/json; charset=utf-16", "{}", "The body must be UTF-8"},
		"a form in Latin-1":      {"Content-Type: application/x-www-form-urlencoded; charset=iso-8859-1", "a=1", "The body must be UTF-8"},
		"a form in UTF-7":        {"Content-Type: multipart/form-data; boundary=x; charset=utf-7", "--x--", "The body must be UTF-8"},
		"too deep":               {"Content-Type: application/json", strings.Repeat("[", 257) + strings.Repeat("]", 257), "The JSON body must not be nested deeper than 256"},
		"far too deep":           {"Content-Type: application/json", strings.Repeat(`{"a":`, 40_000), "The JSON body must not be nested deeper than 256"},
		"an empty key":           {"Idempotency-Key: ", "", key},
		"two keys":               {"Idempotency-Key: a\nIdempotency-Key: a", "", key},
		"a long key":             {"Idempotency-Key: " + strings.Repeat("k", 256), "", key},
		"a key of other letters": {"Idempotency-Key: schlüssel", "", key},
		"an empty user":          {"x-pd-external-user-id: ", "", "x-pd-external-user-id: external user ID must have 1 to 250 characters"},
		"a long user":            {"x-pd-external-user-id: " + strings.Repeat("a", 251), "", "x-pd-external-user-id: external user ID must have 1 to 250 characters"},
		"a control character":    {"x-pd-external-user-id: a\x85b", "", "x-pd-external-user-id: external user ID must not hold control characters"},
		"an escaped NUL":         {"x-behalf-external-user-id: a%00b", "", "x-behalf-external-user-id: external user ID must not hold control characters"},
		"an escaped line":        {"x-behalf-external-user-id: a%0D%0Ab", "", "x-behalf-external-user-id: external user ID must not hold control characters"},
		"two users":              {user + user, "", "x-pd-external-user-id must be sent once"},
		"two users of ours":      {"x-behalf-external-user-id: a\nx-behalf-external-user-id: a", "", "x-behalf-external-user-id must be sent once"},
		"users that differ":      {user + "x-behalf-external-user-id: abc-124", "", "x-pd-external-user-id and x-behalf-external-user-id name two users; send one"},
		"a broken escape":        {"x-behalf-external-user-id: a%2", "", "x-behalf-external-user-id must be percent-encoded UTF-8"},
		"no UTF-8 in escapes":    {"x-behalf-external-user-id: Jos%E9", "", "x-behalf-external-user-id must be percent-encoded UTF-8"},
		"raw bytes":              {"x-behalf-external-user-id: José", "", "x-behalf-external-user-id must be percent-encoded UTF-8"},
		"no accounts":            {"x-behalf-accounts: ", "", accounts},
		"no id":                  {"x-behalf-accounts: slack", "", accounts},
		"no app":                 {"x-behalf-accounts: =apn_1", "", accounts},
		"no account's id":        {"x-behalf-accounts: slack=xoxb-token", "", accounts},
		"an app twice":           {"x-behalf-accounts: slack=apn_1,slack=apn_2", "", accounts},
		"a comma too many":       {"x-behalf-accounts: slack=apn_1,", "", accounts},
		"the header twice":       {"x-behalf-accounts: slack=apn_1\nx-behalf-accounts: github=apn_2", "", accounts},
		"an app with a wildcard": {"x-behalf-accounts: sl*ck=apn_1", "", accounts},
		"an id with a dot":       {"x-behalf-accounts: slack=apn_1.apn_2", "", accounts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
			check(t, w.send(request(http.MethodPost, "", c.headers, c.body)), row{status: 400, code: "request_invalid", text: c.text})
			if len(w.bus.stored()) > 0 {
				t.Error("an event was stored")
			}
		})
	}
}

func TestNoEndpointByAnyOtherName(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", ".", "..", "a..b", ".x", "x.", "*", "%3E", "$JS.API.X", "$KV.x", "_INBOX.x", "%20", "%09", "%0D%0A", "%00", endpointID + "%00", endpointID + "%20",
		strings.Repeat("en", 2048), "%ff", "%2e%2e%2f", "%5C", "%E2%80%AE", "e%CC%81n1", "\U0001F600", "1234", "__proto__", "constructor", "true", "null",
		"en", "eo" + endpointID[2:], endpointID + ".x", endpointID + "*", endpointID + "%2Fx",
	} {
		for _, env := range []string{"", "x-pd-environment: staging"} {
			w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/e/"+id, http.NoBody)
			if err != nil {
				t.Fatalf("%q: %v", id, err)
			}
			if env != "" {
				r.Header.Set("x-pd-environment", "staging")
			}
			check(t, w.send(r), row{status: 404, code: "endpoint_not_found", text: "No workflow answers here in production"})
			if t.Failed() || len(w.bus.stored()) > 0 {
				t.Fatalf("%q: %d events", id, len(w.bus.stored()))
			}
		}
	}
}

func TestEnvironmentsByTheirExactNames(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"", "Production", "prod", "production,development", "production ,", "*", "__proto__", "null", "pr\xf6duction"} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		res := w.send(request(http.MethodPost, "", "x-pd-environment: "+env, ""))
		check(t, res, row{status: 400, code: "environment_invalid", text: "x-pd-environment must be development or production"})
		if len(w.bus.stored()) > 0 {
			t.Errorf("%q: an event was stored", env)
		}
	}
}

// What net/http lets through to us, and what it refuses itself, over a true connection.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	start := "POST /e/" + endpointID + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
		events  int
	}{
		"two lengths":                {start + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, 0},
		"a signed length":            {start + "Content-Length: +5\r\n\r\nabcde", 400, 0},
		"a negative length":          {start + "Content-Length: -5\r\n\r\nabcde", 400, 0},
		"an unknown transfer coding": {start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, 0},
		"two transfer codings":       {start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501, 0},
		"chunks":                     {start + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, 1},
		"chunks that end early":      {start + "Transfer-Encoding: chunked\r\n\r\n9\r\nab", 400, 0},
		"a long chunk extension":     {start + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 64<<10) + "\r\na\r\n0\r\n\r\n", 400, 0},
		"no host":                    {"POST /e/" + endpointID + " HTTP/1.1\r\nConnection: close\r\n\r\n", 400, 0},
		"two hosts":                  {start + "Host: y\r\n\r\n", 400, 0},
		"a space before the colon":   {start + "X-A : b\r\n\r\n", 400, 0},
		"a NUL in a header":          {start + "X-A: a\x00b\r\n\r\n", 400, 0},
		"HTTP/0.9":                   {"GET /e/" + endpointID + "\r\n\r\n", 400, 0},
		"a header too large":         {start + "Cookie: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431, 0},
		"an absolute target":         {"GET http://" + endpointID + ".flows.example/x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n", 200, 1},
		"a method of one's own":      {"BREW /e/" + endpointID + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, 1},
		"a method override":          {start + "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n", 200, 1},
		"a body that was cut":        {start + "Content-Length: 9\r\n\r\nab", 400, 0},
		"too large, and said so":     {start + "Content-Length: 300000\r\n\r\n", 413, 0},
		"too large, in chunks":       {start + "Transfer-Encoding: chunked\r\n\r\n493e0\r\n" + strings.Repeat("a", 300000) + "\r\n0\r\n\r\n", 413, 0},
		"length and chunks":          {start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
			srv := httptest.NewUnstartedServer(nil)
			srv.Config = web.NewServer(w.server(), web.ServerConfig{})
			srv.Start()
			defer srv.Close()
			if status := raw(t, srv.Listener.Addr().String(), c.request); status != c.status {
				t.Errorf("answered %d, want %d", status, c.status)
			}
			if events := w.bus.stored(); len(events) != c.events {
				t.Errorf("%d events, want %d", len(events), c.events)
			}
		})
	}
}

// raw writes the bytes, ends its side, and reads the status.
func raw(t *testing.T, addr, request string) int {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = io.WriteString(conn, request) // the server may have answered before the end
		if half, ok := conn.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	_ = conn.Close()
	<-wrote
	return res.StatusCode
}

func TestASlowBodyIsNoRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = web.NewServer(w.server(), web.ServerConfig{ReadTimeout: 50 * time.Millisecond})
	srv.Start()
	defer srv.Close()
	body, stalled := io.Pipe()
	defer func() { _ = stalled.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/e/"+endpointID, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	check(t, answerOf(t, res), row{status: 400, code: "request_invalid", text: "The body could not be read to its end"})
	if len(w.bus.stored()) > 0 {
		t.Error("an event was stored")
	}
}

func TestRunEndsWellForThoseWhoWait(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondCustom)
	w.config.Wait = 5 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	w.bus.publish = func(_ context.Context, store func()) error {
		stop()
		store()
		return nil
	}
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "done"}})
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := w.server()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln, web.ServerConfig{}) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+ln.Addr().String()+"/e/"+endpointID, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got := answerOf(t, res); got.status != 200 || got.body != "done" {
		t.Errorf("answered %d %q", got.status, got.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
