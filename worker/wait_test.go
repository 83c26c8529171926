package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

func TestAFailedStepIsTriedAgainFromThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two", "three"))
	runs := map[behalf.StepName][]int{}
	one := w.store.versions["d_test"].Steps[0].Source.Object
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		runs[c.Step.Name] = append(runs[c.Step.Name], c.Attempt)
		if c.Step.Name == "two" && len(runs["two"]) < 3 {
			w.store.forget(one) // nothing of the steps that are done is needed any more
			return throws("not yet"), nil
		}
		return says(string(c.Step.Name)), nil
	}
	w.start(worker.Config{Registerer: w.reg})
	e := eventOf("")
	w.publish(e, "")
	if r := w.ended(); r.State != behalf.StateOK || r.Response.Text != "one" {
		t.Errorf("the result is %+v", r)
	}
	w.settled()
	if len(runs["one"]) != 1 || len(runs["three"]) != 1 || len(runs["two"]) != 3 || runs["two"][1] != 2 || runs["three"][0] != 3 {
		t.Errorf("the steps ran at the attempts %v", runs)
	}
	records := w.records(e.Run)
	if kinds(records) != "step wait begin wait begin step finish" {
		t.Fatalf("the journal has %s", kinds(records))
	}
	for i, n := range map[int]int{1: 1, 3: 2} {
		wait := records[i].Wait
		if wait.Retries != n || wait.Reason != behalf.WaitRetry || wait.Why != "Step two failed: not yet" || records[i].Step.Err == nil {
			t.Errorf("wait %d is %+v", n, wait)
		}
	}
	if w.figure("behalf_runs_total", "waiting") != 2 || w.figure("behalf_runs_total", "ok") != 1 {
		t.Error("the waits are counted wrongly")
	}
	timer := <-w.timers
	if after := time.Until(timer.At); timer.Run != e.Run || timer.Lane != behalf.Shared || after > 6*time.Second {
		t.Errorf("the first timer is %+v", timer)
	}
}

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  *int
		want int
	}{"as often as the workflow says": {new(2), 3}, "never": {new(0), 1}, "by default": {nil, 9}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := version("only")
			v.Settings.Retries = c.set
			w.store.version(v)
			var ran atomic.Int64
			w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
				ran.Add(1)
				return throws("never"), nil
			}
			w.start(worker.Config{})
			e := eventOf("")
			w.publish(e, "")
			w.failed(w.ended(), behalf.CodeStepFailed, "Step only failed: never")
			w.settled()
			if int(ran.Load()) != c.want || len(w.letters()) != 0 {
				t.Errorf("the step ran %d times, want %d; letters %v", ran.Load(), c.want, w.letters())
			}
		})
	}
}

func TestARunWaitsForCredentialsThatAreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(using(version("only")))
	var asked atomic.Int64
	const outages = 7 // more than the attempts that a run has
	w.credentials = func(ctx context.Context, a behalf.Account) (worker.Auth, error) {
		if asked.Add(1) <= outages {
			return worker.Auth{}, fault.New(fault.Unavailable, "credential.Get", "sealed")
		}
		return tokenOf(ctx, a)
	}
	w.start(worker.Config{})
	e := eventOf(alice)
	r := w.call(e)
	if r.State != behalf.StateWaiting || r.Failure == nil || r.Failure.Code != behalf.CodeWaiting || r.Failure.Message != "$.respond() not called for this invocation" || r.Failure.Code.Status() != 202 {
		t.Errorf("the answer is %+v, %+v", r, r.Failure)
	}
	if r := w.ended(); r.State != behalf.StateOK || r.Response.Text != "only" {
		t.Errorf("the result is %+v", r)
	}
	w.settled()
	waits := 0
	for _, record := range w.records(e.Run) {
		if record.Wait != nil {
			waits++
			if record.Wait.Retries != 0 || record.Wait.Outages != waits || record.Wait.Why != "unavailable" {
				t.Errorf("wait %d is %+v", waits, record.Wait)
			}
		}
	}
	if waits != outages || len(w.letters()) != 0 {
		t.Errorf("%d waits, letters %v", waits, w.letters())
	}
}

func TestAnOutageCostsNoRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := version("only")
	v.Settings.Retries = new(2)
	w.store.version(v)
	calls := 0
	w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
		if calls++; calls%2 == 0 {
			return behalf.Outcome{}, fault.New(fault.Unavailable, "sandbox.Do", "no guest")
		}
		return throws("never"), nil
	}
	w.start(worker.Config{})
	w.publish(eventOf(""), "")
	w.failed(w.ended(), behalf.CodeStepFailed, "Step only failed: never")
	w.settled()
	if calls != 5 { // three that threw, and an outage between each
		t.Errorf("the step was tried %d times, want 5", calls)
	}
}

func TestARunThatAnsweredAndWaitsTellsItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two"))
	away := true
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		if c.Step.Name == "two" && away {
			away = false
			return behalf.Outcome{}, fault.New(fault.Unavailable, "sandbox.Do", "no guest")
		}
		return says(string(c.Step.Name)), nil
	}
	w.start(worker.Config{})
	if r := w.call(eventOf("")); r.State != behalf.StateWaiting || r.Failure != nil || r.Response == nil || r.Response.Text != "one" {
		t.Errorf("the answer is %+v", r)
	}
	if r := w.ended(); r.State != behalf.StateOK || r.Response.Text != "one" {
		t.Errorf("the result is %+v", r)
	}
}

func TestWhatBecomesOfAFailureOfOurs(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var calls atomic.Int64
			w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
				if calls.Add(1) == 1 {
					return behalf.Outcome{}, fault.Wrap(kind, "step.Run", errors.New("the cause"))
				}
				return ok(ctx, c)
			}
			w.start(worker.Config{})
			e := eventOf("")
			r := w.call(e)
			switch kind {
			case fault.Conflict, fault.Canceled: // left to the next delivery
				if r.State != behalf.StateOK {
					t.Errorf("the answer is %+v", r)
				}
			case fault.Unavailable, fault.Timeout, fault.Exhausted, fault.Internal:
				if r.Failure == nil || r.Failure.Code != behalf.CodeWaiting || w.ended().State != behalf.StateOK {
					t.Errorf("the answer is %+v", r)
				}
			case fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.StepFailed:
				w.failed(r, behalf.CodePlatformError, behalf.FailPlatform(e.Run).Message)
				if l := w.letter(bus.ReasonPlatform); l.Run != e.Run || l.Detail != "step.Run: the cause" {
					t.Errorf("the letter is %+v", l)
				}
			}
			w.settled()
		})
	}
}

func TestAStoreThatHangsDoesNotHoldASlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(using(version("only")))
	hung := false
	w.credentials = func(ctx context.Context, a behalf.Account) (worker.Auth, error) {
		if !hung {
			hung = true
			<-ctx.Done()
			return worker.Auth{}, ctx.Err()
		}
		return tokenOf(ctx, a)
	}
	w.start(worker.Config{PrepareTimeout: 50 * time.Millisecond})
	if r := w.call(eventOf(alice)); r.Failure == nil || r.Failure.Code != behalf.CodeWaiting {
		t.Errorf("the answer is %+v", r)
	}
	if r := w.ended(); r.State != behalf.StateOK {
		t.Errorf("the result is %+v", r)
	}
}

func TestAResumeWithAWrongTokenIsNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ran atomic.Int64
	hold := make(chan struct{})
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		switch ran.Add(1) {
		case 1:
			return throws("once"), nil
		case 2:
			<-hold
		}
		return ok(ctx, c)
	}
	w.start(worker.Config{})
	e := eventOf("")
	w.publish(e, "")
	timer := <-w.timers
	w.eventually("the run goes on", func() bool { return ran.Load() == 2 })
	// The same wait again, as a second timer: the run is in somebody's hands. And one that is no token of this run.
	for _, token := range []uint64{timer.Token, timer.Token - 1} {
		timer.At, timer.Token = time.Now(), token
		w.must(w.bus.SetTimer(t.Context(), timer))
		w.eventually("the second timer is acked", func() bool { return w.count("TIMERS_development") == 1 })
	}
	close(hold)
	if r := w.ended(); r.State != behalf.StateOK {
		t.Errorf("the result is %+v", r)
	}
	w.settled()
	if ran.Load() != 2 || len(w.letters()) != 0 {
		t.Errorf("the step ran %d times", ran.Load())
	}
}

func TestATimerThatIsNoneOfOursIsBuried(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]string{"no JSON": "{", "of another workflow": `{"v":1,"event":{"project":"proj_other","workflow":"p_x"}}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(worker.Config{})
			w.must(w.bus.SetTimer(t.Context(), bus.Timer{
				Run: behalf.NewRunID(), Project: bustest.Project, Workflow: bustest.Workflow, Lane: behalf.Shared, At: time.Now(), Token: 7, State: []byte(state),
			}))
			w.eventually("there is a letter", func() bool { return len(w.letters()) == 1 })
			w.letter(bus.ReasonMalformed)
		})
	}
}
