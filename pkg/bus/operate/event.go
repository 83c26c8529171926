package operate

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// EventQuery says which events of a project to list. A zero field asks for nothing.
type EventQuery struct {
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID
	User     behalf.ExternalUserID
	// OnlyTests leaves out the events of runs, OnlyRuns those that were kept as tests.
	OnlyTests, OnlyRuns bool
	// Limit is the most that a page has. It must be set.
	Limit int
	// After is the cursor of the page before.
	After string
}

// Received is an event as a list shows it, and what became of it: a test event has no state.
type Received struct {
	Event behalf.Event
	Test  bool
	State behalf.RunState
}

// EventPage is one page of events, newest first, and the cursor of the next; empty on the last.
type EventPage struct {
	Events []Received
	Cursor string
}

// cursor is how far each of the two sources is read. Zero is its newest; an end is one below which nothing is left.
type cursor struct{ runs, tests uint64 }

// nothing is below it.
const lowest = 1

func (c cursor) String() string {
	if c.runs == lowest && c.tests == lowest {
		return ""
	}
	return strconv.FormatUint(c.runs, 10) + "." + strconv.FormatUint(c.tests, 10)
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	runs, tests, ok := strings.Cut(text, ".")
	if c.runs, err = strconv.ParseUint(runs, 10, 63); err == nil {
		c.tests, err = strconv.ParseUint(tests, 10, 63)
	}
	if err != nil || !ok {
		return c, fault.New(fault.Invalid, "operate.Events", "cursor must be one that a page before gave")
	}
	return c, nil
}

// found is an entry of one source, with the cursor of that source once it is taken.
type found struct {
	Received
	seq uint64
}

// Events lists the last events that were received: those of runs that are finished, and test events. Errors: Invalid, for
// a cursor that is none; Unavailable.
func (o *Operator) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	at, err := parseCursor(q.After)
	if err != nil {
		return EventPage{}, err
	}
	runs, runsEnd, err := o.runEvents(ctx, q, at.runs)
	if err != nil {
		return EventPage{}, err
	}
	tests, testsEnd, err := o.testEvents(ctx, q, at.tests)
	if err != nil {
		return EventPage{}, err
	}
	all := append(runs, tests...)
	slices.SortStableFunc(all, func(a, b found) int { return b.Event.At.Compare(a.Event.At) })
	cut := all[:min(len(all), q.Limit)]
	var page EventPage
	for _, f := range cut {
		page.Events = append(page.Events, f.Received)
		if f.Test {
			at.tests = f.seq
		} else {
			at.runs = f.seq
		}
	}
	if !slices.ContainsFunc(all[len(cut):], func(f found) bool { return !f.Test }) {
		at.runs = runsEnd
	}
	if !slices.ContainsFunc(all[len(cut):], func(f found) bool { return f.Test }) {
		at.tests = testsEnd
	}
	page.Cursor = at.String()
	return page, nil
}

func (o *Operator) runEvents(ctx context.Context, q EventQuery, before uint64) ([]found, uint64, error) {
	if q.OnlyTests || before == lowest {
		return nil, lowest, nil
	}
	received, next, err := o.journal.Events(ctx, journal.Query{Project: q.Project, Workflow: q.Workflow, User: q.User, Limit: q.Limit}, before)
	if err != nil {
		return nil, 0, err
	}
	var all []found
	for _, r := range received {
		var e behalf.Event
		if err := json.Unmarshal(r.Run.Event, &e); err != nil { // one must not hide all others
			o.log.Error().Err(err).Str("run", string(r.Run.ID)).Msg("the stored event of a run cannot be read")
			continue
		}
		all = append(all, found{Received{Event: e, State: r.Run.State}, r.Seq})
	}
	return all, max(next, lowest), nil
}

func (o *Operator) testEvents(ctx context.Context, q EventQuery, before uint64) ([]found, uint64, error) {
	if q.OnlyRuns || before == lowest {
		return nil, lowest, nil
	}
	kept, more, err := o.bus.TestEvents(ctx, q.Project, q.Workflow, before, q.Limit)
	if err != nil {
		return nil, 0, err
	}
	var all []found
	end := uint64(lowest)
	for _, e := range kept {
		if q.User == "" || q.User == e.Event.User {
			all = append(all, found{Received{Event: e.Event, Test: true}, e.Seq})
		}
		if more {
			end = e.Seq
		}
	}
	return all, end, nil
}

// Event finds one event with its trigger: of a run that is finished, or kept as a test. Errors: NotFound; Conflict of code
// event_not_stored, or run_not_finished; Unavailable.
func (o *Operator) Event(ctx context.Context, project behalf.ProjectID, id behalf.EventID) (Received, error) {
	r := Received{}
	run, err := o.Source(ctx, project, id.Run())
	switch {
	case fault.Is(err, fault.NotFound):
		r.Test = true
		if r.Event, err = o.bus.TestEvent(ctx, project, id); err != nil {
			return Received{}, err
		}
	case err != nil:
		return Received{}, err
	default:
		r.State = run.State
		if err := json.Unmarshal(run.Event, &r.Event); err != nil {
			return Received{}, fault.Wrap(fault.Internal, "operate.Event", err)
		}
	}
	r.Event.Trigger, err = o.Trigger(ctx, r.Event)
	return r, err
}
