package bustest

import (
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// What is delivered, how often and to whom.

func (r *rig) redelivered() {
	r.t.Helper()
	w := r.work(4)
	seq := r.publish(r.event()).Sequence
	again := func(d *bus.Delivery) {
		r.t.Helper()
		if d.Sequence != seq || !d.Seen || d.Deliveries < 2 {
			r.t.Fatalf("sequence %d, seen %v, deliveries %d", d.Sequence, d.Seen, d.Deliveries)
		}
	}
	d := r.take(w.Source)
	r.must(d.Nak(0))
	d.Release() // after another end it does nothing
	d = r.take(w.Source)
	again(d)
	d.Release() // let go without a word: it comes when AckWait is over
	start := time.Now()
	d = r.take(w.Source)
	again(d)
	if waited := time.Since(start); waited < Layout().AckWait/4 {
		r.t.Fatalf("it came again after %s already", waited)
	}
	r.ack(d)
	r.settled()
}

func (r *rig) held() {
	r.t.Helper()
	w := r.work(4)
	r.publish(r.event())
	d := r.take(w.Source)
	r.none(w.Source, 3*Layout().AckWait)
	if d.Moved() {
		r.t.Fatal("a delivery with signs of life counts as moved")
	}
	if n := r.consumer(subject.Events(Environment), r.project).NumRedelivered; n != 0 {
		r.t.Fatalf("%d were delivered again", n)
	}
	r.ack(d)
	r.settled()
}

func (r *rig) givenBack() {
	r.t.Helper()
	cfg := Config()
	cfg.GiveBack = Layout().AckWait / 4
	busy := &rig{t: r.t, open: r.open, project: r.project}
	busy.connect(cfg)
	busy.work(1) // whose slot never takes
	seq := r.publish(r.event()).Sequence
	r.eventually("the busy worker has it", func() bool {
		return r.consumer(subject.Events(Environment), r.project).NumAckPending == 1
	})
	idle := r.another()
	d := idle.take(idle.work(1).Source)
	if d.Sequence != seq || d.Deliveries < 2 {
		r.t.Fatalf("sequence %d, deliveries %d", d.Sequence, d.Deliveries)
	}
	idle.ack(d)
	r.settled()
}

func (r *rig) fair() {
	r.t.Helper()
	const slots = 4
	quiet := r.event()
	quiet.Project = behalf.NewProjectID()
	r.provision(quiet.Project)
	w := r.work(slots, quiet.Project)
	for range 500 {
		r.publish(r.event())
	}
	r.publish(quiet)
	r.eventually("the quiet project's event is here", func() bool {
		return r.consumer(subject.Events(Environment), quiet.Project).NumAckPending == 1
	})
	for n := 1; ; n++ {
		d := r.take(w.Source)
		if d.Event.Project == quiet.Project {
			r.ack(d)
			return
		}
		if n > slots {
			r.t.Fatalf("the quiet project's event is not among the first %d of 501", n)
		}
	}
}

func (r *rig) prefetch() {
	r.t.Helper()
	const slots = 4
	other := behalf.NewProjectID()
	r.provision(other)
	fetched := func() (n int) {
		for _, project := range []behalf.ProjectID{r.project, other} {
			n += r.consumer(subject.Events(Environment), project).NumAckPending + r.consumer(subject.Timers(Environment), project).NumAckPending
		}
		return n
	}
	// The server may serve what was asked after an acknowledgement before it has counted that one. Nothing else is
	// acknowledged while this waits, so too many would stay too many.
	within := func() {
		r.eventually("no more are fetched than twice the slots", func() bool { return fetched() <= 2*slots })
	}
	w := r.work(slots) // asks for the whole share, of which the next leaves it half
	inboxes := r.conn.NATS().NumSubscriptions()
	r.must(w.Add(r.t.Context(), other))
	r.eventually("the inboxes of larger shares are left", func() bool { return r.conn.NATS().NumSubscriptions() == inboxes+2 })
	r.reconnect() // what the connection before asked for must not come on top
	for range 60 {
		e := r.event()
		r.publish(e)
		e = r.event()
		e.Project = other
		r.publish(e)
	}
	r.eventually("some are fetched", func() bool { return fetched() > 0 })
	for range 120 {
		d := r.take(w.Source)
		within()
		r.ack(d)
	}
	r.settled()
}

func (r *rig) drained() {
	r.t.Helper()
	w := r.work(4)
	for range 3 {
		r.publish(r.event())
	}
	held := r.take(w.Source)
	r.eventually("the rest waits for a slot", func() bool {
		return r.consumer(subject.Events(Environment), r.project).NumAckPending == 3
	})
	w.leave()
	heir := r.another()
	next := heir.work(4)
	start := time.Now()
	for range 2 {
		d := heir.take(next.Source)
		if d.Sequence == held.Sequence {
			r.t.Fatal("what is in a slot was given back")
		}
		heir.ack(d)
	}
	if waited := time.Since(start); waited >= 10*Layout().AckWait {
		r.t.Fatalf("it took %s to give back", waited)
	}
	select {
	case err := <-w.over:
		r.t.Fatal("it left with a delivery in hand: ", err)
	default:
	}
	heir.none(next.Source, 2*Layout().AckWait) // still held, with signs of life
	r.ack(held)
	r.must(<-w.over)
	w.over <- nil // for the clean-up
	r.settled()
}

func (r *rig) noConsumers() {
	r.t.Helper()
	w := r.work(1)
	r.kind(w.Add(r.t.Context(), behalf.NewProjectID()), fault.NotFound)
	r.kind(w.Add(r.t.Context(), "proj_a.b"), fault.Invalid)
	r.must(w.Add(r.t.Context(), r.project)) // once more
}
