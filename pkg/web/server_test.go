package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

func TestServerIsBounded(t *testing.T) {
	t.Parallel()
	srv := web.NewServer(http.NotFoundHandler(), web.ServerConfig{})
	if srv.ReadHeaderTimeout != 5*time.Second || srv.ReadTimeout != 15*time.Second || srv.IdleTimeout != time.Minute {
		t.Errorf("timeouts: %v %v %v", srv.ReadHeaderTimeout, srv.ReadTimeout, srv.IdleTimeout)
	}
	if srv.WriteTimeout <= time.Minute {
		t.Errorf("WriteTimeout %v would cut a caller who waits", srv.WriteTimeout)
	}
}

// served is a server under Serve, and the way to stop it and read what it returned.
type served struct {
	addr string
	stop context.CancelFunc
	over chan error
}

func serve(t *testing.T, handler http.Handler, cfg web.ServerConfig) served {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := served{ln.Addr().String(), cancel, make(chan error, 1)}
	go func() { s.over <- web.Serve(ctx, ln, handler, cfg) }()
	t.Cleanup(cancel)
	return s
}

func TestServeLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		if r.Context().Err() != nil {
			t.Error("a request's context ended with the server's")
		}
		_, _ = io.WriteString(w, "done")
	}), web.ServerConfig{})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + s.addr)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()
	<-entered
	s.stop()
	waitRefused(t, s.addr)
	close(leave)
	if got := <-answer; got != "done" {
		t.Errorf("answer: %s", got)
	}
	if err := <-s.over; err != nil {
		t.Error(err)
	}
}

// waitRefused waits until the listener is closed.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for t.Context().Err() == nil {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

func TestServeCutsAfterTheGrace(t *testing.T) {
	t.Parallel()
	entered, gone := make(chan struct{}), make(chan struct{})
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(gone)
	}), web.ServerConfig{Grace: 10 * time.Millisecond})
	go func() {
		if resp, err := http.Get("http://" + s.addr); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-entered
	s.stop()
	if err := <-s.over; !fault.Is(err, fault.Timeout) {
		t.Errorf("err = %v, want timeout", err)
	}
	<-gone
}

func TestServeTellsOfItsDeath(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := web.Serve(t.Context(), ln, http.NotFoundHandler(), web.ServerConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("err = %v", err)
	}
}

func TestServerRefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	s := serve(t, web.Healthz(), web.ServerConfig{ReadHeaderTimeout: 50 * time.Millisecond, ReadTimeout: 50 * time.Millisecond})
	for name, c := range map[string]struct{ send, want string }{
		"headers within the bound": {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 24<<10) + "\r\n\r\n", "200"},
		"headers above it":         {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", "431"},
		"two hosts":                {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
		"no host":                  {"GET / HTTP/1.1\r\n\r\n", "400"},
		"two lengths":              {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
		"a length with a sign":     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde", "400"},
		"an unknown coding":        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "400"},
		"a folded line":            {"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "200"},
		"a space before the colon": {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
		"headers that never end":   {"GET / HTTP/1.1\r\nHost: x\r\nA: ", ""},
		"nothing at all":           {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, c.send)
			line, err := bufio.NewReader(conn).ReadString('\n')
			if c.want == "" {
				var late net.Error
				if errors.As(err, &late) && late.Timeout() {
					t.Error("the connection is held for as long as the client likes")
				}
				return
			}
			if !strings.HasPrefix(line, "HTTP/1.1 "+c.want) {
				t.Errorf("answer %q, err %v, want %s", line, err, c.want)
			}
		})
	}
}
