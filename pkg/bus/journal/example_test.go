package journal_test

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
	"github.com/behalf-dev/behalf/pkg/fault"
)

// A worker was stopped after its first step, and another took the run over. When the first one wakes, its records are
// refused.
func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// B goes on after 1 step, as attempt 2
	// A hears: conflict
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
	j, err := journal.New(conn.NATS(), behalf.Development, &bustest.Objects{}, journal.Config{}, zerolog.Nop())
	if err != nil {
		return err
	}

	event := bustest.Event()
	a, err := j.Open(ctx, journal.Opening{Event: event, EventSeq: 1, Worker: "A"})
	if err != nil {
		return err
	}
	if err := a.Record(ctx, behalf.StepRecord{Path: "fetch"}); err != nil {
		return err
	}
	b, err := j.Open(ctx, journal.Opening{Event: event, EventSeq: 1, Worker: "B", Seen: true, Deliveries: 2})
	if err != nil {
		return err
	}
	if err := b.Begin(ctx); err != nil {
		return err
	}
	fmt.Printf("B goes on after %d step, as attempt %d\n", len(b.Steps), b.Attempt)

	err = a.Record(ctx, behalf.StepRecord{Path: "send"})
	fmt.Println("A hears:", fault.KindOf(err))
	return b.Finish(ctx, nil, behalf.Result{V: 1, Run: event.Run, State: behalf.StateOK})
}
