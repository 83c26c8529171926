package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/behalf-dev/behalf/pkg/egress"
)

// Actions of dev read files at its own ingress, and nothing else of this machine.
func TestActionsReachOwnFilesOnly(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	serve := func() *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reached.Add(1)
			_, _ = io.WriteString(w, "a file")
		}))
		t.Cleanup(s.Close)
		return s
	}
	own, other := serve(), serve()
	client := callsAt(own.Listener.Addr(), egress.Config{})
	send := func(method, url, host string) error {
		req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if err := send(method, own.URL+"/e/files/development/x", ""); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	if n := reached.Load(); n != 2 {
		t.Fatalf("reached %d times", n)
	}
	name := strings.Replace(own.URL, "127.0.0.1", "localhost", 1)
	for what, c := range map[string][3]string{
		"the API":          {http.MethodGet, own.URL + "/v1/users", ""},
		"a workflow":       {http.MethodGet, own.URL + "/e/enx", ""},
		"another method":   {http.MethodPost, own.URL + "/e/files/development/x", ""},
		"another port":     {http.MethodGet, other.URL + "/e/files/development/x", ""},
		"another host":     {http.MethodGet, own.URL + "/e/files/development/x", "enx.127.0.0.1"},
		"by a name":        {http.MethodGet, name + "/e/files/development/x", ""},
		"with credentials": {http.MethodGet, strings.Replace(own.URL, "http://", "http://a@", 1) + "/v1/users", ""},
	} {
		if err := send(c[0], c[1], c[2]); err == nil {
			t.Errorf("%s is reached", what)
		}
	}
	if n := reached.Load(); n != 2 {
		t.Errorf("reached %d times", n)
	}
}
