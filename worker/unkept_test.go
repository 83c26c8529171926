package worker_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/subject"
	"github.com/behalf-dev/behalf/worker"
)

const whatIsTold = "canary-of-the-event"

// unkept is an event of which nothing shall be kept, whose trigger is told where, and which has a file.
func (w *world) unkept(large bool) behalf.Event {
	w.t.Helper()
	e := eventOf(alice)
	e.Origin.NoStore, e.Files = true, []string{"file-1"}
	e.Trigger = json.RawMessage(`{"body":"` + whatIsTold + `"}`)
	if large {
		ref, err := w.store.PutUnshared(w.t.Context(), bustest.Project, e.Trigger)
		w.must(err)
		e.Trigger, e.TriggerRef = nil, &ref
	}
	return e
}

// repeats is a step that says in every way what it was given.
func repeats(_ context.Context, c step.Call) (behalf.Outcome, error) {
	o := says(whatIsTold)
	o.Exports = c.Steps
	o.Logs = []behalf.Log{{Stream: "stdout", Text: string(c.Steps)}}
	return o, nil
}

// tellsNobody looks through all that is left of a run.
func (w *world) tellsNobody() {
	w.t.Helper()
	w.settled()
	history := subject.History(bustest.Environment)
	w.eventually("the history has the run", func() bool { return w.count(history) > 0 })
	for _, name := range []string{history, subject.Runs(bustest.Environment), subject.Events(bustest.Environment), subject.Timers(bustest.Environment)} {
		for _, m := range w.messages(name) {
			if strings.Contains(string(m.Message.Data), whatIsTold) {
				w.t.Errorf("%s tells: %s", name, m.Message.Data)
			}
		}
	}
	if strings.Contains(w.logs.String(), whatIsTold) {
		w.t.Errorf("the log tells: %s", w.logs.String())
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for id, content := range w.store.objects {
		if strings.Contains(string(content), whatIsTold) {
			w.t.Errorf("the object %s is left", id)
		}
	}
	if !slices.Contains(w.store.dropped, "file-1") {
		w.t.Error("the file is left")
	}
}

func TestOfARunNothingIsKept(t *testing.T) {
	t.Parallel()
	for name, large := range map[string]bool{"small": false, "large": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.version(version("one", "two"))
			w.runner = repeats
			w.start(worker.Config{})
			if r := w.call(w.unkept(large)); r.State != behalf.StateOK || r.Failure != nil || r.Response.Text != whatIsTold {
				t.Errorf("the answer is %+v", r)
			}
			w.tellsNobody()
		})
	}
}

// A step that fails, waits for its retry and fails again is told in full to nobody, either.
func TestOfARunThatFailsNothingIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, none := version("one", "two"), 0
	v.Settings.Retries = &none
	w.store.version(v)
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		if c.Step.Name == "one" {
			return repeats(ctx, c)
		}
		return throws("because of " + whatIsTold), nil
	}
	w.start(worker.Config{})
	w.failed(w.call(w.unkept(false)), behalf.CodeStepFailed, "Step two failed: because of "+whatIsTold)
	w.tellsNobody()
}

// A worker that dies at any place leaves what the next one needs, and no more than that in the end.
func TestOfARunWhoseWorkerDiesNothingIsKept(t *testing.T) {
	t.Parallel()
	for _, point := range []worker.Point{worker.BeforeStep, worker.AfterStep, worker.BeforeRecord, worker.AfterRecord, worker.AfterAnswer} {
		for _, nth := range []int64{1, 2} {
			t.Run(string(point)+" "+string(rune('0'+nth)), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.store.version(version("one", "two"))
				w.runner = repeats
				var passed atomic.Int64
				w.start(worker.Config{Points: func(_ context.Context, at worker.Point) {
					if at == point && passed.Add(1) == nth {
						panic("killed")
					}
				}})
				r := w.call(w.unkept(true))
				told := r.Failure == nil && r.Response.Text == whatIsTold
				over := r.Failure != nil && r.Failure.Code == behalf.CodeAnswerNotKept // of a worker that died with the answer
				if r.State != behalf.StateOK || !told && (!over || point != worker.AfterRecord || nth != 2) {
					t.Errorf("the answer is %+v, %+v", r, r.Failure)
				}
				w.tellsNobody()
			})
		}
	}
}

// What could not be forgotten is forgotten later: until then the event stays.
func TestWhatCannotBeForgottenIsForgottenLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two"))
	w.runner = repeats
	w.store.refuses = 2
	w.start(worker.Config{})
	if r := w.call(w.unkept(true)); r.State != behalf.StateOK || r.Response.Text != whatIsTold {
		t.Errorf("the answer is %+v", r)
	}
	w.tellsNobody()
}

// A letter keeps the event: it is not over. Nothing else is kept.
func TestALetterKeepsItsEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one"))
	w.store.mu.Lock()
	delete(w.store.versions, "d_test")
	w.store.mu.Unlock()
	w.start(worker.Config{})
	e := w.unkept(true)
	if r := w.call(e); r.Failure == nil || r.Failure.Code != behalf.CodeVersionUnavailable {
		t.Errorf("the answer is %+v", r)
	}
	if l := w.letter(bus.ReasonVersion); !strings.Contains(string(l.Original), string(e.TriggerRef.Object)) {
		t.Errorf("the letter is %s", l.Original)
	}
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if len(w.store.letters) != 1 || w.store.letters[0] != *e.TriggerRef || len(w.store.objects[e.TriggerRef.Object]) == 0 || len(w.store.dropped) > 0 {
		t.Errorf("kept for letters: %v; dropped: %v", w.store.letters, w.store.dropped)
	}
}
