package bustest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// What is kept of runs, and how it is read.

func (l *ledger) large() {
	l.t.Helper()
	e := l.event()
	e.User = "abc-123"
	e.Trigger = json.RawMessage(`"` + strings.Repeat("e", 200<<10) + `"`)
	big := `{"data":"` + strings.Repeat("x", 6<<20) + `"}`
	a := l.first(e)
	one := step("one", big)
	response := behalf.NewResponse(200, nil, bytes.Repeat([]byte("r"), 900<<10))
	one.Response = &response
	l.must(a.Record(l.t.Context(), one))
	l.fits(e)

	b := l.again(e, "B", journal.Ready)
	l.paths(b.Steps, "one")
	if string(b.Steps[0].Exports) != big || b.Steps[0].Response == nil || b.Steps[0].Response.Text != response.Text {
		l.t.Fatal("the step did not come back whole")
	}
	state := l.pause(b, behalf.WaitDelay)
	if len(state) > bus.MaxRecord {
		l.t.Fatalf("the state has %d bytes", len(state))
	}
	c := l.woken(state, b.Token(), 1, journal.Ready)
	last, result := step("two", big), ok(c)
	result.Response = &response
	last.Response = &response
	l.must(c.Finish(l.t.Context(), &last, result))
	l.fits(e)

	shown, err := l.journal.Show(l.t.Context(), l.project, e.Run)
	l.must(err)
	raw, err := encode(e)
	l.must(err)
	l.paths(shown.Steps, "one", "two")
	switch {
	case string(shown.Steps[0].Exports) != big, string(shown.Steps[1].Exports) != big:
		l.t.Fatal("the exports did not come back whole")
	case !bytes.Equal(shown.Event, raw):
		l.t.Fatal("the event did not come back whole")
	case shown.Result.Response == nil || shown.Result.Response.Text != response.Text:
		l.t.Fatal("the result did not come back whole")
	case string(last.Exports) != big || last.Response == nil:
		l.t.Fatal("the caller's own copy was changed")
	}
	l.eventually("the run is listed under its user", func() bool {
		return len(l.list(journal.Query{User: "abc-123"}).Runs) == 1
	})
}

// fits makes sure that the run's last record is no larger than a record may be.
func (l *ledger) fits(e behalf.Event) {
	l.t.Helper()
	m, err := l.stream(e).GetLastMsgForSubject(l.t.Context(), l.filter(e))
	l.must(err)
	if len(m.Data) > bus.MaxRecord {
		l.t.Fatalf("a record of %d bytes", len(m.Data))
	}
}

func (l *ledger) manyLogs() {
	l.t.Helper()
	e := l.event()
	run := l.first(e)
	logs := make([]behalf.Log, 250)
	for i := range logs {
		logs[i] = behalf.Log{Stream: "stdout", Text: strings.Repeat("l", 1000)}
	}
	for n := range 20 {
		s := step(behalf.Path(fmt.Sprintf("step%d", n)), `{}`)
		s.Logs, s.Err = logs, &behalf.StepError{Message: strings.Repeat("m", 50<<10)}
		l.must(run.Record(l.t.Context(), s))
	}
	l.finish(run, "last")
	l.fits(e)
	if len(logs[0].Text) != 1000 || len(run.Steps[0].Logs) != 250 {
		l.t.Fatal("the caller's own copy was changed")
	}
}

func (l *ledger) shown() {
	l.t.Helper()
	ctx, e := l.t.Context(), l.event()
	_, err := l.journal.Show(ctx, l.project, e.Run)
	l.kind(err, fault.NotFound)
	run := l.first(e)
	l.record(run, "one")
	l.record(run, "two")
	show := func(state behalf.RunState, steps ...behalf.Path) behalf.Run {
		l.t.Helper()
		shown, err := l.journal.Show(ctx, l.project, e.Run)
		l.must(err)
		if shown.State != state || shown.Workflow != e.Workflow || shown.ID != e.Run || shown.Version != e.Version {
			l.t.Fatalf("shown as %+v", shown)
		}
		l.paths(shown.Steps, steps...)
		return shown
	}
	show(behalf.StateRunning, "one", "two")
	state := l.pause(run, behalf.WaitDelay)
	if w := show(behalf.StateWaiting, "one", "two"); w.Wait == nil || w.Wait.Reason != behalf.WaitDelay {
		l.t.Fatalf("the wait is %+v", w.Wait)
	}
	next := l.woken(state, run.Token(), 1, journal.Ready)
	show(behalf.StateRunning, "one", "two")
	l.finish(next, "three")
	done := show(behalf.StateOK, "one", "two", "three")
	if done.Result == nil || done.Result.Response == nil || done.Event == nil || time.Since(done.StartedAt) > time.Minute {
		l.t.Fatalf("shown as %+v", done)
	}
	_, err = l.journal.Show(ctx, behalf.NewProjectID(), e.Run)
	l.kind(err, fault.NotFound) // another project's is none
	_, err = l.journal.Result(ctx, l.project, "p_other", e.Run)
	l.kind(err, fault.NotFound)
}

func (l *ledger) forgotten() {
	l.t.Helper()
	e := l.event()
	l.finish(l.first(e), "only")
	l.eventually("the run is in the history", func() bool { return len(l.list(journal.Query{}).Runs) == 1 })
	l.forget(e)
	got, err := l.journal.Result(l.t.Context(), l.project, e.Workflow, e.Run)
	l.must(err)
	if got.State != behalf.StateOK || got.Result.Response.Text != "done by "+string(e.Run) || got.Workflow != e.Workflow {
		l.t.Fatalf("the result is %+v", got)
	}
	_, err = l.journal.Result(l.t.Context(), behalf.NewProjectID(), e.Workflow, e.Run)
	l.kind(err, fault.NotFound)
}

