package worker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/subject"
	"github.com/behalf-dev/behalf/worker"
)

// frozen is the source of a worker that stops living the moment it has taken its first delivery: no sign of life goes
// out for it any more.
type frozen struct {
	*bus.Source
	taken chan struct{}
}

func newFrozen(w *world) *frozen {
	w.t.Helper()
	f := &frozen{Source: w.bus.Source(1), taken: make(chan struct{})}
	w.must(f.Add(w.t.Context(), bustest.Project))
	return f
}

func (f *frozen) Run(ctx context.Context) error {
	alive, die := context.WithCancel(ctx)
	defer die()
	var group errgroup.Group
	group.Go(func() error { return f.Source.Run(alive) })
	select {
	case <-f.taken:
	case <-ctx.Done():
	}
	die()
	<-ctx.Done()
	return group.Wait()
}

func (f *frozen) Next(ctx context.Context) (*bus.Delivery, error) {
	d, err := f.Source.Next(ctx)
	if err == nil {
		close(f.taken)
		d.Release()
	}
	return d, err
}

// gate holds a step until it is told to go on.
type gate struct{ reached, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}), make(chan struct{})} }

func (g gate) pass() {
	close(g.reached)
	<-g.open
}

func (w *world) reaches(g gate) {
	w.t.Helper()
	select {
	case <-g.reached:
	case <-time.After(patience):
		w.t.Fatalf("the step is never reached; the log says\n%s", w.logs.String())
	}
}

func TestAStaleWorkerIsFenced(t *testing.T) {
	t.Parallel()
	for name, whileTheOtherRuns := range map[string]bool{"after the other has finished": false, "between the other's begin and finish": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stale, other := newGate(), newGate()
			w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
				if c.Attempt == 1 {
					stale.pass()
					return says("of the stale one"), nil
				}
				other.pass()
				return says("of the other"), nil
			}
			a := w.startOn(worker.Config{Name: "stale", Slots: 1}, newFrozen(w))
			e := eventOf("")
			e.Origin.Waits = true
			reply, result, release := w.bus.Await()
			defer release()
			w.publish(e, reply)
			w.reaches(stale)
			w.start(worker.Config{Name: "other"})
			w.reaches(other)
			if whileTheOtherRuns {
				close(stale.open)
				a.left(t)
				if len(w.told) != 0 || w.pending() != 1 {
					t.Errorf("the stale worker answered or acked: %d, %d pending", len(w.told), w.pending())
				}
				close(other.open)
			} else {
				close(other.open)
			}
			if r := <-result; r.Response.Text != "of the other" {
				t.Errorf("the answer is %+v", r)
			}
			w.settled()
			if !whileTheOtherRuns {
				close(stale.open)
				a.left(t)
			}
			if len(w.told) != 1 {
				t.Errorf("%d answers were told", len(w.told))
			}
			records := w.records(e.Run)
			if kinds(records) != "begin finish" || records[1].Worker != "other" {
				t.Errorf("the journal is %+v", records)
			}
		})
	}
}

func TestAStaleWorkerAsksBeforeItsNextStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taken   bool // by another attempt, which dies
		twos    int64
		journal string
	}{
		"and goes on where nobody has begun": {false, 1, "step begin finish"},
		"and leaves it where another has":    {true, 0, "step begin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.version(version("one", "two"))
			stale := newGate()
			var ones, twos atomic.Int64
			w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
				if c.Step.Name == "two" {
					twos.Add(1)
				} else if ones.Add(1) == 1 {
					stale.pass()
				}
				return ok(ctx, c)
			}
			e := eventOf("")
			a := w.startOn(worker.Config{Name: "stale", Slots: 1, Points: func(ctx context.Context, at worker.Point) {
				if !c.taken || at != worker.AfterRecord {
					return
				}
				other, err := w.journal.Open(ctx, journal.Opening{Event: e, EventSeq: 1, Worker: "dies", Seen: true, Deliveries: 2})
				if err == nil {
					err = other.Begin(ctx)
				}
				if err != nil {
					t.Error(err)
				}
			}}, newFrozen(w))
			w.publish(e, "")
			w.reaches(stale)
			// Longer than AckWait without a sign of life. What it has done stands; what it does next is another matter.
			w.eventually("the event is due again", func() bool {
				return time.Since(e.At) > 3*bustest.Layout().AckWait
			})
			close(stale.open)
			a.left(t)
			if got := kinds(w.records(e.Run)); got != c.journal || twos.Load() != c.twos {
				t.Errorf("the journal has %s, step two ran %d times", got, twos.Load())
			}
			w.start(worker.Config{Name: "other"})
			if r := w.ended(); r.Response.Text != "one" {
				t.Errorf("the result is %+v", r)
			}
			w.settled()
			if ones.Load() != 1 || twos.Load() != 1 {
				t.Errorf("step one ran %d times, step two %d; the journal has %s", ones.Load(), twos.Load(), kinds(w.records(e.Run)))
			}
		})
	}
}

