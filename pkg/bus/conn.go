package bus

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// InProcess is an embedded server that hands out connections without a network.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// ConnConfig says how to reach the NATS of one environment.
type ConnConfig struct {
	// URL of the servers, comma-separated. Defaults to nats://127.0.0.1:4222.
	URL string
	// Creds is the content of a NATS credentials file. Empty connects without.
	Creds secret.String
	// TLS says whom to believe and who we are. The URL scheme tls:// needs none of it.
	TLS ConnTLS
	// InProcess connects to an embedded server instead of URL.
	InProcess InProcess
	// Name is what the server's monitoring shows.
	Name string
	// PingInterval is how often the server is asked for a sign of life: a server that hangs is left after two.
	//
	// Defaults to 5 seconds.
	PingInterval time.Duration
}

// ConnTLS are files in PEM. They are read at every connect, so that what is renewed needs no restart.
type ConnTLS struct {
	// CA are the authorities that the servers are checked against; with it, a server without TLS is refused. Defaults to
	// those of this machine.
	CA string
	// Cert and Key prove who we are to a server that asks. Defaults to none; one without the other is a mistake.
	Cert, Key string
}

func (t ConnTLS) options() []nats.Option {
	var options []nats.Option
	if t.CA != "" {
		options = append(options, nats.RootCAs(t.CA))
	}
	if t.Cert != "" || t.Key != "" {
		options = append(options, nats.ClientCert(t.Cert, t.Key))
	}
	return options
}

// Conn is one connection to the NATS of one environment. Who made it closes it.
type Conn struct {
	nc  *nats.Conn
	log zerolog.Logger

	mu          sync.Mutex
	reconnected []func()
	violations  int
}

// Connect dials. Errors: Unavailable.
func Connect(ctx context.Context, cfg ConnConfig, log zerolog.Logger) (*Conn, error) {
	c := &Conn{log: log.With().Str("component", "bus").Logger()}
	options := append(c.options(cfg), nats.SetCustomDialer(dialer{ctx: ctx}))
	if cfg.InProcess != nil {
		options = append(options, nats.InProcessServer(cfg.InProcess))
	}
	if cfg.Creds.Reveal() != "" {
		options = append(options, nats.UserCredentialBytes([]byte(cfg.Creds.Reveal())))
	}
	options = append(options, cfg.TLS.options()...)
	url := cfg.URL
	if url == "" {
		url = nats.DefaultURL
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "bus.Connect", err)
	}
	c.nc = nc
	return c, nil
}

func (c *Conn) options(cfg ConnConfig) []nats.Option {
	interval := cfg.PingInterval
	if interval == 0 {
		interval = 5 * time.Second
	}
	return []nats.Option{
		nats.Name(cfg.Name),
		// A publish while disconnected is refused at once, instead of stored later behind an error already given.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(interval),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.CustomInboxPrefix("_INBOX_" + string(behalf.NewEndpointID())),
		nats.ReconnectHandler(func(*nats.Conn) { c.onReconnect() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.log.Warn().Err(err).Msg("connection to NATS lost")
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.onError(err) }),
	}
}

// NATS is the connection itself, for the packages under bus.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// closeTimeout is how long Close waits for the server to have what was published.
const closeTimeout = 2 * time.Second

// Close ends the connection, when the server has what was published.
func (c *Conn) Close() {
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(closeTimeout) // acks that are lost cost a redelivery, which the journal answers
	}
	c.nc.Close()
}

// Connected says whether a server is there right now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Reconnects counts the times a server was found again. It grows before the subscriptions are sent again, so what was
// delivered under one count belongs to one connection.
func (c *Conn) Reconnects() uint64 { return c.nc.Stats().Reconnects }

// Violations counts what the server refused for want of permission: always a mistake of set-up, or an attack.
func (c *Conn) Violations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.violations
}

// OnReconnect has f called after every reconnect, on a goroutine of the connection.
func (c *Conn) OnReconnect(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconnected = append(c.reconnected, f)
}

func (c *Conn) onReconnect() {
	c.log.Info().Str("server", c.nc.ConnectedUrlRedacted()).Msg("connection to NATS found again")
	c.mu.Lock()
	todo := c.reconnected
	c.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

func (c *Conn) onError(err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.mu.Lock()
		c.violations++
		c.mu.Unlock()
	}
	c.log.Error().Err(err).Msg("NATS reports an error")
}

// dialer lets the first dial end with the caller's context; nats.go has no Connect that takes one.
type dialer struct{ ctx context.Context } //nolint:containedctx // the interface of nats.go takes none

func (d dialer) Dial(network, address string) (net.Conn, error) {
	plain := net.Dialer{Timeout: 2 * time.Second}
	ctx := d.ctx
	if ctx.Err() != nil { // the start is over: a reconnect must not die with it
		ctx = context.WithoutCancel(ctx)
	}
	return plain.DialContext(ctx, network, address)
}
