package bustest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Runs of which nothing shall be kept.

// told is what such a run must not leave anywhere.
const told = "canary-of-the-run"

func (l *ledger) unkeptEvent() behalf.Event {
	e := l.event()
	e.User, e.Version, e.Origin.NoStore = "abc-123", "d_told", true
	e.Trigger = json.RawMessage(`{"body":"` + told + `"}`)
	return e
}

// telling is a step that tells in every way.
func telling(path behalf.Path) behalf.StepRecord {
	s := step(path, `{"$return_value":"`+told+`"}`)
	response := behalf.NewResponse(200, map[string]string{"x": told}, []byte(told))
	s.Logs, s.Response = []behalf.Log{{Stream: "stdout", Text: told}}, &response
	s.Exit = &behalf.Exit{Reason: told}
	s.Err = &behalf.StepError{Name: told, Message: told, Stack: told}
	return s
}

// tells counts the messages of a project in a stream that tell.
func (l *ledger) tells(stream, filter string) (n, of int) {
	l.t.Helper()
	s, err := l.js.Stream(l.t.Context(), stream)
	l.must(err)
	info, err := s.Info(l.t.Context(), jetstream.WithSubjectFilter(filter))
	l.must(err)
	for seq := info.State.FirstSeq; len(info.State.Subjects) > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(l.t.Context(), seq, jetstream.WithGetMsgSubject(filter))
		if err != nil {
			break
		}
		seq, of = m.Sequence, of+1
		if strings.Contains(string(m.Data)+m.Subject, told) {
			n++
		}
	}
	return n, of
}

// silent makes sure that neither journal nor history tell, and that the history has so many entries of the project.
func (l *ledger) silent(e behalf.Event, history int) {
	l.t.Helper()
	hist := "hist." + string(Environment) + "." + string(l.project) + ".>"
	l.eventually("the history has it", func() bool {
		_, of := l.tells(subject.History(Environment), hist)
		return of >= history
	})
	if n, of := l.tells(subject.History(Environment), hist); n > 0 || of != history {
		l.t.Errorf("%d of %d entries of the history tell, of %d", n, of, history)
	}
	if n, _ := l.tells(subject.JournalOf(Environment, e.Run), l.filter(e)); n > 0 {
		l.t.Errorf("%d records tell", n)
	}
	if n := l.objects.Len(); n > 0 {
		l.t.Errorf("%d objects are left", n)
	}
}

func (l *ledger) unkept() {
	l.t.Helper()
	for _, keyed := range []bool{false, true} {
		l := newLedger(l.t, l.open)
		e := l.unkeptEvent()
		if keyed {
			e.Run = behalf.KeyedRunID("a", "key", string(l.project))
			_, _, err := l.journal.Accept(l.t.Context(), e, "hash")
			l.must(err)
		}
		a := l.first(e)
		l.must(a.Record(l.t.Context(), telling("one")))
		if n, _ := l.tells(subject.JournalOf(Environment, e.Run), l.filter(e)); n != 1 {
			l.t.Fatalf("%d records tell: the test looks in the wrong place", n)
		}
		b := l.again(e, "B", journal.Ready) // another attempt needs it
		if l.paths(b.Steps, "one"); !strings.Contains(string(b.Steps[0].Exports), told) || b.Steps[0].Response.Text != told {
			l.t.Fatalf("the step is %+v", b.Steps[0])
		}
		last, result := telling("two"), ok(b)
		result.Response = last.Response
		l.must(b.Finish(l.t.Context(), &last, result))
		if b.Result.Response == nil || last.Exports == nil {
			l.t.Error("who ends the run can no longer answer")
		}
		l.must(b.Forget(l.t.Context()))
		l.silent(e, 1)

		shown, err := l.journal.Show(l.t.Context(), l.project, e.Run)
		l.must(err)
		l.paths(shown.Steps, "one", "two")
		if shown.Event != nil || shown.User != e.User || shown.Version != e.Version || shown.State != behalf.StateOK ||
			shown.Result.Response != nil || shown.Result.Failure == nil || shown.Result.Failure.Code != behalf.CodeAnswerNotKept {
			l.t.Errorf("shown as %+v, %+v", shown, shown.Result)
		}
		if keyed { // the key counts all the same
			first, was, err := l.journal.Accept(l.t.Context(), e, "other")
			if l.must(err); first || was != "hash" {
				l.t.Errorf("the key is %t, %q", first, was)
			}
		}
		l.again(e, "C", journal.Finished)
	}
}

