// Command bare is the bare pipeline that Behalf is measured against: HTTP → JetStream file stream → pull → two Node
// children on pipes, a line each → core reply → ack → HTTP answer.
//
// It never does anything else: no authentication, no journal, no history, no metrics, no logs, no retries. It runs as
// one process with JetStream embedded, or split as -role http and -role worker beside a nats-server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream  = "BARE"
	subject = "bare.event"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv("BEHALF_NODE"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

type options struct {
	role, addr, dir, node string
	natsURL, natsCreds    string
}

func run(ctx context.Context, args []string, node string, stdout io.Writer) error {
	o := options{}
	flags := flag.NewFlagSet("bare", flag.ContinueOnError)
	flags.StringVar(&o.role, "role", "all", "all, http or worker")
	flags.StringVar(&o.addr, "addr", "127.0.0.1:0", "where http listens")
	flags.StringVar(&o.dir, "dir", "", "where the embedded JetStream keeps its stream (role all)")
	flags.StringVar(&o.node, "node", node, "Node's binary")
	flags.StringVar(&o.natsURL, "nats-url", "", "the nats-server (roles http and worker)")
	flags.StringVar(&o.natsCreds, "nats-creds", "", "credentials file for it")
	if err := flags.Parse(args); err != nil {
		return err
	}

	switch o.role {
	case "all":
		return runAll(ctx, o, stdout)
	case "http":
		return o.connected(func(js jetstream.JetStream) error { return runFront(ctx, js, o.addr, stdout) })
	case "worker":
		return o.connected(func(js jetstream.JetStream) error {
			return runWorker(ctx, js, o.node, func() { _, _ = fmt.Fprintln(stdout, "ready") })
		})
	}
	return fmt.Errorf("no role %q", o.role)
}

// runAll puts both roles into this process. They still meet on JetStream alone.
func runAll(ctx context.Context, o options, stdout io.Writer) error {
	ns, err := embedded(o.dir)
	if err != nil {
		return err
	}
	defer ns.WaitForShutdown()
	defer ns.Shutdown()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		defer cancel() // without a worker the front is of no use
		ended <- connected(func(js jetstream.JetStream) error {
			return runWorker(ctx, js, o.node, func() { close(ready) })
		}, nats.InProcessServer(ns))
	}()
	select {
	case <-ready:
		err = connected(func(js jetstream.JetStream) error { return runFront(ctx, js, o.addr, stdout) }, nats.InProcessServer(ns))
	case <-ctx.Done():
	}
	cancel()
	return errors.Join(err, <-ended)
}

func (o options) connected(use func(jetstream.JetStream) error) error {
	if o.natsURL == "" {
		return errors.New("-nats-url is missing")
	}
	dial := []nats.Option{func(opts *nats.Options) error {
		opts.Servers = []string{o.natsURL}
		return nil
	}}
	if o.natsCreds != "" {
		dial = append(dial, nats.UserCredentials(o.natsCreds))
	}
	return connected(use, dial...)
}

func connected(use func(jetstream.JetStream) error, dial ...nats.Option) error {
	nc, err := nats.Connect("", dial...)
	if err != nil {
		return fmt.Errorf("connect to nats: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return use(js)
}

// theStream makes the stream, or finds it: both roles ask for it, whichever comes first.
func theStream(ctx context.Context, js jetstream.JetStream) (jetstream.Stream, error) {
	return js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:      stream,
		Subjects:  []string{subject},
		Retention: jetstream.WorkQueuePolicy,
		Storage:   jetstream.FileStorage,
		Replicas:  1,
	})
}
