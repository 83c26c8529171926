package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lines are the open connections of a server that speak HTTP/1. net/http drops, without a word, a request whose headers
// arrive after Shutdown; so who shuts down asks here first whether one is coming. HTTP/2 tells its clients by itself.
type lines struct {
	mu   sync.Mutex
	open map[*line]struct{}
}

// line is one of them.
type line struct {
	refusing

	all    *lines
	state  atomic.Int32
	looked atomic.Bool // past the deadline of this request
	spoken atomic.Bool // by net/http, to a request that no handler got
}

// The states of a line.
const (
	coming    int32 = iota // it is new, or some of a request was read, and no handler has that request yet
	answering              // a handler has it
	silent                 // it is answered, and nothing has come since
)

// plain is a listener whose connections are lines.
type plain struct {
	net.Listener

	lines *lines
}

func (p plain) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return p.lines.add(conn), nil
}

func newLines() *lines { return &lines{open: map[*line]struct{}{}} }

func (l *lines) add(conn net.Conn) *line {
	next := &line{refusing: refusing{conn}, all: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[next] = struct{}{}
	return next
}

// coming counts those on which a request is coming, or may be.
func (l *lines) coming() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for each := range l.open {
		if each.state.Load() == coming {
			n++
		}
	}
	return n
}

// settle waits until no request is coming. A client that takes its time is cut off by ReadHeaderTimeout, which is less:
// the rest is for a machine that is so busy that what has come waits to be read.
func (l *lines) settle(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for tick := time.Tick(10 * time.Millisecond); l.coming() > 0; {
		select {
		case <-tick:
		case <-ctx.Done():
			return
		}
	}
}

// Read gives also what had come in time and was not read in time: net looks at the deadline first, and on a machine that
// is very busy it may have passed while a whole request waited.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.refusing.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && l.state.Load() != answering && !l.looked.Swap(true) {
		_ = l.SetReadDeadline(time.Now().Add(lookAgain))
		n, err = l.refusing.Read(b)
	}
	if n > 0 {
		l.state.CompareAndSwap(silent, coming)
	}
	return n, err
}

// lookAgain is how long that read may take, once a request: for what has come already, it is at once.
const lookAgain = time.Second

func (l *line) Write(b []byte) (int, error) {
	if l.state.Load() == coming {
		l.spoken.Store(true)
	}
	return l.refusing.Write(b)
}

// Close lets a client that is still sending read why it was refused: to close at once would reset the connection under it.
func (l *line) Close() error {
	l.all.mu.Lock()
	delete(l.all.open, l)
	l.all.mu.Unlock()
	if l.spoken.Load() && l.CloseWrite() == nil {
		_ = l.SetReadDeadline(time.Now().Add(hearOut))
		_, _ = io.CopyN(io.Discard, l.refusing, mostHeard)
	}
	return l.refusing.Close()
}

// How long, and how many bytes, a client that was refused may go on.
const (
	hearOut   = 500 * time.Millisecond
	mostHeard = 1 << 20
)

// itself is for who has a line that knows more.
func (l *line) itself() *line { return l }

// securedLine is a line over TLS. By ConnectionState net/http knows that it is.
type securedLine struct {
	*line

	tls tls.ConnectionState
}

func (l securedLine) ConnectionState() tls.ConnectionState { return l.tls }

type lineKey struct{}

// withLine has the requests of a connection know it.
func withLine(ctx context.Context, conn net.Conn) context.Context {
	if of, ok := conn.(interface{ itself() *line }); ok {
		return context.WithValue(ctx, lineKey{}, of.itself())
	}
	return ctx
}

// fellSilent says on a line that its request is over, and what was left of its body is read.
func fellSilent(conn net.Conn, now http.ConnState) {
	if of, ok := conn.(interface{ itself() *line }); ok && now == http.StateIdle {
		of.itself().state.Store(silent)
	}
}

// attended says on the line of a request that a handler has it.
func attended(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, ok := r.Context().Value(lineKey{}).(*line); ok {
			l.state.Store(answering)
			l.looked.Store(false)
		}
		next.ServeHTTP(w, r)
	})
}
