package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

// unshared is the store as an operator asks for it.
type unshared struct{ *store }

func (u unshared) PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	return u.PutObject(ctx, project, content)
}

func (w *world) operator() *operate.Operator {
	return operate.New(operate.Config{Timeout: patience, Patience: patience}, w.bus, w.journal, unshared{w.store}, zerolog.Nop())
}

func (w *world) cancel(run behalf.RunID) {
	w.t.Helper()
	got, err := w.operator().Cancel(w.t.Context(), bustest.Project, run)
	if err != nil || got.State != behalf.StateCanceled {
		w.t.Fatalf("%s, %v; the log says\n%s", got.State, err, w.logs.String())
	}
}

// long is a step that lasts until its run is told to end.
type long struct {
	running chan struct{}
	ran     atomic.Int64
}

func newLong() *long { return &long{running: make(chan struct{}, 100)} }

func (l *long) run(ctx context.Context, _ step.Call) (behalf.Outcome, error) {
	l.ran.Add(1)
	l.running <- struct{}{}
	select {
	case <-ctx.Done():
		return behalf.Outcome{Logs: []behalf.Log{{Stream: "stdout", Text: "so far"}}}, ctx.Err()
	case <-time.After(patience):
		return says("too late"), nil
	}
}

func (w *world) begins(l *long) {
	w.t.Helper()
	select {
	case <-l.running:
	case <-time.After(patience):
		w.t.Fatalf("the step does not begin; the log says\n%s", w.logs.String())
	}
}

func TestARunningStepEndsWhenItsRunIsCanceled(t *testing.T) {
	t.Parallel()
	for name, announce := range map[string]time.Duration{"before any record": time.Hour, "after it was announced": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, l := newWorld(t), newLong()
			w.runner = l.run
			w.start(worker.Config{Slots: 1, AnnounceAfter: announce, Registerer: w.reg})
			e := eventOf("")
			e.Origin.Waits = true
			reply, result, release := w.bus.Await()
			defer release()
			w.publish(e, reply)
			w.begins(l)
			if announce < time.Second {
				w.eventually("the run is announced", func() bool { return len(w.records(e.Run)) == 1 })
			}
			w.cancel(e.Run)
			select {
			case r := <-result:
				if r.State != behalf.StateCanceled || r.Failure == nil || r.Failure.Code != behalf.CodeNoResponse {
					t.Errorf("who waits is told %+v", r)
				}
			case <-time.After(patience):
				t.Fatal("who waits is told nothing")
			}
			w.settled()
			shown := w.show(e.Run)
			if len(shown.Steps) != 1 || shown.Steps[0].Err == nil || shown.Steps[0].Err.Name != "Canceled" || len(shown.Steps[0].Logs) != 1 || len(shown.Event) == 0 {
				t.Errorf("%+v", shown)
			}
			if w.figure("behalf_runs_total", "canceled") != 1 || l.ran.Load() != 1 {
				t.Errorf("canceled %v, ran %d", w.figure("behalf_runs_total", "canceled"), l.ran.Load())
			}
		})
	}
}

// One that waits in this very process for a free slot has been delivered as new: its worker must ask the journal first.
func TestAQueuedRunThatIsCanceledNeverBegins(t *testing.T) {
	t.Parallel()
	w, l := newWorld(t), newLong()
	w.runner = l.run
	w.start(worker.Config{Slots: 2})
	busy := []behalf.Event{eventOf(""), eventOf("")}
	for _, e := range busy {
		w.publish(e, "")
		w.begins(l)
	}
	queued := eventOf("")
	w.publish(queued, "")
	w.eventually("it is delivered", func() bool { return w.pending() == 3 })
	w.cancel(queued.Run)
	for _, e := range busy {
		w.cancel(e.Run)
	}
	w.settled()
	if l.ran.Load() != 2 || kinds(w.records(queued.Run)) != "finish" {
		t.Errorf("%d steps ran; the journal has %s", l.ran.Load(), kinds(w.records(queued.Run)))
	}
}

func TestAStepThatWaitsForAGuestDoesNotBeginOnceItsRunIsCanceled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := waiter{newGate(), &atomic.Int64{}}
	w.runs = slow
	w.start(worker.Config{Slots: 1})
	e := eventOf("")
	w.publish(e, "")
	w.reaches(slow.gate)
	over := make(chan error, 1)
	go func() {
		_, err := w.operator().Cancel(context.WithoutCancel(t.Context()), bustest.Project, e.Run)
		over <- err
	}()
	w.eventually("the worker is told", func() bool { return w.holds(e.Run) })
	close(slow.gate.open)
	w.must(<-over)
	w.settled()
	if run := w.show(e.Run); run.State != behalf.StateCanceled {
		t.Errorf("%+v", run)
	}
}

// holds says whether the worker holds the run and has been told, by asking once more.
func (w *world) holds(run behalf.RunID) bool {
	w.t.Helper()
	held, err := w.bus.Stop(w.t.Context(), run)
	w.must(err)
	return held
}

func TestARunIsCanceledBetweenItsSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("first", "second"))
	between := newGate()
	var ran atomic.Int64
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		ran.Add(1)
		return ok(ctx, c)
	}
	var once atomic.Bool
	w.start(worker.Config{Slots: 1, Points: func(_ context.Context, at worker.Point) {
		if at == worker.AfterRecord && !once.Swap(true) {
			between.pass()
		}
	}})
	e := eventOf("")
	w.publish(e, "")
	w.reaches(between)
	over := make(chan error, 1)
	go func() {
		_, err := w.operator().Cancel(context.WithoutCancel(t.Context()), bustest.Project, e.Run)
		over <- err
	}()
	w.eventually("the worker is told", func() bool { return w.holds(e.Run) })
	close(between.open)
	w.must(<-over)
	w.settled()
	if run := w.show(e.Run); run.State != behalf.StateCanceled || len(run.Steps) != 1 || ran.Load() != 1 {
		t.Errorf("%d steps ran: %+v", ran.Load(), run)
	}
}

func TestAReplayGoesOnAfterTheStepsThatAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := version("first", "second")
	w.store.version(v)
	ran := make(chan step.Call, 10)
	var fail atomic.Bool
	fail.Store(true)
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		ran <- c
		if c.Step.Name == "second" && fail.Load() {
			return throws("not yet"), nil
		}
		return ok(ctx, c)
	}
	w.start(worker.Config{})
	e := eventOf("")
	if r := w.call(e); r.State != behalf.StateFailed {
		t.Fatalf("%+v", r)
	}
	w.settled()
	fail.Store(false)
	o := w.operator()
	source, err := o.Source(t.Context(), bustest.Project, e.Run)
	w.must(err)
	again, err := o.Replay(t.Context(), source, operate.Replay{Project: bustest.Project, Version: v, From: "second"})
	w.must(err)
	w.settled()
	if run := w.show(again.Run); run.State != behalf.StateOK || len(run.Steps) != 2 || run.ReplayOf != e.Run {
		t.Errorf("%+v; the log says\n%s", run, w.logs.String())
	}
	close(ran)
	var calls []step.Call
	for c := range ran {
		calls = append(calls, c)
	}
	if len(calls) != 3 || calls[2].Step.Name != "second" || calls[2].Run != again.Run {
		t.Errorf("%d steps ran: %+v", len(calls), calls)
	}
}
