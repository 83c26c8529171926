package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const protocolHTTP2 = "h2"

// handshakes is a listener whose connections have agreed on TLS already, each in a goroutine of its own. net/http would do
// that by itself, but then nobody could see what it writes: here, those that speak HTTP/1 become lines. The others it gets as
// they are: it knows how to speak HTTP/2, and what to say where the handshake failed.
type handshakes struct {
	net.Listener

	lines  *lines
	config *tls.Config
	within time.Duration
	failed func(reason any) // by a panic

	accepted chan accepted
	under    sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

// shakeHands accepts until the listener is closed. After that, Accept still gives those whose handshake was under way.
func shakeHands(ctx context.Context, ln net.Listener, srv *http.Server, all *lines) net.Listener {
	h := &handshakes{
		Listener: ln, lines: all, config: srv.TLSConfig, within: srv.ReadHeaderTimeout, accepted: make(chan accepted),
		failed: func(reason any) { srv.ErrorLog.Printf("a handshake panicked: %v", reason) },
	}
	go h.accept(context.WithoutCancel(ctx))
	return h
}

// Accept gives a connection after its handshake.
func (h *handshakes) Accept() (net.Conn, error) {
	next, ok := <-h.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return next.conn, next.err
}

func (h *handshakes) accept(ctx context.Context) {
	defer close(h.accepted)
	for {
		conn, err := h.Listener.Accept()
		if err == nil {
			h.under.Go(func() { h.shake(ctx, conn) })
			continue
		}
		passes := passing(err)
		if !passes {
			h.under.Wait()
		}
		h.accepted <- accepted{err: err}
		if !passes {
			return
		}
	}
}

// passing says whether net/http will accept again after an error.
func passing(err error) bool {
	ne, ok := err.(net.Error)   //nolint:errorlint // as net/http asks it
	return ok && ne.Temporary() //nolint:staticcheck // net/http asks for it too
}

// shake has one connection agree on TLS. The outcome stays with it, so that net/http finds it there.
func (h *handshakes) shake(ctx context.Context, conn net.Conn) {
	defer func() {
		if reason := recover(); reason != nil {
			_ = conn.Close()
			h.failed(reason)
		}
	}()
	secured := tls.Server(conn, h.config)
	_ = conn.SetDeadline(time.Now().Add(h.within))
	err := secured.HandshakeContext(ctx)
	_ = conn.SetDeadline(time.Time{})
	state := secured.ConnectionState()
	if err != nil || state.NegotiatedProtocol == protocolHTTP2 {
		h.accepted <- accepted{conn: secured}
		return
	}
	h.accepted <- accepted{conn: securedLine{h.lines.add(secured), state}}
}

// offering is a configuration that offers HTTP/2 and HTTP/1.1.
func offering(config *tls.Config) *tls.Config {
	if config == nil {
		return nil
	}
	config = config.Clone()
	for _, protocol := range []string{protocolHTTP2, "http/1.1"} {
		if !slices.Contains(config.NextProtos, protocol) {
			config.NextProtos = append(slices.Clone(config.NextProtos), protocol)
		}
	}
	return config
}
