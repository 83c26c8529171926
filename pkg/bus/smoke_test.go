package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
)

func TestSmoke(t *testing.T) {
	b, conn := bustest.New(t)
	s := b.Source(4)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if err := s.Add(ctx, bustest.Project); err != nil {
		t.Fatal(err)
	}
	j, err := journal.New(conn.NATS(), bustest.Environment, nil, journal.Config{}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		e := bustest.Event()
		reply, result, release := b.Await()
		if _, err := b.Publish(ctx, e, reply); err != nil {
			t.Fatal(err)
		}
		d, err := s.Next(ctx)
		if err != nil || d.Malformed != nil || d.Seen {
			t.Fatal(err, d.Malformed, d.Seen)
		}
		r, err := j.Open(ctx, journal.Opening{Event: d.Event, EventSeq: d.Sequence, Raw: d.Raw(), Worker: "w", Seen: d.Seen})
		if err != nil {
			t.Fatal(err)
		}
		res := behalf.Result{V: 1, Run: e.Run, State: behalf.StateOK}
		if err := r.Finish(ctx, &behalf.StepRecord{Path: "a", At: time.Now()}, res); err != nil {
			t.Fatal(err)
		}
		if err := b.Answer(ctx, d.Reply, res); err != nil {
			t.Fatal(err)
		}
		if err := d.Ack(ctx); err != nil {
			t.Fatal(err)
		}
		if got := <-result; got.Run != e.Run {
			t.Fatal(got)
		}
		release()
		if _, err := j.Show(ctx, bustest.Project, e.Run); err != nil {
			t.Fatal(err)
		}
		r2, err := j.Open(ctx, journal.Opening{Event: d.Event, EventSeq: d.Sequence, Raw: d.Raw(), Worker: "w", Seen: true})
		if err != nil || r2.Standing != journal.Finished {
			t.Fatal(err, r2)
		}
	}
	start := time.Now()
	for {
		p, err := j.List(ctx, journal.Query{Project: bustest.Project, Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Runs) == 50 {
			p2, err := j.List(ctx, journal.Query{Project: bustest.Project, Limit: 50, Before: p.Cursor})
			t.Log(len(p2.Runs), p2.Cursor, err, p.Cursor)
			break
		}
		if time.Since(start) > 5*time.Second {
			t.Fatal(len(p.Runs))
		}
	}
	t.Log(time.Since(start))
	// a timer
	e := bustest.Event()
	if err := b.SetTimer(ctx, bus.Timer{Run: e.Run, Project: e.Project, Workflow: e.Workflow, Lane: e.Lane, At: time.Now().Add(200 * time.Millisecond), Token: 7, State: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	d, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(d.Resume, d.Malformed, d.Event.Workflow)
	if err := d.Bury(ctx, "w", bus.ReasonPlatform, "x"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
