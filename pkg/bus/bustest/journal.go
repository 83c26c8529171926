package bustest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// ExerciseJournal is the suite that the journal passes on every server. Open is as in Exercise.
func ExerciseJournal(t *testing.T, open func(t *testing.T) *bus.Conn) {
	t.Helper()
	conn := open(t)
	if err := bus.Provision(t.Context(), conn, Environment, layoutOf(conn)); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		run  func(*ledger)
	}{
		{"a new run has no claim and one record", (*ledger).firstRun},
		{"a second attempt begins by a record", (*ledger).secondAttempt},
		{"an attempt that never began is not counted", (*ledger).idles},
		{"an attempt that has just begun is left alone", (*ledger).leased},
		{"an attempt learns whether the run is still its own", (*ledger).asksAgain},
		{"an attempt goes on after the steps that are done", (*ledger).goesOn},
		{"one that wakes before another began wins", (*ledger).wakesBefore},
		{"one that wakes while another runs is fenced", (*ledger).wakesBetween},
		{"one that wakes when another has finished is fenced", (*ledger).wakesAfter},
		{"of two writers one wins", (*ledger).races},
		{"another event does not get the run", (*ledger).anotherEvent},
		{"a keyed run is always read", (*ledger).keyed},
		{"a key is one request's", (*ledger).accepted},
		{"ids of no shape are refused", (*ledger).noShape},
		{"a run waits and goes on", (*ledger).waits},
		{"a waiting run is told with its steps", (*ledger).stillWaits},
		{"a resume whose worker died comes again", (*ledger).resumeDies},
		{"a timer of an earlier wait is put right", (*ledger).earlierTimer},
		{"a run sleeps longer than the journal remembers", (*ledger).sleepsLong},
		{"five attempts without a record are enough", (*ledger).barren},
		{"a run whose records are gone is no fenced one", (*ledger).evicted},
		{"six mebibytes go to the objects and come back", (*ledger).large},
		{"of a run nothing is kept but that it was", (*ledger).unkept},
		{"what is too large for it is forgotten too", (*ledger).unkeptLarge},
		{"what it left when it died is forgotten later", (*ledger).unkeptLate},
		{"its event is kept where a letter has it", (*ledger).unkeptLetter},
		{"many logs are cut", (*ledger).manyLogs},
		{"a run is shown at every stage", (*ledger).shown},
		{"the history answers when the journal forgot", (*ledger).forgotten},
		{"runs are listed by pages", (*ledger).listed},
		{"waits are listed once, and only while they last", (*ledger).listedWaits},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(newLedger(t, open))
		})
	}
}

// ledger is a journal with a project of its own.
type ledger struct {
	rig
	journal *journal.Journal
	objects *Objects
}

func newLedger(t *testing.T, open func(*testing.T) *bus.Conn) *ledger {
	t.Helper()
	l := &ledger{rig: rig{t: t, open: open, project: behalf.NewProjectID()}, objects: &Objects{}}
	l.conn = open(t)
	var err error
	l.js, err = jetstream.New(l.conn.NATS())
	l.must(err)
	l.journal, err = journal.New(l.conn.NATS(), Environment, l.objects, journal.Config{}, zerolog.Nop())
	l.must(err)
	return l
}

// eventSeq is the sequence of every event here, unless the test is about that.
const eventSeq = 7

func (l *ledger) opening(e behalf.Event, worker string) journal.Opening {
	l.t.Helper()
	raw, err := encode(e)
	l.must(err)
	return journal.Opening{Event: e, EventSeq: eventSeq, Raw: raw, Worker: worker}
}

// first opens a run that nobody has seen.
func (l *ledger) first(e behalf.Event) *journal.Run {
	l.t.Helper()
	return l.opened(l.opening(e, "A"), journal.Ready)
}

// again opens a run as a redelivery does.
func (l *ledger) again(e behalf.Event, worker string, want journal.Standing) *journal.Run {
	l.t.Helper()
	o := l.opening(e, worker)
	o.Seen, o.Deliveries = true, 2
	return l.opened(o, want)
}

