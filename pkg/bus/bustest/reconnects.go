package bustest

import (
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// What a connection, or a consumer, that ends does to the deliveries.

// reconnect cuts the connection and waits for the next one.
func (r *rig) reconnect() {
	r.t.Helper()
	before := r.conn.Reconnects()
	r.must(r.conn.NATS().ForceReconnect())
	r.eventually("the connection is found again", func() bool { return r.conn.Connected() && r.conn.Reconnects() > before })
}

func (r *rig) horizon() {
	r.t.Helper()
	before := r.publish(r.event()).Sequence
	late := r.another() // a bus that begins after the first event
	w := late.work(4)
	d := late.take(w.Source)
	if d.Sequence != before || !d.Seen || d.Deliveries > 1 {
		r.t.Fatalf("sequence %d, seen %v, deliveries %d", d.Sequence, d.Seen, d.Deliveries)
	}
	late.ack(d)
	after := r.publish(r.event()).Sequence
	d = late.take(w.Source)
	if d.Sequence != after || d.Seen {
		r.t.Fatalf("sequence %d, seen %v", d.Sequence, d.Seen)
	}
	late.ack(d)
	r.settled()
}

// stoodStill has a worker take nothing in and give no sign of life for a while, as one does that is stopped: what comes to
// it then may be another's by the time that it is read.
func (r *rig) stoodStill() {
	r.t.Helper()
	s := r.bus.Source(4) // nobody runs it
	r.must(s.Add(r.t.Context(), r.project))
	r.none(s, Layout().AckWait*3/4)
	seq := r.publish(r.event()).Sequence
	d := r.take(s)
	if d.Sequence != seq || !d.Seen || d.Deliveries != 1 {
		r.t.Fatalf("sequence %d, seen %v, deliveries %d", d.Sequence, d.Seen, d.Deliveries)
	}
	r.ack(d)
	r.settled()
}

func (r *rig) reconnected() {
	r.t.Helper()
	publisher := r.another()
	w := r.work(4)
	publisher.publish(r.event())
	r.eventually("it waits here for a slot", func() bool {
		return r.consumer(subject.Events(Environment), r.project).NumAckPending == 1
	})
	r.reconnect()
	d := r.take(w.Source)
	if !d.Seen {
		r.t.Fatal("a delivery of the connection before counts as new")
	}
	r.ack(d)
	var next *bus.Delivery
	r.eventually("a new event counts as new again", func() bool {
		publisher.publish(r.event())
		next = r.take(w.Source)
		r.ack(next)
		return !next.Seen
	})
	r.settled()
}

func (r *rig) consumerRemade() {
	r.t.Helper()
	w := r.work(4)
	r.publish(r.event())
	r.ack(r.take(w.Source))
	r.settled()
	durable, err := subject.SharedConsumer(r.project)
	r.must(err)
	r.must(r.js.DeleteConsumer(r.t.Context(), subject.Events(Environment), durable))
	seq := r.publish(r.event()).Sequence
	r.provision(r.project)
	d := r.take(w.Source)
	if d.Sequence != seq {
		r.t.Fatalf("sequence %d, want %d", d.Sequence, seq)
	}
	r.ack(d)
	r.settled()
}