func TestWhatIsFinishedIsAnsweredAgainAndNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ran atomic.Int64
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		ran.Add(1)
		return ok(ctx, c)
	}
	var killed atomic.Bool
	w.start(worker.Config{Points: func(_ context.Context, at worker.Point) {
		if at == worker.AfterRecord && killed.CompareAndSwap(false, true) {
			panic("killed after the record")
		}
	}})
	e := eventOf("")
	if r := w.call(e); r.State != behalf.StateOK || r.Response.Text != "only" || r.Run != e.Run {
		t.Errorf("the answer is %+v", r)
	}
	w.settled()
	if ran.Load() != 1 || kinds(w.records(e.Run)) != "finish" {
		t.Errorf("the step ran %d times; the journal has %s", ran.Load(), kinds(w.records(e.Run)))
	}
	if lines := w.logs.lines(t, "a run panicked"); len(lines) != 1 || lines[0]["panic"] != "killed after the record" || !strings.Contains(lines[0]["stack"].(string), "redelivery_test.go") {
		t.Errorf("the log has %v", lines)
	}
}

func TestAnEarlyAnswerThatMayBeLostIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two"))
	answered := make(chan struct{})
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		if c.Step.Name == "two" {
			<-answered
		}
		return behalf.Outcome{Response: &behalf.Response{Text: string(c.Step.Name), Immediate: true}}, nil
	}
	var killed atomic.Bool
	w.start(worker.Config{Points: func(_ context.Context, at worker.Point) {
		if at == worker.AfterRecord && killed.CompareAndSwap(false, true) {
			panic("killed after the record")
		}
	}})
	if r := w.call(eventOf("")); r.Response.Text != "one" || r.State != behalf.StateRunning {
		t.Errorf("the answer is %+v", r)
	}
	close(answered)
	if r := w.ended(); r.Response.Text != "one" {
		t.Errorf("the result is %+v", r)
	}
}

func TestARunThatKillsItsWorkersIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ran atomic.Int64
	w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
		ran.Add(1)
		panic("every time")
	}
	w.start(worker.Config{Registerer: w.reg})
	e := eventOf("")
	r := w.call(e)
	w.failed(r, behalf.CodePlatformError, behalf.FailPlatform(e.Run).Message)
	if l := w.letter(bus.ReasonWorkerLost); l.Run != e.Run || l.Worker != "worker-1" {
		t.Errorf("the letter is %+v", l)
	}
	if got := kinds(w.records(e.Run)); ran.Load() != 5 || got != strings.Repeat("begin ", 4)+"finish" {
		t.Errorf("it was tried %d times; the journal has %s", ran.Load(), got)
	}
	if lines := w.logs.lines(t, "a run panicked"); len(lines) != 5 || lines[0]["level"] != "error" || lines[0]["run"] != string(e.Run) {
		t.Errorf("the log has %v", lines)
	}
	if w.figure("behalf_dead_letters_total", "worker_lost") != 1 || w.figure("behalf_runs_total", "platform_error") != 1 || w.figure("behalf_worker_slots_busy") != 0 {
		t.Error("the figures are wrong")
	}
}

