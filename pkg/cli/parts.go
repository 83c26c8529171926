package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// parts are what every role has of one environment: its connection, and what stands on it.
type parts struct {
	env     behalf.Environment
	conn    *bus.Conn
	bus     *bus.Bus
	store   *store.Store
	files   *store.Files
	journal *journal.Journal
	// operator does to runs what is asked for by way of the API.
	operator *operate.Operator
	// fresh makes credentials anew that the API hands out. Nil has it hand out what there is.
	fresh freshCredentials
}

// openParts connects to an environment that is provisioned already. close ends the connection.
func openParts(ctx context.Context, env behalf.Environment, connect bus.ConnConfig, cfg bus.Config, log zerolog.Logger) (*parts, error) {
	conn, err := bus.Connect(ctx, connect, log)
	if err != nil {
		return nil, err
	}
	p := &parts{env: env, conn: conn}
	if err := p.stand(ctx, cfg, log); err != nil {
		conn.Close()
		return nil, hinted{fmt.Errorf("environment %s: %w", env, err), "has `behalf provision` been run against this NATS?"}
	}
	return p, nil
}

func (p *parts) stand(ctx context.Context, cfg bus.Config, log zerolog.Logger) (err error) {
	if p.store, err = store.New(ctx, p.conn.NATS(), p.env, store.Config{}, log); err != nil {
		return err
	}
	if p.files, err = store.NewFiles(ctx, p.conn.NATS(), p.env, store.Config{}); err != nil {
		return err
	}
	if p.journal, err = journal.New(p.conn.NATS(), p.env, p.store, journal.Config{Registerer: cfg.Registerer}, log); err != nil {
		return err
	}
	p.bus, err = bus.New(ctx, p.conn, p.env, cfg, log)
	if err != nil {
		return err
	}
	p.operator = operate.New(operate.Config{Name: workerName()}, p.bus, p.journal, p.store, log)
	p.conn.OnReconnect(p.store.Reset)
	return nil
}

func (p *parts) close() { p.conn.Close() }

// keep runs what keeps the parts fresh until below ends, and waits until they are filled, or ctx ends.
func (p *parts) keep(ctx, below context.Context, group *errgroup.Group) error {
	group.Go(func() error { return p.store.Run(below) })
	group.Go(func() error { return p.bus.Watch(below) })
	select {
	case <-p.store.Ready():
		return nil
	case <-ctx.Done():
		if ours, ok := errors.AsType[*fault.Error](context.Cause(ctx)); ok { // another of the group fell over
			return ours
		}
		return ctx.Err()
	}
}

// ready says what speaks against serving.
func (p *parts) ready() []string {
	if !p.conn.Connected() {
		return []string{string(p.env) + ": NATS is not connected"}
	}
	return nil
}

// byEnvironment are the parts of a role that serves several.
type byEnvironment map[behalf.Environment]*parts

func openAll(ctx context.Context, s roleSettings, role string, cfg bus.Config, log zerolog.Logger) (byEnvironment, error) {
	all := make(byEnvironment, len(s.environments))
	for _, env := range s.environments {
		p, err := openParts(ctx, env, s.connect(env, role), cfg, log)
		if err != nil {
			all.close()
			return nil, err
		}
		all[env] = p
	}
	return all, nil
}

func (b byEnvironment) close() {
	for _, p := range b {
		p.close()
	}
}

func (b byEnvironment) keep(ctx, below context.Context, group *errgroup.Group) error {
	for _, p := range b {
		if err := p.keep(ctx, below, group); err != nil {
			return err
		}
	}
	return nil
}

func (b byEnvironment) ready() []string {
	var why []string
	for _, env := range behalf.Environments() {
		if p, ok := b[env]; ok {
			why = append(why, p.ready()...)
		}
	}
	return why
}

// readiness is ready, and says as well when the role leaves.
func (b byEnvironment) readiness(ctx context.Context) func() []string {
	return func() []string {
		if ctx.Err() != nil {
			return append([]string{"draining"}, b.ready()...)
		}
		return b.ready()
	}
}

// verifier checks tokens against the copies of these environments.
func (b byEnvironment) verifier() *auth.Verifier {
	copies := make(map[behalf.Environment]auth.Copy, len(b))
	for env, p := range b {
		copies[env] = p.store
	}
	return auth.NewVerifier(auth.Config{}, copies)
}
