package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log" //nolint:depguard // http.Server takes no other logger
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// ServerConfig bounds what a client may take of a server.
type ServerConfig struct {
	// ReadHeaderTimeout is how long the headers of a request may take.
	//
	// Defaults to 5 seconds.
	ReadHeaderTimeout time.Duration
	// ReadTimeout is how long a whole request may take to arrive.
	//
	// Defaults to 15 seconds.
	ReadTimeout time.Duration
	// WriteTimeout is how long a request may take from the end of its headers to the end of the answer. It must be
	// longer than the longest wait for a result.
	//
	// Defaults to 75 seconds.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection is kept for a next request.
	//
	// Defaults to 60 seconds.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the headers of a request.
	//
	// Defaults to 32 KiB.
	MaxHeaderBytes int
	// Grace is how long requests may still work after Serve was told to stop.
	//
	// Defaults to 20 seconds.
	Grace time.Duration
	// Linger is how long new requests are still handed to the handler after Serve was told to stop, so that one which
	// drains can tell them to come again: net/http drops them without a word. Connections that are there already are
	// served for twice as long.
	//
	// Defaults to none.
	Linger time.Duration
	// TLS makes the server speak https, with HTTP/2 for who wants it. Certificate.TLS makes one.
	//
	// Defaults to none: plain http.
	TLS *tls.Config
	// Log takes what net/http has to complain about.
	Log zerolog.Logger
}

func (c ServerConfig) withDefaults() ServerConfig {
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, 5*time.Second)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 15*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 75*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 60*time.Second)
	c.MaxHeaderBytes = cmp.Or(c.MaxHeaderBytes, 32<<10)
	c.Grace = cmp.Or(c.Grace, 20*time.Second)
	return c
}

// NewServer makes a server that no slow or talkative client can hold.
func NewServer(handler http.Handler, cfg ServerConfig) *http.Server {
	cfg = cfg.withDefaults()
	return &http.Server{
		Handler:           attended(closeChunked(handler)),
		ConnContext:       withLine,
		ConnState:         fellSilent,
		ReadHeaderTimeout: cfg.ReadHeaderTimeout,
		ReadTimeout:       cfg.ReadTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		// net/http adds 4 KiB of its own to what it is told.
		MaxHeaderBytes: max(cfg.MaxHeaderBytes-4<<10, 1),
		TLSConfig:      offering(cfg.TLS),
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:       log.New(complaints{cfg.Log}, "", 0),
	}
}

// Serve serves until ctx ends, and then leaves in three steps: it lingers; it takes no new connections, and lingers again
// for the requests of those that there are, so that none is closed on which a client is about to send, and until each
// that has begun to arrive is there; and it lets what is under way finish within the grace period, and returns nil. It
// closes the listener. An error means that the server fell over by itself, or that requests were cut.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, cfg ServerConfig) error {
	srv, door, all := NewServer(handler, cfg), &listener{Listener: ln}, newLines()
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(speaking(ctx, door, srv, all)) }()

	select {
	case err := <-stopped: // it fell over by itself
		return fault.Wrap(fault.Internal, "web.Serve", err)
	case <-ctx.Done():
	}
	select {
	case err := <-stopped:
		return fault.Wrap(fault.Internal, "web.Serve", err)
	case <-time.After(cfg.Linger):
	}
	err := door.Close()
	if end := <-stopped; !errors.Is(end, net.ErrClosed) {
		err = errors.Join(err, end)
	}
	<-time.After(cfg.Linger)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.withDefaults().Grace)
	defer cancel()
	all.settle(ctx, srv.ReadTimeout)
	if cut := srv.Shutdown(ctx); cut != nil {
		err = errors.Join(err, cut, srv.Close())
	}
	return fault.Wrap(fault.Timeout, "web.Serve", err)
}

// speaking is a listener that speaks https, or plain http, and whose connections are lines.
func speaking(ctx context.Context, ln net.Listener, srv *http.Server, all *lines) net.Listener {
	if srv.TLSConfig != nil {
		return shakeHands(ctx, ln, srv, all)
	}
	return plain{ln, all}
}

// Linger is how long a role tells those who come while it leaves. A load balancer that asks /readyz each second has noticed
// by then.
const Linger = 2 * time.Second

// complaints writes the lines of net/http to our log. They are about clients, so nobody needs to look.
type complaints struct{ log zerolog.Logger }

func (c complaints) Write(line []byte) (int, error) {
	c.log.Debug().Bytes("line", line).Msg("net/http complains")
	return len(line), nil
}
