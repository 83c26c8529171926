package bustest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// What can never be finished.

// letter reads the project's last dead letter of a workflow.
func (r *rig) letter(workflow behalf.WorkflowID) bus.DeadLetter {
	r.t.Helper()
	name, err := subject.Dead(Environment, r.project, workflow)
	r.must(err)
	stream, err := r.js.Stream(r.t.Context(), subject.DeadLetters(Environment))
	r.must(err)
	m, err := stream.GetLastMsgForSubject(r.t.Context(), name)
	r.must(err)
	var letter bus.DeadLetter
	r.must(json.Unmarshal(m.Data, &letter))
	return letter
}

func (r *rig) buried() {
	r.t.Helper()
	w, e := r.work(4), r.event()
	r.publish(e)
	d := r.take(w.Source)
	r.must(d.Bury(r.t.Context(), "worker-1", bus.ReasonPlatform, "why"))
	l := r.letter(e.Workflow)
	if l.Reason != bus.ReasonPlatform || l.Detail != "why" || l.Worker != "worker-1" || l.Run != e.Run || l.Sequence != d.Sequence || l.V != 1 {
		r.t.Fatalf("the letter is %+v", l)
	}
	var original behalf.Event
	r.must(json.Unmarshal(l.Original, &original))
	if original.ID != e.ID {
		r.t.Fatalf("the original is %s", l.Original)
	}
	r.settled()
	r.none(w.Source, 2*Layout().AckWait)

	r.timer(behalf.NewRunID(), 3, 0)
	d = r.take(w.Source)
	r.must(d.Bury(r.t.Context(), "worker-1", bus.ReasonVersion, "gone"))
	if l := r.letter(Workflow); l.Reason != bus.ReasonVersion || string(l.Original) != `{"v":1}` {
		r.t.Fatalf("the timer's letter is %+v", l)
	}
}

// buriedTwice: the letter was stored, but nobody heard of it, so that the event came again.
func (r *rig) buriedTwice() {
	r.t.Helper()
	w, e := r.work(4), r.event()
	r.publish(e)
	first := r.take(w.Source)
	first.Release()
	second := r.take(w.Source)
	if second.Sequence != first.Sequence {
		r.t.Fatalf("sequence %d came, then %d", first.Sequence, second.Sequence)
	}
	for _, d := range []*bus.Delivery{first, second, second} {
		r.must(d.Bury(r.t.Context(), "worker-1", bus.ReasonWorkerLost, "again"))
	}
	r.letters(e.Workflow, 1)
	r.must(second.Bury(r.t.Context(), "worker-1", bus.ReasonPlatform, "for another reason"))
	r.letters(e.Workflow, 2)

	another := r.event()
	r.publish(another)
	r.must(r.take(w.Source).Bury(r.t.Context(), "worker-1", bus.ReasonPlatform, "another event"))
	r.letters(e.Workflow, 3)
}

// letters counts the project's dead letters of a workflow, and looks whether the server knows their ids long enough.
func (r *rig) letters(workflow behalf.WorkflowID, want uint64) {
	r.t.Helper()
	name, err := subject.Dead(Environment, r.project, workflow)
	r.must(err)
	stream, err := r.js.Stream(r.t.Context(), subject.DeadLetters(Environment))
	r.must(err)
	info, err := stream.Info(r.t.Context(), jetstream.WithSubjectFilter(name))
	r.must(err)
	if got := info.State.Subjects[name]; got != want {
		r.t.Fatalf("%d letters, not %d", got, want)
	}
	if window := info.Config.Duplicates; window < 10*time.Minute {
		r.t.Fatalf("ids are forgotten after %s", window)
	}
}

func (r *rig) malformed() {
	r.t.Helper()
	w := r.work(4)
	foreign := r.event()
	foreign.Project = behalf.NewProjectID() // says another project than its subject does
	lie, err := json.Marshal(foreign)
	r.must(err)
	elsewhere := r.event()
	elsewhere.Environment = behalf.Production
	wrongWorld, err := json.Marshal(elsewhere)
	r.must(err)
	for what, data := range map[string]string{
		"no JSON": "{", "nothing": "", "another type": `[1]`, "null": "null", "another project": string(lie), "another environment": string(wrongWorld),
		"binary": "\x00\xff", "far too long": strings.Repeat("x", bus.MaxRecord+1000),
	} {
		s, err := subject.Event{Environment: Environment, Lane: behalf.Shared, Project: r.project, Workflow: Workflow}.Subject()
		r.must(err)
		_, err = r.js.Publish(r.t.Context(), s, []byte(data))
		r.must(err)
		d := r.take(w.Source)
		if d.Malformed == nil {
			r.t.Fatalf("%s counts as an event", what)
		}
		r.must(d.Bury(r.t.Context(), "worker-1", bus.ReasonMalformed, d.Malformed.Error()))
		l := r.letter(Workflow) // under the subject's project, whatever the message says
		if l.Reason != bus.ReasonMalformed || len(l.Original)+len(l.Raw) == 0 && data != "" {
			r.t.Fatalf("%s: the letter is %+v", what, l)
		}
		r.settled()
	}
}