func (l *ledger) unkeptLarge() {
	l.t.Helper()
	e := l.unkeptEvent()
	trigger, err := l.objects.PutUnshared(l.t.Context(), l.project, []byte(told))
	l.must(err)
	e.Trigger, e.TriggerRef = nil, &trigger
	big := telling("one")
	big.Exports = behalf.Exports(`{"a":"` + told + strings.Repeat("x", 2<<20) + `"}`)
	a := l.first(e)
	l.must(a.Record(l.t.Context(), big))
	b := l.again(e, "B", journal.Ready)
	failed := telling("two")
	l.must(b.Pause(l.t.Context(), &failed, behalf.Wait{Reason: behalf.WaitRetry, Until: time.Now().Add(time.Hour), Retries: 1, Why: told}))
	state, err := b.Suspend(l.t.Context())
	l.must(err)
	if n := l.objects.Len(); n != 3 || strings.Contains(string(state), told) {
		l.t.Fatalf("%d objects, and a state of %d bytes", n, len(state))
	}
	c := l.woken(state, b.Token(), 1, journal.Ready)
	if l.paths(c.Steps, "one"); string(c.Steps[0].Exports) != string(big.Exports) {
		l.t.Fatal("the step did not come back whole")
	}
	last := big
	l.must(c.Finish(l.t.Context(), &last, ok(c)))
	l.must(c.Forget(l.t.Context()))
	l.silent(e, 2)
}

// unkeptLate is a run whose worker died after its finish, and before it forgot.
func (l *ledger) unkeptLate() {
	l.t.Helper()
	e := l.unkeptEvent()
	big := telling("one")
	big.Exports = behalf.Exports(`{"a":"` + told + strings.Repeat("x", 2<<20) + `"}`)
	a := l.first(e)
	l.must(a.Record(l.t.Context(), big))
	last := telling("two")
	l.must(a.Finish(l.t.Context(), &last, ok(a)))
	for range 2 { // whoever is told of it again may die again
		b := l.again(e, "B", journal.Finished)
		if b.Result.Failure == nil || b.Result.Failure.Code != behalf.CodeAnswerNotKept {
			l.t.Errorf("the result is %+v", b.Result)
		}
		l.must(b.Forget(l.t.Context()))
	}
	l.silent(e, 1)
}

func (l *ledger) unkeptLetter() {
	l.t.Helper()
	e := l.unkeptEvent()
	trigger, err := l.objects.PutUnshared(l.t.Context(), l.project, []byte(told))
	l.must(err)
	e.Trigger, e.TriggerRef = nil, &trigger
	a := l.first(e)
	l.must(a.Record(l.t.Context(), telling("one")))
	failure := behalf.FailStep("two", told)
	l.must(a.Finish(l.t.Context(), nil, behalf.Result{V: 1, Run: e.Run, State: behalf.StateFailed, Failure: failure}))
	if failure.Message != "Step two failed: "+told {
		l.t.Error("the caller's own copy was changed")
	}
	l.must(a.ForgetSteps(l.t.Context()))
	if n := l.objects.Len(); n != 1 {
		l.t.Errorf("%d objects are left", n)
	}
	l.must(l.objects.DropObject(l.t.Context(), trigger))
	l.silent(e, 1)

	kept := l.event() // and Forget is for no other run
	b := l.first(kept)
	l.record(b, "one")
	l.finish(b, "two")
	l.must(b.Forget(l.t.Context()))
	l.must(b.ForgetSteps(l.t.Context()))
	shown, err := l.journal.Show(l.t.Context(), l.project, kept.Run)
	l.must(err)
	if shown.Event == nil || l.kept(kept) != 2 || !slices.ContainsFunc(shown.Steps, func(s behalf.StepRecord) bool { return s.Exports != nil }) {
		l.t.Errorf("shown as %+v", shown)
	}
}
