package bus_test

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
)

// An event goes from whoever accepts it to a worker, and its result back.
func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// the worker has {"path":"/"}
	// the caller has ok
}

func example(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "behalf-example-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of the example
	server, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer server.Close()
	conn, err := bus.Connect(ctx, bus.ConnConfig{InProcess: server, Creds: server.Creds(behalf.Development)}, zerolog.Nop())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := bus.Provision(ctx, conn, behalf.Development, bus.Layout{}); err != nil {
		return err
	}
	if err := bus.ProvisionProject(ctx, conn, behalf.Development, bustest.Project, bus.Layout{}); err != nil {
		return err
	}
	b, err := bus.New(ctx, conn, behalf.Development, bus.Config{}, zerolog.Nop())
	if err != nil {
		return err
	}

	reply, result, release := b.Await()
	defer release()
	event := bustest.Event()
	event.Trigger = []byte(`{"path":"/"}`)
	if _, err := b.Publish(ctx, event, reply); err != nil {
		return err
	}

	source := b.Source(1)
	over := make(chan error, 1)
	go func() { over <- source.Run(ctx) }()
	if err := source.Add(ctx, event.Project); err != nil {
		return err
	}
	d, err := source.Next(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("the worker has %s\n", d.Event.Trigger)
	if err := b.Answer(ctx, d.Reply, behalf.Result{V: 1, Run: d.Event.Run, State: behalf.StateOK}); err != nil {
		return err
	}
	if err := d.Ack(ctx); err != nil {
		return err
	}
	fmt.Println("the caller has", (<-result).State)
	cancel()
	return <-over
}
