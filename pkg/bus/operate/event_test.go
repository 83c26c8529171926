package operate_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestEvents(t *testing.T) {
	w := newWorld(t)
	var want []behalf.EventID
	for i := range 7 {
		if i%2 == 0 {
			want = append(want, w.finished(behalf.StateOK).ID)
			continue
		}
		e := bustest.Event()
		w.must(w.bus.KeepTest(t.Context(), e))
		want = append(want, e.ID)
	}
	w.eventually("the history has all runs", func() bool {
		page, err := w.Events(t.Context(), operate.EventQuery{Project: bustest.Project, OnlyRuns: true, Limit: 9})
		w.must(err)
		return len(page.Events) == 4
	})
	for _, limit := range []int{1, 2, 3, 7, 50} {
		q, n := operate.EventQuery{Project: bustest.Project, Workflow: bustest.Workflow, Limit: limit}, len(want)
		for more := true; more; {
			page, err := w.Events(t.Context(), q)
			w.must(err)
			for _, e := range page.Events {
				if n--; n < 0 || e.Event.ID != want[n] || e.Test != (n%2 == 1) || e.State != cmp.Or(map[bool]behalf.RunState{false: behalf.StateOK}[e.Test], "") {
					t.Fatalf("limit %d: %d is %+v", limit, n, e)
				}
			}
			q.After, more = page.Cursor, page.Cursor != ""
		}
		if n != 0 {
			t.Errorf("limit %d: %d are missing", limit, n)
		}
	}
	for i, id := range want {
		found, err := w.Event(t.Context(), bustest.Project, id)
		if err != nil || found.Event.ID != id || found.Test != (i%2 == 1) || len(found.Event.Trigger) == 0 {
			t.Errorf("%+v, %v", found, err)
		}
		_, err = w.Event(t.Context(), "proj_other", id)
		coded(t, err, fault.NotFound, "")
	}
	_, err := w.Events(t.Context(), operate.EventQuery{Project: bustest.Project, After: "x", Limit: 1})
	coded(t, err, fault.Invalid, "")
}

func TestFollow(t *testing.T) {
	w := newWorld(t)
	w.finished(behalf.StateOK)
	w.eventually("the history has it", func() bool {
		page, err := w.journal.List(t.Context(), journal.Query{Project: bustest.Project})
		return err == nil && len(page.Runs) == 1
	})
	q := journal.Query{Project: bustest.Project}
	tail, err := w.journal.Follow(t.Context(), q, "", time.Hour)
	if err != nil || len(tail.Runs) != 0 {
		t.Fatalf("%+v, %v", tail, err)
	}
	tails := make(chan journal.Tail, 1)
	go func() {
		next, err := w.journal.Follow(t.Context(), q, tail.Cursor, patience)
		if err != nil {
			t.Error(err)
		}
		tails <- next
	}()
	e := w.finished(behalf.StateFailed)
	if next := <-tails; len(next.Runs) != 1 || next.Runs[0].ID != e.Run || next.Cursor == tail.Cursor {
		t.Errorf("%+v", next)
	}
	q.State = behalf.StateOK
	if next, err := w.journal.Follow(t.Context(), q, tail.Cursor, 0); err != nil || len(next.Runs) != 0 || next.Cursor == tail.Cursor {
		t.Errorf("%+v, %v", next, err)
	}
	_, err = w.journal.Follow(t.Context(), q, "x", 0)
	coded(t, err, fault.Invalid, "")
}
