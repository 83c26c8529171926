// Package embedded runs a NATS server inside this process, with JetStream on disk and one account per environment, each
// behind credentials of its own.
//
// It never opens a port without credentials, and is not for production: there NATS is a cluster of its own.
package embedded

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Config says where the server keeps its data and listens.
type Config struct {
	// Dir holds keys, credentials and streams. It is made with mode 0700.
	Dir string
	// Addr to listen at, such as 127.0.0.1:4222. Empty opens no port.
	Addr string
	// SyncAlways makes every acknowledged message survive a power cut, at the price of a disk flush each.
	SyncAlways bool
	// MaxStorage is how many bytes the streams may hold, and reserve.
	//
	// Defaults to three quarters of the disk that is free at the start, and what they hold already.
	MaxStorage int64
	// ReadyTimeout is how long the start may take.
	//
	// Defaults to 10 seconds.
	ReadyTimeout time.Duration
}

// Server is a running server. Who started it calls Run or Close.
type Server struct {
	ns    *server.Server
	dir   string
	creds map[behalf.Environment]secret.String
}

// Start starts a server and returns when it serves. Errors: Invalid, for a folder or what is no address; Unavailable, at
// once, for an address where it cannot listen.
func Start(cfg Config) (*Server, error) {
	if err := cfg.tryAddr(); err != nil {
		return nil, err
	}
	keys, err := loadKeys(cfg.Dir)
	if err != nil {
		return nil, err
	}
	options, err := cfg.options(keys)
	if err != nil {
		return nil, err
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "embedded.Start", err)
	}
	ready := cmp.Or(cfg.ReadyTimeout, 10*time.Second)
	ns.Start()
	if !ns.ReadyForConnections(ready) {
		ns.Shutdown()
		return nil, fault.Newf(fault.Unavailable, "embedded.Start", "NATS does not start at %s within %s", cmp.Or(cfg.Addr, cfg.Dir), ready)
	}
	s := &Server{ns: ns, dir: cfg.Dir, creds: make(map[behalf.Environment]secret.String)}
	if err := s.admit(keys); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// admit makes the credentials of each environment and keeps them as files, mode 0600.
func (s *Server) admit(k keys) error {
	for _, env := range behalf.Environments() {
		creds, err := k.credentials(env)
		if err != nil {
			return err
		}
		s.creds[env] = secret.New(string(creds))
		if err := writePrivate(s.CredsFile(env), creds); err != nil {
			return err
		}
	}
	return nil
}

// Creds are the credentials of an environment's account.
func (s *Server) Creds(env behalf.Environment) secret.String { return s.creds[env] }

// CredsFile is where they lie.
func (s *Server) CredsFile(env behalf.Environment) string {
	return filepath.Join(s.dir, string(env)+".creds")
}

// URL at which the server listens. Empty where it opened no port.
func (s *Server) URL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return "nats://" + s.ns.Addr().String()
}

// MaxStorage is how many bytes its streams may hold, and reserve.
func (s *Server) MaxStorage() int64 {
	if cfg := s.ns.JetStreamConfig(); cfg != nil {
		return cfg.MaxStore
	}
	return 0
}

// InProcessConn connects without a network.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Run keeps the server until ctx ends, then stops it and waits until its files are closed.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	s.Close()
	return nil
}

// watchEvery is how often a server is asked whether it still stores.
const watchEvery = time.Second

// Watch returns nil when ctx ends, and before that where the server has stopped storing: it does so for good when its
// disk is full, and answers nothing any more although it runs. That is Exhausted. It closes nothing.
func (s *Server) Watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for s.ns.JetStreamEnabled() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return fault.Newf(fault.Exhausted, "embedded.Watch", "NATS cannot store any more: the disk of %s is full or broken", s.dir)
}

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
}

func (c Config) options(k keys) (*server.Options, error) {
	operator, resolver, err := k.accounts()
	if err != nil {
		return nil, err
	}
	o := &server.Options{
		ServerName: "behalf-embedded", DontListen: c.Addr == "", NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(c.Dir, "jetstream"), SyncAlways: c.SyncAlways,
		JetStreamMaxStore: c.MaxStorage,
		TrustedOperators:  []*jwt.OperatorClaims{operator}, SystemAccount: k.System.public, AccountResolver: resolver,
		NoSystemAccount: false, MaxPayload: 1 << 20,
	}
	if c.Addr == "" {
		return o, nil
	}
	if o.Host, o.Port, err = c.hostPort(); err != nil {
		return nil, err
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return o, nil
}

func (c Config) hostPort() (string, int, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", 0, fault.Newf(fault.Invalid, "embedded.Start", "the address of NATS must be host:port, not %q", c.Addr)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fault.Newf(fault.Invalid, "embedded.Start", "the port of NATS must be a number, not %q", port)
	}
	return host, int(number), nil
}

// tryAddr listens there for a moment: the server itself would only go on trying until the start has taken too long.
func (c Config) tryAddr() error {
	if c.Addr == "" {
		return nil
	}
	if _, _, err := c.hostPort(); err != nil {
		return err
	}
	addr, err := net.ResolveTCPAddr("tcp", c.Addr)
	if err != nil {
		return fault.Newf(fault.Unavailable, "embedded.Start", "NATS cannot listen at %s", c.Addr).Because(err)
	}
	ln, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return fault.Newf(fault.Unavailable, "embedded.Start", "NATS cannot listen at %s", c.Addr).Because(err)
	}
	return fault.Wrap(fault.Unavailable, "embedded.Start", ln.Close())
}

func writePrivate(file string, data []byte) error {
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fault.New(fault.Invalid, "embedded.Start", fmt.Sprintf("cannot write %s", file)).Because(err)
	}
	return nil
}
