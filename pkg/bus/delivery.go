package bus

import (
	"context"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Delivery is one handing over of an event, or of a timer that has become due, to this worker. Exactly one of Ack, Nak,
// Bury and Release ends it; Release after another does nothing, so it may stand in a defer.
type Delivery struct {
	Event behalf.Event
	// Sequence of the event in its stream. A run belongs to one event.
	Sequence uint64
	// Reply is where the result is awaited. Empty where nobody waits.
	Reply string
	// Seen says that the event may have been handled before, so the journal must be read first.
	Seen bool
	// Deliveries is how often the server has handed it over, as far as it knows.
	Deliveries uint64
	// Resume is set on a timer that ends a run's wait.
	Resume *Resume
	// Malformed says why the message is no event of ours. Event is then not to be used.
	Malformed error

	source *Source
	puller *puller
	msg    *nats.Msg
	queued time.Time
	stamp  atomic.Uint64 // the connection on which it came, or was last confirmed
	lapsed atomic.Bool   // the server had none for longer than AckWait, and nobody has asked the journal since
	moved  atomic.Pointer[func()]
	// sure is when the event was last certainly ours, in monotonic nanoseconds, and recorded, that the journal said so.
	sure     atomic.Int64
	recorded atomic.Bool
	sign     atomic.Int64 // when the server last had a sign of life from us, in monotonic nanoseconds
}

// Resume is a run that goes on after a wait.
type Resume struct {
	// Token is the sequence of the wait record that this ends. Where it is not the run's last record, somebody else
	// went on already.
	Token uint64
	// State of the run as it was handed over.
	State []byte
}

func newDelivery(s *Source, p *puller, m *nats.Msg) *Delivery {
	d := &Delivery{source: s, puller: p, msg: m, queued: time.Now(), Reply: m.Header.Get(headerReply)}
	d.stamp.Store(s.bus.conn.Reconnects())
	d.sure.Store(int64(s.bus.since(d.queued)))
	d.alive(d.queued)
	meta, err := m.Metadata()
	if err != nil {
		d.Malformed = fault.Wrap(fault.Internal, "bus.delivery", err)
		return d
	}
	d.Sequence = meta.Sequence.Stream
	d.Deliveries = meta.NumDelivered
	if cause := s.bus.seen(p, m, meta); cause != "" {
		d.Seen = true
		s.bus.metrics.redeliver.WithLabelValues(cause).Inc()
	}
	if p.timers {
		d.Malformed = d.readTimer()
		return d
	}
	if d.Malformed = json.Unmarshal(m.Data, &d.Event); d.Malformed == nil {
		d.Malformed = d.checkSubject()
	}
	return d
}

// seen names the reason why a message may have been handled before, or nothing.
func (b *Bus) seen(p *puller, m *nats.Msg, meta *nats.MsgMetadata) string {
	h := b.horizon.Load()
	switch {
	case meta.NumDelivered > 1:
		return "redelivered"
	case h == nil || h.stamp != b.conn.Reconnects():
		return "reconnected"
	case p.source.stalled(time.Now()):
		return "stalled"
	case !p.timers && meta.Sequence.Stream <= h.events, p.timers && meta.Sequence.Stream <= h.timers:
		return "horizon"
	case m.Header.Get(headerRepeat) != "":
		return "repeated"
	case m.Header[headerReplay] != nil:
		return "replayed"
	}
	return ""
}

// checkSubject refuses an event whose words differ from the subject it came on: only the subject is guarded by
// permissions.
func (d *Delivery) checkSubject() error {
	s, err := subject.ParseEvent(d.msg.Subject)
	if err != nil {
		return err
	}
	e := d.Event
	if e.Environment != s.Environment || e.Environment != d.source.bus.env || e.Project != s.Project || e.Workflow != s.Workflow {
		return fault.New(fault.Invalid, "bus.delivery", "the event and its subject differ")
	}
	return nil
}

func (d *Delivery) readTimer() error {
	d.Seen = true // a resume always asks the journal
	token, err := strconv.ParseUint(d.msg.Header.Get(headerResume), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "bus.delivery", "a timer without the sequence it resumes")
	}
	s, err := subject.ParseFired(d.msg.Subject)
	if err != nil {
		return err
	}
	d.Event.Environment, d.Event.Project, d.Event.Workflow = d.source.bus.env, s.Project, s.Workflow
	d.Resume = &Resume{Token: token, State: d.msg.Data}
	return nil
}