// opened opens a run, and claims it where that is due.
func (l *ledger) opened(o journal.Opening, want journal.Standing) *journal.Run {
	l.t.Helper()
	run, err := l.journal.Open(l.t.Context(), o)
	l.must(err)
	if run.Standing == journal.Ready && !run.Held() {
		l.must(run.Begin(l.t.Context()))
	}
	if run.Standing != want {
		l.t.Fatalf("the standing is %d, want %d", run.Standing, want)
	}
	return run
}

// woken opens a run as its timer does.
func (l *ledger) woken(state []byte, token, timer uint64, want journal.Standing) *journal.Run {
	l.t.Helper()
	s, err := l.journal.Revive(l.t.Context(), state)
	l.must(err)
	return l.opened(journal.Opening{
		Event: s.Event, EventSeq: s.EventSeq, Raw: s.Raw, Worker: "W", Seen: true, Resume: s, Token: token, TimerSeq: timer,
	}, want)
}

// step makes the record of a step.
func step(path behalf.Path, exports string) behalf.StepRecord {
	return behalf.StepRecord{Path: path, Attempt: 1, At: time.Now().UTC(), Duration: time.Millisecond, Exports: behalf.Exports(exports)}
}

func (l *ledger) record(run *journal.Run, path behalf.Path) {
	l.t.Helper()
	l.must(run.Record(l.t.Context(), step(path, `{"$return_value":"`+string(path)+`"}`)))
}

func ok(run *journal.Run) behalf.Result {
	response := behalf.NewResponse(200, nil, []byte("done by "+string(run.Event.Run)))
	return behalf.Result{V: 1, Run: run.Event.Run, State: behalf.StateOK, Response: &response}
}

func (l *ledger) finish(run *journal.Run, path behalf.Path) {
	l.t.Helper()
	last := step(path, `{"last":true}`)
	l.must(run.Finish(l.t.Context(), &last, ok(run)))
}

// pause makes a run wait, and gives the state that its timer would carry.
func (l *ledger) pause(run *journal.Run, reason behalf.WaitReason) []byte {
	l.t.Helper()
	l.must(run.Pause(l.t.Context(), nil, behalf.Wait{Reason: reason, Until: time.Now().Add(time.Hour), Retries: 1}))
	state, err := run.Suspend(l.t.Context())
	l.must(err)
	return state
}

func (l *ledger) fenced(err error) {
	l.t.Helper()
	l.kind(err, fault.Conflict)
	if code := fault.CodeOf(err); code != "conflict" {
		l.t.Fatalf("the code is %s", code)
	}
}

func (l *ledger) paths(steps []behalf.StepRecord, want ...behalf.Path) {
	l.t.Helper()
	var got []behalf.Path
	for _, s := range steps {
		got = append(got, s.Path)
	}
	if len(got) != len(want) {
		l.t.Fatalf("the steps are %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			l.t.Fatalf("the steps are %v, want %v", got, want)
		}
	}
}

func (l *ledger) filter(e behalf.Event) string {
	l.t.Helper()
	prefix, err := subject.Run{Environment: Environment, Project: e.Project, Workflow: e.Workflow, Run: e.Run}.Prefix()
	l.must(err)
	return prefix.Filter()
}

func (l *ledger) stream(e behalf.Event) jetstream.Stream {
	l.t.Helper()
	stream, err := l.js.Stream(l.t.Context(), subject.JournalOf(Environment, e.Run))
	l.must(err)
	return stream
}

// kept counts the records of a run.
func (l *ledger) kept(e behalf.Event) (n uint64) {
	l.t.Helper()
	info, err := l.stream(e).Info(l.t.Context(), jetstream.WithSubjectFilter(l.filter(e)))
	l.must(err)
	for _, each := range info.State.Subjects {
		n += each
	}
	return n
}

// forget takes a run's records out of the journal, as its age would.
func (l *ledger) forget(e behalf.Event) {
	l.t.Helper()
	l.must(l.stream(e).Purge(l.t.Context(), jetstream.WithPurgeSubject(l.filter(e))))
}
