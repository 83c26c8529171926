package web_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/behalf-dev/behalf/pkg/web"
)

// pipes is a listener in memory, so that time may be faked.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// A request that has begun to arrive when a server leaves is answered, however late in the linger the rest of it comes.
// net/http alone would drop it without a word.
func TestARequestThatIsComingIsAnswered(t *testing.T) {
	t.Parallel()
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		before []string // what comes before the server is told to leave, piece by piece
		after  string   // what comes at a time after
		at     time.Duration
		want   string
	}{
		"the second half of its headers":       {[]string{request[:20]}, request[20:], 4500 * time.Millisecond, "200 OK"},
		"all of it":                            {nil, request, 4500 * time.Millisecond, "200 OK"},
		"half, on a connection that was used":  {[]string{request, request[:20]}, request[20:], 4500 * time.Millisecond, "200 OK 200 OK"},
		"a second one, on one that was silent": {[]string{request}, request, 3900 * time.Millisecond, "200 OK 200 OK"},
		"one that takes longer than it may":    {[]string{request[:20]}, request[20:], 9500 * time.Millisecond, "400 Bad Request"},
		"one on which nothing more comes":      {[]string{request, request[:20]}, "", 4500 * time.Millisecond, "200 OK 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ln := newPipes()
				ctx, stop := context.WithCancel(t.Context())
				over := make(chan error, 1)
				go func() {
					over <- web.Serve(ctx, ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), web.ServerConfig{Linger: 2 * time.Second})
				}()
				conn := ln.dial()
				answers := make(chan string, 1)
				go func() { answers <- statusLines(conn) }()
				for _, piece := range c.before {
					_, _ = io.WriteString(conn, piece)
					synctest.Wait()
				}
				stop()
				<-time.After(c.at)
				_, _ = io.WriteString(conn, c.after) // it may be closed by then
				synctest.Wait()
				<-time.After(time.Minute)
				_ = conn.Close()
				if got := <-answers; got != c.want {
					t.Errorf("answered %q, want %q", got, c.want)
				}
				if err := <-over; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// statusLines are those of all answers until the connection ends.
func statusLines(conn net.Conn) string {
	var all []string
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if status, ok := strings.CutPrefix(lines.Text(), "HTTP/1.1 "); ok {
			all = append(all, status)
		}
	}
	return strings.Join(all, " ")
}

// behind is a listener on which a server gets to a connection only when its client has sent all.
type behind struct {
	net.Listener

	sent <-chan struct{}
}

func (b behind) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	<-b.sent
	return conn, err
}

// A machine may be so busy that the time for the headers is over before the first read of a request that is there.
func TestARequestThatCameInTimeIsReadLate(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go func() {
		_ = web.Serve(ctx, behind{ln, sent}, handler, web.ServerConfig{ReadHeaderTimeout: time.Nanosecond})
	}()
	conn := dialed(t, ln.Addr().String(), nil)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	close(sent)
	if statuses, _, _ := rawOn(t, conn, "", 1); len(statuses) != 1 || statuses[0] != http.StatusOK {
		t.Errorf("answered %v", statuses)
	}
	// One that sends its headers bit by bit gains a second look, and no third.
	slow := dialed(t, ln.Addr().String(), nil)
	if statuses, _, closed := rawOn(t, slow, "GET / HTTP/1.1\r\nHost: x\r\n", 1); len(statuses) != 0 || !closed {
		t.Errorf("half a request: %v, closed %v", statuses, closed)
	}
}

// A connection on which nothing more comes holds up nobody, also where its handler left a body unread.
func TestASilentConnectionHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() {
			over <- web.Serve(ctx, ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), web.ServerConfig{Linger: 2 * time.Second})
		}()
		conn := ln.dial()
		answers := make(chan string, 1)
		go func() { answers <- statusLines(conn) }()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n")
		synctest.Wait()
		_, _ = io.WriteString(conn, strings.Repeat("x", 9000))
		synctest.Wait()
		began := time.Now()
		stop()
		if err := <-over; err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("it left after %s, %v", time.Since(began), err)
		}
		if got := <-answers; got != "200 OK" {
			t.Errorf("answered %q", got)
		}
	})
}
