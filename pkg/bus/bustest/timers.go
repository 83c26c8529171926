package bustest

import (
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// What comes back later.

func (r *rig) timer(run behalf.RunID, token uint64, in time.Duration) {
	r.t.Helper()
	r.must(r.bus.SetTimer(r.t.Context(), bus.Timer{
		Run: run, Project: r.project, Workflow: Workflow, Lane: behalf.Shared, At: time.Now().Add(in), Token: token,
		State: []byte(`{"v":1}`),
	}))
}

// fired takes a timer and checks its token.
func (r *rig) fired(w *worker, token uint64) {
	r.t.Helper()
	d := r.take(w.Source)
	if d.Malformed != nil || d.Resume == nil || d.Resume.Token != token || string(d.Resume.State) != `{"v":1}` {
		r.t.Fatalf("the delivery is %+v, its resume %+v", d, d.Resume)
	}
	if !d.Seen || d.Event.Project != r.project || d.Event.Workflow != Workflow || d.Event.Environment != Environment {
		r.t.Fatalf("seen %v, of %s/%s in %s", d.Seen, d.Event.Project, d.Event.Workflow, d.Event.Environment)
	}
	r.ack(d)
}

func (r *rig) timerFires() {
	r.t.Helper()
	w := r.work(4)
	r.timer(behalf.NewRunID(), 7, -time.Hour) // at once
	r.fired(w, 7)
	due := time.Now().Add(Layout().AckWait)
	r.timer(behalf.NewRunID(), 8, Layout().AckWait)
	r.fired(w, 8)
	if early := time.Until(due); early > 50*time.Millisecond {
		r.t.Fatalf("it fired %s too early", early)
	}
	r.none(w.Source, Layout().AckWait) // acked timers do not fire again
}

func (r *rig) timerReplaced() {
	r.t.Helper()
	w, run := r.work(4), behalf.NewRunID()
	r.timer(run, 1, Layout().AckWait)
	r.timer(run, 2, 2*Layout().AckWait)
	r.fired(w, 2)
	r.none(w.Source, Layout().AckWait)
}

func (r *rig) timerCanceled() {
	r.t.Helper()
	w, run := r.work(4), behalf.NewRunID()
	r.timer(run, 1, Layout().AckWait)
	r.must(r.bus.CancelTimer(r.t.Context(), r.project, run))
	r.must(r.bus.CancelTimer(r.t.Context(), r.project, run)) // once more is no error
	r.none(w.Source, 2*Layout().AckWait)
	r.eventually("no timer is left", func() bool {
		info := r.consumer(subject.Timers(Environment), r.project)
		return info.NumPending == 0 && info.NumAckPending == 0
	})
}
