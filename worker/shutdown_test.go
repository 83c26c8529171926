package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/subject"
	"github.com/behalf-dev/behalf/worker"
)

func TestAWorkerThatLeavesFinishesWhatItHasAndTakesNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := newGate()
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		hold.pass() // a second run would panic here
		if ctx.Err() != nil {
			t.Error("the run was cut short")
		}
		return ok(ctx, c)
	}
	a := w.start(worker.Config{Slots: 1})
	first := eventOf("")
	w.publish(first, "")
	w.reaches(hold)
	a.stop()
	w.publish(eventOf(""), "")
	close(hold.open)
	a.left(t)
	if r := w.ended(); r.Run != first.Run || r.State != behalf.StateOK {
		t.Errorf("the result is %+v", r)
	}
	w.eventually("only the second waits", func() bool { return w.count(subject.Events(bustest.Environment)) == 1 })
	w.runner = ok
	w.start(worker.Config{Name: "worker-2"})
	w.ended()
	w.settled()
}

func TestWhatTheGraceCutsIsTakenByAnotherWorker(t *testing.T) {
	t.Parallel()
	for name, killed := range map[string]func() (behalf.Outcome, error){
		"the step says it was canceled": func() (behalf.Outcome, error) {
			return behalf.Outcome{}, fault.Wrap(fault.Canceled, "sandbox.Do", context.Canceled)
		},
		"the step says it was cut": func() (behalf.Outcome, error) { return behalf.Outcome{Cut: true}, nil },
		"the step says we failed": func() (behalf.Outcome, error) {
			return behalf.Outcome{}, fault.New(fault.Unavailable, "sandbox.Do", "no guest")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			hold := newGate()
			w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
				if c.Attempt > 1 {
					return ok(ctx, c)
				}
				close(hold.reached)
				<-ctx.Done() // the guest is killed by it
				return killed()
			}
			// So long that only what is given back comes to another worker while this test waits.
			w.must(bus.ProvisionProject(t.Context(), w.conn, bustest.Environment, bustest.Project, bus.Layout{AckWait: 4 * patience}))
			a := w.start(worker.Config{Grace: 50 * time.Millisecond})
			e := eventOf("")
			e.Origin.Waits = true
			reply, result, release := w.bus.Await()
			defer release()
			w.publish(e, reply)
			w.reaches(hold)
			a.left(t)
			if len(w.told) != 0 || len(w.records(e.Run)) != 0 {
				t.Errorf("a run that was cut short told %d answers and wrote %s", len(w.told), kinds(w.records(e.Run)))
			}
			w.start(worker.Config{Name: "worker-2"})
			if r := <-result; r.State != behalf.StateOK || r.Response.Text != "only" {
				t.Errorf("the answer is %+v", r)
			}
			w.settled()
			records := w.records(e.Run)
			if kinds(records) != "begin finish" || records[1].Worker != "worker-2" || records[1].Attempt != 2 {
				t.Errorf("the journal is %+v", records)
			}
		})
	}
}

func TestAResultIsToldAlsoWhileWeLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := newGate()
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		close(hold.reached)
		<-ctx.Done()
		return ok(ctx, c) // it was done just then
	}
	a := w.start(worker.Config{Grace: 50 * time.Millisecond})
	e := eventOf("")
	w.publish(e, "")
	w.reaches(hold)
	a.left(t)
	w.settled()
	if r := w.ended(); r.State != behalf.StateOK || kinds(w.records(e.Run)) != "finish" {
		t.Errorf("the result is %+v", r)
	}
}

// fallen is a source that dies by itself.
type fallen struct{}

func (fallen) Run(context.Context) error { return errors.New("fell over") }

func (fallen) Next(ctx context.Context) (*bus.Delivery, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheDeathOfTheSourceEndsTheWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := worker.New(worker.Config{}, worker.Deps{Source: fallen{}, Bus: heard{w}, Journal: w.journal, Store: w.store, Credentials: w.credentials, Runner: w.runner}, zerolog.Nop())
	if err := r.Run(t.Context()); err == nil || err.Error() != "fell over" {
		t.Errorf("the worker ended with %v", err)
	}
}
