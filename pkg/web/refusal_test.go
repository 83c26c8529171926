package web_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/web"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// raw sends bytes and gives every status that is answered until the server closes the connection, or nothing more comes
// on one that stays open.
func raw(t *testing.T, addr, text string, answers int) (statuses []int, last string, closed bool) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return rawOn(t, conn, text, answers)
}

func rawOn(t *testing.T, conn net.Conn, text string, answers int) (statuses []int, last string, closed bool) {
	t.Helper()
	defer conn.Close() //nolint:errcheck // it is over
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, text) }() // the server may close before all is sent
	in := bufio.NewReader(conn)
	for len(statuses) < answers {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses, last, true
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		statuses, last = append(statuses, res.StatusCode), string(body)
		if res.Close {
			_, err = in.ReadByte()
			return statuses, last, err != nil
		}
	}
	return statuses, last, false
}

// certificate is a configuration of a server with one.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := localca.Open(localca.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return ca.TLS()
}

// dialed is a connection, over TLS where it is told how.
func dialed(t *testing.T, addr string, config *tls.Config) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if config == nil {
		return conn
	}
	config.InsecureSkipVerify = true // who it is does not matter here
	return tls.Client(conn, config)
}

// TestWhatCannotBeReadIsNo5xx sends what net/http answers by itself, in the open and over TLS.
func TestWhatCannotBeReadIsNo5xx(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Unsupported transfer encoding", http.StatusNotImplemented) // a handler's own is left alone
	})
	addr, secured := serve(t, handler, web.ServerConfig{}).addr, serve(t, handler, web.ServerConfig{TLS: certificate(t)}).addr
	for name, c := range map[string]struct {
		text   string
		status int
		says   string
	}{
		"an unknown transfer coding":  {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\nabc", 400, "unsupported transfer encoding"},
		"an unknown version":          {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 400, "unsupported protocol version"},
		"an old version":              {"GET / HTTP/0.9\r\n\r\n", 400, "unsupported protocol version"},
		"a bad header, and much more": {"POST / HTTP/1.1\r\nHost: x\r\nA: \x01\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000), 400, "Bad Request"},
		"no version":                  {"GET /\r\n\r\n", 400, "Bad Request"},
		"a handler's own 501":         {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 501, "Unsupported transfer encoding"},
	} {
		for kind, conn := range map[string]net.Conn{
			"plain": dialed(t, addr, nil), "TLS": dialed(t, secured, &tls.Config{}), "TLS for http/1.1": dialed(t, secured, &tls.Config{NextProtos: []string{"http/1.1"}}),
		} {
			statuses, body, closed := rawOn(t, conn, c.text, 2)
			if len(statuses) != 1 || statuses[0] != c.status || !strings.Contains(body, c.says) || !closed {
				t.Errorf("%s, %s: %v %q, closed %v; want %d", name, kind, statuses, body, closed, c.status)
			}
		}
	}
}

// TestNothingIsSmuggled sends a request whose two lengths differ: what one of them would make a second request of is
// never served.
func TestNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 10)
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		paths <- r.URL.Path
	}), web.ServerConfig{}).addr
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		text   string
		closed bool
	}{
		"chunked and a length": {"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 42\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, true},
		"chunked alone":        {"POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		"a length":             {"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", false},
	} {
		statuses, _, closed := raw(t, addr, c.text, 1)
		if len(statuses) != 1 || statuses[0] != 200 || closed != c.closed {
			t.Errorf("%s: %v, closed %v", name, statuses, closed)
		}
		if path := <-paths; path != "/first" || len(paths) > 0 {
			t.Errorf("%s: %s was served, and %d more", name, path, len(paths))
		}
	}
}
