package bustest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// One run, and those who believe in it.

func encode(e behalf.Event) ([]byte, error) { return json.Marshal(e) }

func (l *ledger) firstRun() {
	l.t.Helper()
	e := l.event()
	run := l.first(e)
	if run.Attempt != 1 || l.kept(e) != 0 {
		l.t.Fatalf("attempt %d, %d records", run.Attempt, l.kept(e))
	}
	l.finish(run, "only")
	if run.Standing != journal.Finished || l.kept(e) != 1 {
		l.t.Fatalf("standing %d, %d records", run.Standing, l.kept(e))
	}
	again := l.again(e, "B", journal.Finished)
	if again.Result.Response == nil || again.Result.Response.Text != "done by "+string(e.Run) {
		l.t.Fatalf("the result is %+v", again.Result)
	}
	if l.kept(e) != 1 {
		l.t.Fatal("looking at a finished run wrote a record")
	}
}

func (l *ledger) secondAttempt() {
	l.t.Helper()
	for what, c := range map[string]struct {
		deliveries uint64
		attempt    int
	}{"below the horizon": {1, 1}, "delivered before": {2, 2}} {
		e := l.event()
		o := l.opening(e, "B")
		o.Seen, o.Deliveries = true, c.deliveries
		run := l.opened(o, journal.Ready)
		if run.Attempt != c.attempt || l.kept(e) != 1 {
			l.t.Fatalf("%s: attempt %d, %d records", what, run.Attempt, l.kept(e))
		}
		l.finish(run, "only")
	}
}

// idles opens a run many times without beginning it, as workers do that die while they wait for something to run it in.
func (l *ledger) idles() {
	l.t.Helper()
	e := l.event()
	l.first(e)
	o := l.opening(e, "B")
	o.Seen, o.Deliveries = true, 2
	for range 10 {
		run, err := l.journal.Open(l.t.Context(), o)
		l.must(err)
		if run.Held() || run.Begun() || run.Attempt != 2 || l.kept(e) != 0 {
			l.t.Fatalf("held %v, begun %v, attempt %d, %d records", run.Held(), run.Begun(), run.Attempt, l.kept(e))
		}
	}
	o.Deliveries = 51 // it may be what they die of
	for attempt := 2; attempt <= 5; attempt++ {
		if run := l.opened(o, journal.Ready); !run.Begun() || run.Attempt != attempt {
			l.t.Fatalf("begun %v, attempt %d, want %d", run.Begun(), run.Attempt, attempt)
		}
	}
	l.opened(o, journal.Lost)
}

// leased opens a run that another attempt has just claimed.
func (l *ledger) leased() {
	l.t.Helper()
	e := l.event()
	o := l.opening(e, "B")
	o.Seen, o.Deliveries, o.Lease = true, 2, time.Minute
	a := l.again(e, "A", journal.Ready)
	l.opened(o, journal.Taken)
	l.record(a, "one")
	l.opened(o, journal.Taken)
	o.Lease = time.Nanosecond
	l.opened(o, journal.Ready)
	l.fenced(a.Finish(l.t.Context(), nil, ok(a)))
}

// asks again whether the run is still its own.
func (l *ledger) asksAgain() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	if !a.Held() || a.Begun() {
		l.t.Fatalf("held %v, begun %v", a.Held(), a.Begun())
	}
	l.must(a.Begin(l.t.Context()))
	l.record(a, "one")
	l.must(a.Begin(l.t.Context()))
	b := l.again(e, "B", journal.Ready)
	if b.Attempt != 2 {
		l.t.Fatalf("attempt %d", b.Attempt)
	}
	l.fenced(a.Begin(l.t.Context()))
	l.finish(b, "two")
}

func (l *ledger) goesOn() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.record(a, "one")
	l.record(a, "two")
	b := l.again(e, "B", journal.Ready)
	l.paths(b.Steps, "one", "two")
	if b.Attempt != 2 || string(b.Steps[1].Exports) != `{"$return_value":"two"}` {
		l.t.Fatalf("attempt %d, steps %+v", b.Attempt, b.Steps)
	}
	l.record(b, "three")
	c := l.again(e, "C", journal.Ready)
	l.paths(c.Steps, "one", "two", "three")
	l.finish(c, "four")
	shown, err := l.journal.Show(l.t.Context(), l.project, e.Run)
	l.must(err)
	l.paths(shown.Steps, "one", "two", "three", "four")
	if shown.Attempts != 3 {
		l.t.Fatalf("%d attempts", shown.Attempts)
	}
}

func (l *ledger) wakesBefore() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.finish(a, "only") // B is on its way, and has not begun
	l.again(e, "B", journal.Finished)
}

func (l *ledger) wakesBetween() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	b := l.again(e, "B", journal.Ready)
	l.fenced(a.Finish(l.t.Context(), nil, ok(a)))
	l.finish(b, "only")

	e = l.event() // and with a record of A's own before
	a = l.first(e)
	l.record(a, "one")
	b = l.again(e, "B", journal.Ready)
	l.fenced(a.Record(l.t.Context(), step("two", `{}`)))
	l.record(b, "two")
	l.fenced(a.Pause(l.t.Context(), nil, behalf.Wait{Reason: behalf.WaitRetry}))
	l.finish(b, "three")
	if n := l.kept(e); n != 4 {
		l.t.Fatalf("%d records", n)
	}
}

func (l *ledger) wakesAfter() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.finish(l.again(e, "B", journal.Ready), "only")
	l.fenced(a.Finish(l.t.Context(), nil, ok(a)))
	shown, err := l.journal.Show(l.t.Context(), l.project, e.Run)
	l.must(err)
	if shown.Attempts != 2 {
		l.t.Fatalf("the record is attempt %d's", shown.Attempts)
	}
}

