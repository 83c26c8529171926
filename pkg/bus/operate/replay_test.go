package operate_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestReplay(t *testing.T) {
	w := newWorld(t)
	was := w.finished(behalf.StateFailed, step("first"), step("second"))
	source, err := w.Source(t.Context(), bustest.Project, was.Run)
	w.must(err)
	v := version("d_now", "first", "second", "third")
	for _, c := range []struct {
		from behalf.StepName
		kept int
	}{{"", 0}, {"first", 0}, {"second", 1}, {"third", 2}} {
		e, err := w.Replay(t.Context(), source, operate.Replay{Project: bustest.Project, Version: v, From: c.from, Client: "oac_me"})
		w.must(err)
		if shown := w.show(e.Run); shown.ReplayOf != was.Run || shown.State != behalf.StateRunning || len(shown.Steps) != c.kept {
			t.Errorf("from %q: %+v", c.from, shown)
		}
		d, run := w.next()
		if d.Event.Run == was.Run || d.Event.Run != e.Run || d.Event.Version != "d_now" || string(d.Event.Trigger) != string(was.Trigger) || d.Event.Origin.Client != "oac_me" {
			t.Errorf("from %q: %+v", c.from, d.Event)
		}
		if run.Standing != journal.Ready || run.Held() || run.Attempt != 1 || len(run.Steps) != c.kept {
			t.Errorf("from %q: standing %d, attempt %d, %d steps", c.from, run.Standing, run.Attempt, len(run.Steps))
		}
		w.must(run.Begin(t.Context()))
		w.must(w.over(run, behalf.StateOK))
		w.must(d.Ack(t.Context()))
		if shown := w.show(e.Run); shown.ReplayOf != was.Run || len(shown.Steps) != c.kept || !shown.State.Finished() {
			t.Errorf("from %q: %+v", c.from, shown)
		}
	}
}

func TestReplayRefused(t *testing.T) {
	w := newWorld(t)
	failing := step("second")
	failing.Err = &behalf.StepError{Message: "boom"}
	was := w.finished(behalf.StateFailed, step("first"), failing)
	source, err := w.Source(t.Context(), bustest.Project, was.Run)
	w.must(err)
	replay := func(v behalf.Version, from behalf.StepName) error {
		_, err := w.Replay(t.Context(), source, operate.Replay{Project: bustest.Project, Version: v, From: from})
		return err
	}
	coded(t, replay(version("d_a", "first", "second", "third"), "nowhere"), fault.Invalid, "")
	coded(t, replay(version("d_a", "first", "second", "third"), "third"), fault.Conflict, operate.CodeStepNotRecorded)
	coded(t, replay(version("d_b", "another", "second"), "second"), fault.Conflict, operate.CodeStepNotRecorded)
	_, err = w.Source(t.Context(), "proj_other", was.Run)
	coded(t, err, fault.NotFound, "")

	// A run that goes on, one of which nothing is stored, and one whose event is gone.
	going := w.publish()
	d, run := w.next()
	w.must(run.Begin(t.Context()))
	_, err = w.Source(t.Context(), bustest.Project, going.Run)
	coded(t, err, fault.Conflict, operate.CodeRunNotFinished)
	run.Raw = nil
	w.must(w.over(run, behalf.StateOK))
	w.must(d.Ack(t.Context()))
	_, err = w.Source(t.Context(), bustest.Project, going.Run)
	coded(t, err, fault.Conflict, operate.CodeEventNotStored)
	if shown := w.show(going.Run); shown.Version != going.Version {
		t.Errorf("%+v", shown)
	}
	source.Event = json.RawMessage(strings.Replace(string(source.Event), `"trigger":{`, `"trigger_ref":{"object":"gone","sha256":"x","size":1},"was":{`, 1))
	coded(t, replay(version("d_a", "first"), ""), fault.Conflict, operate.CodeEventNotStored)
}

// buried is a dead letter of an event, or of a run that came back from a wait after a step.
func (w *world) buried(afterWait bool) bus.Letter {
	w.t.Helper()
	if w.source == nil {
		w.takes()
	}
	e := w.publish()
	d, run := w.next()
	if afterWait {
		w.must(run.Record(w.t.Context(), step("first")))
		w.must(run.Pause(w.t.Context(), nil, behalf.Wait{Reason: behalf.WaitRetry, Until: time.Now()}))
		state, err := run.Suspend(w.t.Context())
		w.must(err)
		w.must(w.bus.SetTimer(w.t.Context(), bus.Timer{
			Run: e.Run, Project: e.Project, Workflow: e.Workflow, Lane: e.Lane, At: time.Now(), Token: run.Token(), State: state,
		}))
		w.must(d.Ack(w.t.Context()))
		d, run = w.next()
		d.Event = run.Event
	}
	w.must(run.Finish(w.t.Context(), nil, behalf.Result{V: 1, Run: e.Run, State: behalf.StateFailed, Failure: behalf.FailPlatform(e.Run)}))
	w.must(d.Bury(w.t.Context(), "worker-1", bus.ReasonVersion, "it is gone"))
	letters, more, err := w.Letters(w.t.Context(), bus.LetterQuery{Project: bustest.Project, Limit: 1})
	w.must(err)
	if len(letters) != 1 || letters[0].Run != e.Run || letters[0].Reason != bus.ReasonVersion {
		w.t.Fatalf("%+v, %t", letters, more)
	}
	return letters[0]
}

