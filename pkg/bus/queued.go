package bus

import (
	"context"
	"encoding/json"
	"sort"
	"strconv"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Queued is an event that no worker has settled.
type Queued struct {
	Event    behalf.Event
	Raw      []byte
	Sequence uint64
	// Reply is where the result is awaited. Empty where nobody waits.
	Reply string
}

// queueScan is how many queued events of a project are read to find one.
const queueScan = 5000

// Queued finds the event of a run among those that no worker has settled: at a sequence where one is known, else among
// those that were stored since a moment. Errors: NotFound, Unavailable.
func (b *Bus) Queued(ctx context.Context, project behalf.ProjectID, run behalf.RunID, at uint64, since time.Time) (Queued, error) {
	if at != 0 {
		m, err := b.ask(ctx, subject.Events(b.env), question{Seq: at})
		if err != nil {
			return Queued{}, err
		}
		if found, ok := queuedOf(m, project, run); ok {
			return found, nil
		}
		return Queued{}, fault.New(fault.NotFound, "bus.Queued", "no such event")
	}
	filter := "evt." + string(b.env) + ".*." + string(project) + ".*"
	if _, err := behalf.ParseProjectID(string(project)); err != nil {
		return Queued{}, err
	}
	from, err := b.firstSince(ctx, since)
	for range queueScan {
		if err != nil {
			return Queued{}, err
		}
		var m kept
		if m, err = b.ask(ctx, subject.Events(b.env), question{Seq: from, Next: filter}); err != nil {
			return Queued{}, err
		}
		if found, ok := queuedOf(m, project, run); ok {
			return found, nil
		}
		from = m.seq + 1
	}
	return Queued{}, fault.New(fault.NotFound, "bus.Queued", "no such event among those that are waiting")
}

func queuedOf(m kept, project behalf.ProjectID, run behalf.RunID) (Queued, bool) {
	q := Queued{Raw: m.data, Sequence: m.seq, Reply: m.header.Get(headerReply)}
	err := json.Unmarshal(m.data, &q.Event)
	return q, err == nil && q.Event.Project == project && q.Event.Run == run
}

// firstSince finds the sequence of the first event that was stored at or after a moment.
func (b *Bus) firstSince(ctx context.Context, since time.Time) (uint64, error) {
	stream := subject.Events(b.env)
	state, err := b.streamState(ctx, stream)
	if err != nil || state.Msgs == 0 {
		return 1, err
	}
	var failed error
	n := sort.Search(int(state.LastSeq-state.FirstSeq)+1, func(i int) bool { //nolint:gosec // what a stream holds is an int
		m, err := b.ask(ctx, stream, question{Seq: state.FirstSeq + uint64(i), Next: ">"}) //nolint:gosec // i is not negative
		switch {
		case fault.Is(err, fault.NotFound): // nothing lies above
			return true
		case err != nil:
			failed = err
			return true
		}
		return !m.at.Before(since)
	})
	return state.FirstSeq + uint64(n), failed //nolint:gosec // n is not negative
}

// Unqueue takes an event away, so that no worker is given it any more. Its run must be finished in the journal. Errors:
// Unavailable.
func (b *Bus) Unqueue(ctx context.Context, q Queued) error {
	_, err := b.drop(ctx, subject.Events(b.env), q.Sequence)
	return err
}

// timerScan is how many fired timers of a workflow are read to find one.
const timerScan = 5000

// TimerOf reads the timer of a run that waits, also where it has fired and no worker has settled it. Errors: NotFound,
// Unavailable.
func (b *Bus) TimerOf(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) (Resume, error) {
	set, err := subject.TimerSet(project, run)
	if err != nil {
		return Resume{}, err
	}
	m, err := b.ask(ctx, subject.Timers(b.env), question{Last: set})
	if err == nil {
		return resumeOf(m)
	}
	if !fault.Is(err, fault.NotFound) {
		return Resume{}, err
	}
	fired, err := subject.FiredOf(project, workflow)
	if err != nil {
		return Resume{}, err
	}
	from := uint64(1)
	for range timerScan {
		m, err := b.ask(ctx, subject.Timers(b.env), question{Seq: from, Next: fired})
		if err != nil {
			return Resume{}, err
		}
		if m.header.Get(headerRun) == string(run) {
			return resumeOf(m)
		}
		from = m.seq + 1
	}
	return Resume{}, fault.New(fault.NotFound, "bus.TimerOf", "no such timer")
}

func resumeOf(m kept) (Resume, error) {
	token, err := strconv.ParseUint(m.header.Get(headerResume), 10, 64)
	return Resume{Token: token, State: m.data}, fault.Wrap(fault.Internal, "bus.TimerOf", err)
}
