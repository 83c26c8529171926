package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Whoever leaves under load has given back everything before its connection ends, also what the server sent while it
// did not know yet: nobody waits for AckWait to be over.
func TestALeavingSourceKeepsNothing(t *testing.T) {
	const rounds, longer = 10, time.Hour
	server := bustest.Server(t)
	conn := bustest.Connect(t, server)
	layout := bus.Layout{AckWait: longer, MaxQueued: 100_000}
	must(t, bus.Provision(t.Context(), conn, bustest.Environment, layout))
	must(t, bus.ProvisionProject(t.Context(), conn, bustest.Environment, bustest.Project, layout))
	front := bustest.On(t, conn)
	publishing, stop := context.WithCancel(t.Context())
	var publisher sync.WaitGroup
	defer publisher.Wait()
	defer stop()
	publisher.Go(func() {
		for publishing.Err() == nil {
			if _, err := front.Publish(publishing, bustest.Event(), ""); err != nil && publishing.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for range rounds {
		leaves(t, bustest.Connect(t, server), longer)
	}
	stop()
	publisher.Wait()
	heir := front.Source(8)
	ctx, leave := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- heir.Run(ctx) }()
	must(t, heir.Add(ctx, bustest.Project))
	late := time.After(30 * time.Second)
	for left := unsettled(t, conn); left > 0; left = unsettled(t, conn) {
		next, done := context.WithTimeout(ctx, time.Second)
		if d, err := heir.Next(next); err == nil {
			must(t, d.Ack(ctx))
		}
		done()
		select {
		case <-late:
			t.Fatalf("%d events are held by nobody", left)
		default:
		}
	}
	leave()
	must(t, <-over)
}

// unsettled counts the events that wait for a worker, or are held by one.
func unsettled(t *testing.T, conn *bus.Conn) int {
	t.Helper()
	js, err := jetstream.New(conn.NATS())
	must(t, err)
	stream, err := js.Stream(t.Context(), subject.Events(bustest.Environment))
	must(t, err)
	return int(stream.CachedInfo().State.Msgs)
}

// leaves works on a few events, and leaves in the middle.
func leaves(t *testing.T, conn *bus.Conn, ackWait time.Duration) {
	t.Helper()
	b, err := bus.New(t.Context(), conn, bustest.Environment, bus.Config{AckWait: ackWait}, zerolog.Nop())
	must(t, err)
	s := b.Source(8)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	must(t, s.Add(ctx, bustest.Project))
	for range 20 {
		d, err := s.Next(ctx)
		must(t, err)
		must(t, d.Ack(ctx))
	}
	leave()
	must(t, <-over)
	conn.Close()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
