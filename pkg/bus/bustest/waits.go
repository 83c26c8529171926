package bustest

import (
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Runs that go on later.

func (l *ledger) waits() {
	l.t.Helper()
	e := l.event()
	e.User = "abc-123"
	a := l.first(e)
	l.record(a, "one")
	state := l.pause(a, behalf.WaitDelay)
	b := l.woken(state, a.Token(), 1, journal.Ready)
	l.paths(b.Steps, "one")
	if b.Attempt != 2 || b.EventSeq != eventSeq || b.Event.User != "abc-123" || b.Retries != 1 {
		l.t.Fatalf("attempt %d of event %d for %s, %d retries", b.Attempt, b.EventSeq, b.Event.User, b.Retries)
	}
	l.woken(state, a.Token()+1000, 2, journal.Elsewhere) // a token that is none of this run's
	l.finish(b, "two")
	l.woken(state, a.Token(), 1, journal.Finished)
	shown, err := l.journal.Show(l.t.Context(), l.project, e.Run)
	l.must(err)
	l.paths(shown.Steps, "one", "two")

	_, err = l.journal.Revive(l.t.Context(), []byte("{"))
	l.kind(err, fault.Invalid)
}

// stillWaits is the event of a run that waits, come again: whether its timer was set is not known.
func (l *ledger) stillWaits() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.record(a, "one")
	l.pause(a, behalf.WaitRetry)
	b := l.again(e, "B", journal.Waiting)
	l.paths(b.Steps, "one")
	if b.Token() != a.Token() || b.Wait.Reason != behalf.WaitRetry || b.Attempt != a.Attempt {
		l.t.Fatalf("token %d, want %d; wait %+v; attempt %d", b.Token(), a.Token(), b.Wait, b.Attempt)
	}
	state, err := b.Suspend(l.t.Context()) // what the timer is set to again
	l.must(err)
	c := l.woken(state, b.Token(), 1, journal.Ready)
	l.paths(c.Steps, "one")
	l.again(e, "B", journal.Elsewhere) // the event once more: the timer owns the run now
	l.finish(c, "two")
}

func (l *ledger) resumeDies() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.record(a, "one")
	state := l.pause(a, behalf.WaitDelay)
	b := l.woken(state, a.Token(), 5, journal.Ready) // begins, and dies
	l.record(b, "two")
	c := l.woken(state, a.Token(), 5, journal.Ready) // the same message again
	l.paths(c.Steps, "one", "two")
	if c.Attempt != 3 || c.Retries != 0 {
		l.t.Fatalf("attempt %d, %d retries", c.Attempt, c.Retries)
	}
	l.fenced(b.Finish(l.t.Context(), nil, ok(b)))
	l.woken(state, a.Token(), 6, journal.Elsewhere) // a second timer of the same wait, while the first one's attempt runs
	l.finish(c, "three")
}

// earlierTimer is the message of a timer that comes again when its run waits for another: the worker died before it
// had set the second timer, or before it had acked the first.
func (l *ledger) earlierTimer() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.record(a, "one")
	state := l.pause(a, behalf.WaitDelay)
	b := l.woken(state, a.Token(), 5, journal.Ready)
	l.record(b, "two")
	l.must(b.Pause(l.t.Context(), nil, behalf.Wait{Reason: behalf.WaitSuspend})) // and no timer was set
	c := l.woken(state, a.Token(), 5, journal.Waiting)
	l.paths(c.Steps, "one", "two")
	if c.Token() != b.Token() || c.Wait.Reason != behalf.WaitSuspend {
		l.t.Fatalf("token %d, want %d; wait %+v", c.Token(), b.Token(), c.Wait)
	}
	second, err := c.Suspend(l.t.Context())
	l.must(err)
	d := l.woken(second, c.Token(), 9, journal.Ready)
	l.paths(d.Steps, "one", "two")
	l.woken(state, a.Token(), 5, journal.Elsewhere) // the second timer owns the run now
	l.finish(d, "three")
}

func (l *ledger) sleepsLong() {
	l.t.Helper()
	e := l.event()
	a := l.first(e)
	l.record(a, "one")
	state := l.pause(a, behalf.WaitSuspend)
	l.forget(e)
	b := l.woken(state, a.Token(), 5, journal.Ready)
	l.paths(b.Steps, "one")
	l.record(b, "two")
	c := l.woken(state, a.Token(), 5, journal.Ready) // b died
	l.paths(c.Steps, "one", "two")
	if c.Attempt != 3 {
		l.t.Fatalf("attempt %d", c.Attempt)
	}
	l.finish(c, "three")
	shown, err := l.journal.Show(l.t.Context(), l.project, e.Run)
	l.must(err)
	l.paths(shown.Steps, "one", "two", "three")
}