func TestReplayLetter(t *testing.T) {
	for name, afterWait := range map[string]bool{"of an event": false, "of a run that waited": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			letter := w.buried(afterWait)
			opened, err := w.Open(t.Context(), bustest.Project, letter.ID)
			w.must(err)
			v := version("d_now", "first", "second")

			// Two operators press at once, and a third one later.
			runs := make(chan behalf.RunID, 2)
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					e, err := w.ReplayLetter(t.Context(), opened, operate.Replay{Project: bustest.Project, Version: v})
					if err != nil {
						t.Error(err)
					}
					runs <- e.Run
				})
			}
			both.Wait()
			one, other := <-runs, <-runs
			third, err := w.Replayed(t.Context(), bustest.Project, letter.ID)
			if err != nil || one != other || one != third || one == letter.Run {
				t.Errorf("%s, %s and %s, %v", one, other, third, err)
			}
			_, err = w.Open(t.Context(), bustest.Project, letter.ID)
			coded(t, err, fault.NotFound, "")

			d, run := w.next()
			kept := 0
			if afterWait {
				kept = 1
			}
			if run.Event.Run != one || run.Standing != journal.Ready || len(run.Steps) != kept || run.Event.Origin.ReplayOf != letter.Run {
				t.Errorf("%+v", run)
			}
			w.must(run.Begin(t.Context()))
			w.must(w.over(run, behalf.StateOK))
			w.must(d.Ack(t.Context()))
			// Somebody who opened the letter before it was gone changes nothing any more.
			if e, err := w.ReplayLetter(t.Context(), opened, operate.Replay{Project: bustest.Project, Version: v}); err != nil || e.Run != one {
				t.Errorf("%s, %v", e.Run, err)
			}
			w.eventually("nothing is left to run", func() bool {
				_, err := w.bus.Queued(t.Context(), bustest.Project, one, 0, time.Time{})
				return fault.Is(err, fault.NotFound)
			})
		})
	}
}

func TestReplayLetterOfOtherSteps(t *testing.T) {
	w := newWorld(t)
	letter := w.buried(true)
	opened, err := w.Open(t.Context(), bustest.Project, letter.ID)
	w.must(err)
	_, err = w.ReplayLetter(t.Context(), opened, operate.Replay{Project: bustest.Project, Version: version("d_now", "another")})
	coded(t, err, fault.Conflict, operate.CodeStepNotRecorded)
	e, err := w.ReplayLetter(t.Context(), opened, operate.Replay{Project: bustest.Project, Version: version("d_now", "another"), From: "another"})
	w.must(err)
	if shown := w.show(e.Run); len(shown.Steps) != 0 {
		t.Errorf("%+v", shown)
	}
}

func TestLetters(t *testing.T) {
	w := newWorld(t)
	var ids []behalf.LetterID
	for range 3 {
		ids = append(ids, w.buried(false).ID)
	}
	seen := behalf.LetterID("")
	for i := 2; i >= 0; i-- {
		page, more, err := w.Letters(t.Context(), bus.LetterQuery{Project: bustest.Project, Workflow: bustest.Workflow, Reason: bus.ReasonVersion, Limit: 1, Before: seen})
		w.must(err)
		if len(page) != 1 || page[0].ID != ids[i] || more != (i > 0) {
			t.Fatalf("%d: %+v, %t", i, page, more)
		}
		seen = page[0].ID
	}
	counts, err := w.CountLetters(t.Context(), bustest.Project, "")
	if err != nil || len(counts) != 1 || counts[0] != (bus.LetterCount{Workflow: bustest.Workflow, Reason: bus.ReasonVersion, Count: 3}) {
		t.Errorf("%+v, %v", counts, err)
	}
	if page, _, err := w.Letters(t.Context(), bus.LetterQuery{Project: bustest.Project, Reason: bus.ReasonMalformed, Limit: 9}); err != nil || len(page) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	for _, foreign := range []behalf.ProjectID{"proj_other"} {
		if page, _, err := w.Letters(t.Context(), bus.LetterQuery{Project: foreign, Limit: 9}); err != nil || len(page) != 0 {
			t.Errorf("%+v, %v", page, err)
		}
		if _, err := w.Letter(t.Context(), foreign, ids[0]); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if gone, err := w.Discard(t.Context(), foreign, ids[0]); err != nil || gone {
			t.Error(gone, err)
		}
	}
	for want := true; ; want = false {
		gone, err := w.Discard(t.Context(), bustest.Project, ids[0])
		if err != nil || gone != want {
			t.Error(gone, err)
		}
		if !want {
			break
		}
	}
	_, err = w.Replayed(t.Context(), bustest.Project, ids[0])
	coded(t, err, fault.NotFound, "")
}