func (l *ledger) list(q journal.Query) journal.Page {
	l.t.Helper()
	q.Project = l.project
	page, err := l.journal.List(l.t.Context(), q)
	l.must(err)
	return page
}

func (l *ledger) listed() {
	l.t.Helper()
	const total = 120
	states := []behalf.RunState{behalf.StateOK, behalf.StateFailed, behalf.StateCanceled}
	var want []behalf.Event
	for n := range total {
		e := l.event()
		e.Workflow = behalf.WorkflowID(fmt.Sprintf("p_w%d", n%2))
		e.User = behalf.ExternalUserID(fmt.Sprintf("user-%d", n%5))
		run := l.first(e)
		result := ok(run)
		result.State = states[n%3]
		l.must(run.Finish(l.t.Context(), nil, result))
		want = append(want, e)
	}
	slices.Reverse(want)
	l.eventually("all are in the history", func() bool { return len(l.all(journal.Query{Limit: 200})) == total })
	for what, c := range map[string]struct {
		query journal.Query
		match func(n int) bool // of the nth that was made
	}{
		"all, by sevens":      {journal.Query{Limit: 7}, func(int) bool { return true }},
		"by the default":      {journal.Query{}, func(int) bool { return true }},
		"of a workflow":       {journal.Query{Limit: 7, Workflow: "p_w1"}, func(n int) bool { return n%2 == 1 }},
		"of a state":          {journal.Query{Limit: 7, State: behalf.StateFailed}, func(n int) bool { return n%3 == 1 }},
		"of a user":           {journal.Query{Limit: 7, User: "user-3"}, func(n int) bool { return n%5 == 3 }},
		"of all three":        {journal.Query{Limit: 1, Workflow: "p_w0", State: behalf.StateOK, User: "user-0"}, func(n int) bool { return n%30 == 0 }},
		"of a stranger":       {journal.Query{User: "nobody"}, func(int) bool { return false }},
		"of no such workflow": {journal.Query{Workflow: "p_none"}, func(int) bool { return false }},
	} {
		var ids, wanted []behalf.RunID
		for _, run := range l.all(c.query) {
			ids = append(ids, run.ID)
		}
		for i, e := range want {
			if c.match(total - 1 - i) {
				wanted = append(wanted, e.Run)
			}
		}
		if !slices.Equal(ids, wanted) {
			l.t.Fatalf("%s: %d runs, want %d, newest first and each once", what, len(ids), len(wanted))
		}
	}
	for _, cursor := range []string{"x", "-1", "0", "1.5", "18446744073709551616"} {
		_, err := l.journal.List(l.t.Context(), journal.Query{Project: l.project, Before: cursor})
		l.kind(err, fault.Invalid)
	}
}

// all reads pages until there is no cursor.
func (l *ledger) all(q journal.Query) (runs []behalf.Run) {
	l.t.Helper()
	for range 1000 {
		page := l.list(q)
		runs = append(runs, page.Runs...)
		if page.Cursor == "" {
			return runs
		}
		q.Before = page.Cursor
	}
	l.t.Fatal("the pages do not end")
	return nil
}

func (l *ledger) listedWaits() {
	l.t.Helper()
	var waiting, running, gone behalf.Event
	for _, e := range []*behalf.Event{&waiting, &running, &gone} {
		*e = l.event()
		e.User = "abc-123"
	}
	wait := func(e behalf.Event) (*journal.Run, []byte) {
		l.t.Helper()
		a := l.first(e)
		first := l.pause(a, behalf.WaitDelay)
		b := l.woken(first, a.Token(), 1, journal.Ready)
		return b, l.pause(b, behalf.WaitRetry) // waits twice
	}
	wait(waiting)
	b, state := wait(running)
	l.woken(state, b.Token(), 2, journal.Ready)
	b, state = wait(gone)
	l.finish(l.woken(state, b.Token(), 2, journal.Ready), "only")

	states := func(q journal.Query) map[behalf.RunID]behalf.RunState {
		got := map[behalf.RunID]behalf.RunState{}
		for _, run := range l.all(q) {
			if _, twice := got[run.ID]; twice {
				l.t.Fatalf("%s is listed twice", run.ID)
			}
			got[run.ID] = run.State
		}
		return got
	}
	l.eventually("the history has the end", func() bool { return states(journal.Query{})[gone.Run] == behalf.StateOK })
	for _, limit := range []int{1, 2, 50} {
		for _, user := range []behalf.ExternalUserID{"", "abc-123"} {
			for state, want := range map[behalf.RunState]map[behalf.RunID]behalf.RunState{ //nolint:exhaustive // those that there are
				"":                  {waiting.Run: behalf.StateWaiting, running.Run: behalf.StateRunning, gone.Run: behalf.StateOK},
				behalf.StateWaiting: {waiting.Run: behalf.StateWaiting},
				behalf.StateRunning: {running.Run: behalf.StateRunning},
				behalf.StateOK:      {gone.Run: behalf.StateOK},
			} {
				if got := states(journal.Query{Limit: limit, User: user, State: state}); !maps.Equal(got, want) {
					l.t.Fatalf("by %d of %q, those %q are %v", limit, user, state, got)
				}
			}
		}
	}
}
