package operate_test

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
)

// A run that is queued is canceled: no worker is given it, and its journal says so.
func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: the run is canceled
}

func example(ctx context.Context) error {
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
	b, err := bus.New(ctx, conn, behalf.Development, bus.Config{}, zerolog.Nop())
	if err != nil {
		return err
	}
	kept := &objects{all: map[behalf.ObjectID][]byte{}}
	j, err := journal.New(conn.NATS(), behalf.Development, kept, journal.Config{}, zerolog.Nop())
	if err != nil {
		return err
	}
	e := bustest.Event()
	if _, err := b.Publish(ctx, e, ""); err != nil {
		return err
	}
	run, err := operate.New(operate.Config{}, b, j, kept, zerolog.Nop()).Cancel(ctx, e.Project, e.Run)
	if err != nil {
		return err
	}
	fmt.Println("the run is", run.State)
	return nil
}