// races lets two workers write each of 200 runs' first record at the same time, from two connections.
func (l *ledger) races() {
	l.t.Helper()
	other := newLedger(l.t, l.open)
	for range 200 {
		e := l.event()
		a, b := l.first(e), other.opened(other.opening(e, "B"), journal.Ready)
		var errA, errB error
		var both sync.WaitGroup
		both.Go(func() { errA = a.Finish(l.t.Context(), nil, ok(a)) })
		both.Go(func() { errB = b.Finish(l.t.Context(), nil, ok(b)) })
		both.Wait()
		if errA == nil {
			errA, errB = errB, errA
		}
		l.must(errB)
		l.fenced(errA)
		if n := l.kept(e); n != 1 {
			l.t.Fatalf("%d records", n)
		}
	}
}

func (l *ledger) anotherEvent() {
	l.t.Helper()
	e := l.event()
	run := l.first(e)
	l.record(run, "one")
	o := l.opening(e, "B")
	o.Seen, o.EventSeq = true, eventSeq+1
	l.opened(o, journal.Elsewhere)
	l.finish(run, "two")
	l.opened(o, journal.Finished) // its answer is the run's
}

func (l *ledger) keyed() {
	l.t.Helper()
	e := l.event()
	e.Run = behalf.KeyedRunID(string(l.project), "key")
	run := l.first(e)
	if l.kept(e) != 1 { // claimed, although it was not seen before
		l.t.Fatalf("%d records", l.kept(e))
	}
	l.finish(run, "only")
	l.opened(l.opening(e, "B"), journal.Finished)
}

func (l *ledger) accepted() {
	l.t.Helper()
	e := l.event()
	_, _, err := l.journal.Accept(l.t.Context(), e, "hash")
	l.kind(err, fault.Invalid)
	e.Run = behalf.KeyedRunID(string(l.project), "a key")
	var won atomic.Int64
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			hash := fmt.Sprint("hash ", n)
			first, was, err := l.journal.Accept(l.t.Context(), e, hash)
			switch {
			case err != nil:
				l.t.Error(err)
			case first:
				won.Add(1)
			case was == "" || was == hash:
				l.t.Errorf("%s: the key is that of %q", hash, was)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || l.kept(e) != 1 {
		l.t.Fatalf("%d had the key first, %d records", won.Load(), l.kept(e))
	}
	shown, err := l.journal.Result(l.t.Context(), l.project, e.Workflow, e.Run)
	l.must(err)
	if shown.State != behalf.StateRunning || shown.Attempts != 0 {
		l.t.Fatalf("it is shown as %+v", shown)
	}
	run := l.opened(l.opening(e, "A"), journal.Ready)
	if run.Attempt != 1 {
		l.t.Fatalf("attempt %d", run.Attempt)
	}
	l.finish(run, "only")
	first, was, err := l.journal.Accept(l.t.Context(), e, "hash 99")
	l.must(err)
	if first || !strings.HasPrefix(was, "hash ") {
		l.t.Fatalf("after its end: first %v, the key is that of %q", first, was)
	}
}

func (l *ledger) noShape() {
	l.t.Helper()
	for _, change := range []func(*behalf.Event){
		func(e *behalf.Event) { e.Run = "run_1" },
		func(e *behalf.Event) { e.Run = "" },
		func(e *behalf.Event) { e.Project = "proj_>" },
		func(e *behalf.Event) { e.Workflow = "p_*" },
	} {
		e := l.event()
		change(&e)
		_, err := l.journal.Open(l.t.Context(), l.opening(e, "A"))
		l.kind(err, fault.Invalid)
		_, err = l.journal.Result(l.t.Context(), e.Project, e.Workflow, e.Run)
		l.kind(err, fault.Invalid)
	}
}

func (l *ledger) barren() {
	l.t.Helper()
	e := l.event()
	l.first(e) // the first attempt, which leaves nothing
	for attempt := 2; attempt <= 5; attempt++ {
		if run := l.again(e, "B", journal.Ready); run.Attempt != attempt {
			l.t.Fatalf("attempt %d, want %d", run.Attempt, attempt)
		}
	}
	lost := l.again(e, "B", journal.Lost)
	l.must(lost.Finish(l.t.Context(), nil, behalf.Result{V: 1, Run: e.Run, State: behalf.StateFailed, Failure: behalf.FailPlatform(e.Run)}))
	l.again(e, "B", journal.Finished)

	e = l.event() // a step in between starts the count anew
	l.first(e)
	for range 3 {
		l.again(e, "B", journal.Ready)
	}
	l.record(l.again(e, "B", journal.Ready), "one") // the fifth
	for range 5 {
		l.again(e, "B", journal.Ready)
	}
	l.again(e, "B", journal.Lost)

	e = l.event() // and so for a timer's message whose workers die
	a := l.first(e)
	state := l.pause(a, behalf.WaitDelay)
	for range 5 {
		l.woken(state, a.Token(), 1, journal.Ready)
	}
	l.woken(state, a.Token(), 1, journal.Lost)
}

func (l *ledger) evicted() {
	l.t.Helper()
	e := l.event()
	run := l.first(e)
	l.record(run, "one")
	l.forget(e)
	err := run.Record(l.t.Context(), step("two", `{}`))
	l.kind(err, fault.Conflict)
	if code := fault.CodeOf(err); code != journal.CodeEvicted {
		l.t.Fatalf("the code is %s", code)
	}
	if n := l.kept(e); n != 0 {
		l.t.Fatalf("%d records", n)
	}
}