// Lease is how long a worker that has just claimed an event is taken to be alive: whoever is given it within that time
// leaves it alone. An event of which the server hears nothing comes again after twice as long.
func (d *Delivery) Lease() time.Duration { return d.source.bus.cfg.AckWait / 2 }

// Moved says that another worker may have the event, whatever its own does: the connection on which it came is gone, and
// a server that was killed may have forgotten to whom it gave it; or the server had no sign of life from us for so long
// that it gives it away. The journal must be asked.
func (d *Delivery) Moved() bool {
	conn := d.source.bus.conn
	return d.stamp.Load() != conn.Reconnects() || !conn.Connected() || d.lapsed.Load() || d.silentFor(time.Now()) > d.source.bus.cfg.AckWait
}

// Doubtful says that so much time has passed since the event was certainly ours that another worker may have it, where the
// server heard nothing from us. The journal must be asked before a step begins.
func (d *Delivery) Doubtful() bool { return d.sureFor() > d.Lease() || d.Moved() }

// Confirm tells that the journal has just taken a record, so the event is certainly ours.
func (d *Delivery) Confirm() {
	d.sure.Store(int64(d.source.bus.since(time.Now())))
	d.recorded.Store(true)
}

func (d *Delivery) sureFor() time.Duration {
	return d.source.bus.since(time.Now()) - time.Duration(d.sure.Load())
}

// Leave gives the event back because this worker leaves: at once, or, where the journal has a fresh record of ours, when
// nobody takes us to be alive any more.
func (d *Delivery) Leave() error {
	if !d.recorded.Load() {
		return d.Nak(0)
	}
	return d.Nak(max(0, d.Lease()-d.sureFor()))
}

// Refresh asks the journal, by claim, whether the run is still ours, and where it is, takes the connection of now for
// the event's own and tells the server that we are here. Errors are those of claim.
func (d *Delivery) Refresh(claim func() error) error {
	stamp := d.source.bus.conn.Reconnects() // before: it must not miss one that comes in between
	if err := claim(); err != nil {
		return err
	}
	d.stamp.Store(stamp)
	d.Confirm()
	d.inProgress(time.Now())
	d.lapsed.Store(false)
	return nil
}

// OnMoved has f called, on a goroutine of its own, each time that Moved may have become true. Nil ends that; a call may
// still be under way then.
func (d *Delivery) OnMoved(f func()) {
	if f == nil {
		d.moved.Store(nil)
		return
	}
	d.moved.Store(&f)
}

func (d *Delivery) tellMoved() {
	if f := d.moved.Load(); f != nil {
		go (*f)()
	}
}

// Raw is the message as it came.
func (d *Delivery) Raw() []byte { return d.msg.Data }

// Ack ends the delivery: the event is done. Errors: Unavailable, when the server was not told; the event will come
// again and find its record.
func (d *Delivery) Ack(context.Context) error { return d.settle("+ACK") }

// Nak gives the event back, to be delivered again after the delay. The delay must be short: meanwhile the event counts
// among those that the lane may have in flight.
func (d *Delivery) Nak(delay time.Duration) error {
	return d.settle(`-NAK {"delay":` + strconv.FormatInt(delay.Nanoseconds(), 10) + `}`)
}

// giveBack gives the event to whoever has a slot. One that the server may have given away already is left alone: the
// server would take it from its new holder.
func (d *Delivery) giveBack() {
	if d.lapsed.Load() || d.silentFor(time.Now()) > d.source.bus.cfg.AckWait {
		d.Release()
		return
	}
	_ = d.Nak(0)
}

// Term ends the delivery for ever. What it carried must lie somewhere else by now.
func (d *Delivery) Term() error { return d.settle("+TERM") }

// Release ends our hold without a word: another attempt owns the run.
func (d *Delivery) Release() { d.source.release(d) }

func (d *Delivery) settle(word string) error {
	defer d.source.release(d)
	return fault.Wrap(fault.Unavailable, "bus.settle", d.source.bus.conn.nc.Publish(d.msg.Reply, []byte(word)))
}

func (d *Delivery) inProgress(now time.Time) {
	if d.silentFor(now) > d.source.bus.cfg.AckWait && !d.lapsed.Swap(true) {
		d.tellMoved()
	}
	if err := d.source.bus.conn.nc.Publish(d.msg.Reply, []byte("+WPI")); err == nil {
		d.alive(now)
	}
}

func (d *Delivery) alive(now time.Time) { d.sign.Store(int64(d.source.bus.since(now))) }

func (d *Delivery) silentFor(now time.Time) time.Duration {
	return d.source.bus.since(now) - time.Duration(d.sign.Load())
}