func TestAnotherEventOfTheSameRunIsAckedAndNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ran atomic.Int64
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		ran.Add(1)
		return throws("wait"), nil
	}
	e := eventOf("")
	e.Run = behalf.KeyedRunID("key", string(e.Run)) // keyed: the journal is read even for a first delivery
	e.ID = e.Run.Event()
	v := version("only")
	v.Settings.Retries = new(0)
	w.store.version(v)
	hold := newGate()
	inner := w.runner
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		hold.pass()
		return inner(ctx, c)
	}
	w.start(worker.Config{})
	w.publish(e, "")
	w.reaches(hold)
	twin := e
	twin.ID = behalf.NewRunID().Event() // the same run under another message id
	w.publish(twin, "")
	w.eventually("the twin is acked", func() bool { return w.count(subject.Events(bustest.Environment)) == 1 })
	close(hold.open)
	w.failed(w.ended(), behalf.CodeStepFailed, "Step only failed: wait")
	w.settled()
	if ran.Load() != 1 {
		t.Errorf("the step ran %d times", ran.Load())
	}
}

func TestARunWhoseRecordsAreGoneIsBuriedAndAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two"))
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		if c.Step.Name == "two" {
			var purged struct {
				Success bool `json:"success"`
			}
			w.ask("STREAM.PURGE."+subject.Runs(bustest.Environment), "", &purged)
			if !purged.Success {
				t.Error("the journal was not purged")
			}
		}
		return behalf.Outcome{}, nil
	}
	w.start(worker.Config{Registerer: w.reg})
	e := eventOf("")
	w.failed(w.call(e), behalf.CodePlatformError, behalf.FailPlatform(e.Run).Message)
	if l := w.letter(bus.ReasonJournalEvicted); l.Run != e.Run {
		t.Errorf("the letter is %+v", l)
	}
	if w.figure("behalf_dead_letters_total", "journal_evicted") != 1 {
		t.Error("the letter is not counted")
	}
}

func TestARunWhoseRecordCannotBeMadeToFitIsBuriedAndNotRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	small, err := journal.New(w.conn.NATS(), bustest.Environment, w.store, journal.Config{MaxRecord: 100}, zerolog.Nop())
	w.must(err)
	w.journal = small
	var ran atomic.Int64
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		ran.Add(1)
		return ok(ctx, c)
	}
	w.start(worker.Config{})
	e := eventOf("")
	w.failed(w.call(e), behalf.CodePlatformError, behalf.FailPlatform(e.Run).Message)
	if l := w.letter(bus.ReasonPlatform); l.Run != e.Run || ran.Load() != 1 {
		t.Errorf("the step ran %d times, the letter is %+v", ran.Load(), l)
	}
}

func TestAnEventThatIsNoneOfOursIsBuried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(worker.Config{})
	name, err := subject.Event{Environment: bustest.Environment, Lane: behalf.Shared, Project: bustest.Project, Workflow: bustest.Workflow}.Subject()
	w.must(err)
	w.must(w.conn.NATS().Publish(name, []byte("{")))
	w.eventually("there is a letter", func() bool { return len(w.letters()) == 1 })
	w.letter(bus.ReasonMalformed)
}

func TestALetterThatMayBeLostIsWrittenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	delete(w.store.versions, "d_test")
	var killed atomic.Bool
	w.start(worker.Config{Points: func(_ context.Context, at worker.Point) {
		if at == worker.AfterRecord && killed.CompareAndSwap(false, true) {
			panic("killed after the record")
		}
	}})
	e := eventOf("")
	if r := w.call(e); r.Failure == nil || r.Failure.Code != behalf.CodeVersionUnavailable {
		t.Errorf("the answer is %+v", r)
	}
	if l := w.letter(bus.ReasonVersion); l.Run != e.Run {
		t.Errorf("the letter is %+v", l)
	}
}

func TestATimerThatMayNotBeSetIsSetAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ran, killed atomic.Int64
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		if ran.Add(1) <= 2 {
			return throws("not yet"), nil
		}
		return ok(ctx, c)
	}
	w.start(worker.Config{Points: func(_ context.Context, at worker.Point) {
		if at == worker.AfterRecord && killed.Add(1) <= 3 && killed.Load() != 2 { // the first wait's timer, and the second's
			panic("killed after the record")
		}
	}})
	e := eventOf("")
	w.publish(e, "")
	if r := w.ended(); r.State != behalf.StateOK {
		t.Errorf("the result is %+v", r)
	}
	w.settled()
	if ran.Load() != 3 {
		t.Errorf("the step ran %d times, want 3; the journal has %s", ran.Load(), kinds(w.records(e.Run)))
	}
}
