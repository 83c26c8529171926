package bus

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
)

// A pull that has stalled, and whose consumer has something pending, is made anew by the watchdog.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	server, err := embedded.Start(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := Connect(ctx, ConnConfig{InProcess: server, Creds: server.Creds(behalf.Development)}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := Provision(ctx, conn, behalf.Development, Layout{AckWait: time.Second}); err != nil {
		t.Fatal(err)
	}
	if err := ProvisionProject(ctx, conn, behalf.Development, "proj_test", Layout{AckWait: time.Second}); err != nil {
		t.Fatal(err)
	}
	b, err := New(ctx, conn, behalf.Development, Config{AckWait: time.Second, Heartbeat: 100 * time.Millisecond}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s := b.Source(2)
	running, leave := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- s.Run(running) }()
	if err := s.Add(ctx, "proj_test"); err != nil {
		t.Fatal(err)
	}

	s.mu.Lock()
	for _, p := range s.pullers { // nobody listens any more to what was asked for
		if err := p.sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	}
	s.mu.Unlock()
	run := behalf.NewRunID()
	e := behalf.Event{
		V: 1, ID: run.Event(), Run: run, Project: "proj_test", Environment: behalf.Development, Workflow: "p_test",
		Lane: behalf.Shared, Trigger: []byte(`{}`),
	}
	if _, err := b.Publish(ctx, e, ""); err != nil {
		t.Fatal(err)
	}
	d, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d.Event.Run != run {
		t.Errorf("run %s", d.Event.Run)
	}
	if err := d.Ack(ctx); err != nil {
		t.Error(err)
	}
	leave()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for slots, most := range map[int]int{1: 2, 2: 4, 3: 6, 32: 64} {
		for projects := 1; projects <= slots; projects++ {
			s := &Source{slots: slots, pullers: make([]*puller, 2*projects)}
			events, timers := s.share()
			if events < 1 || timers < 1 || projects*(events+timers) > most {
				t.Errorf("%d slots, %d projects: %d events and %d timers of each", slots, projects, events, timers)
			}
		}
	}
}
