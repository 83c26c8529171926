package bus

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// puller asks one durable consumer for as many deliveries as there is room for.
//
// It speaks the pull protocol itself, for two things that the client library does not give: a delivery must show signs
// of life from the moment it reaches this process, also while it waits for a slot, and what is asked for must never be
// more than there is room for. Its fields are guarded by the lock of its source.
type puller struct {
	source  *Source
	stream  string
	durable string
	timers  bool
	sub     *nats.Subscription
	inbox   string

	capacity int
	inHand   int         // received and not settled
	asked    int         // asked for and not yet received
	heard    time.Time   // the last message or heartbeat
	stamp    uint64      // the connection on which was asked
	queue    []*Delivery // waiting for a slot, oldest first
}

func newPuller(s *Source, stream, durable string, timers bool) (*puller, error) {
	p := &puller{source: s, stream: stream, durable: durable, timers: timers}
	return p, fault.Wrap(fault.Unavailable, "bus.pull", p.open())
}

// open makes a fresh inbox to be served at.
func (p *puller) open() error {
	inbox := p.source.bus.conn.nc.NewInbox()
	sub, err := p.source.bus.conn.nc.Subscribe(inbox, p.receive)
	if err == nil {
		p.sub, p.inbox, p.asked = sub, inbox, 0
		p.source.open.Add(1)
		sub.SetClosedHandler(func(string) { p.source.shutInbox() })
	}
	return err
}

// renew leaves the inbox for a fresh one. The server keeps a request as long as somebody listens at its inbox, over
// reconnects too, so what was asked there would come on top of what is asked anew. The caller holds the lock.
func (p *puller) renew() {
	old := p.sub
	if err := p.open(); err == nil {
		_ = old.Drain() // what has come already is still handed over
	}
}

// receive runs on the subscription's goroutine and never blocks.
func (p *puller) receive(m *nats.Msg) {
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		p.status(m.Sub, status, m.Header)
		return
	}
	p.source.push(newDelivery(p.source, p, m))
}

// received counts one of the asked. The caller holds the lock.
func (p *puller) received(sub *nats.Subscription, now time.Time) {
	if sub == p.sub { // not of an inbox that was left
		p.asked = max(0, p.asked-1)
	}
	p.heard = now
}

const (
	pullExpires     = 30 * time.Second
	statusHeartbeat = "100"
	statusNone      = "404"
	statusExpired   = "408"
)

// status hears how a request ended, with what it left unserved.
func (p *puller) status(sub *nats.Subscription, status string, h nats.Header) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
	if sub != p.sub {
		return
	}
	now := time.Now()
	p.heard = now
	if status == statusHeartbeat {
		return
	}
	left, err := strconv.Atoi(h.Get("Nats-Pending-Messages"))
	if err != nil {
		left = p.asked
	}
	p.asked = max(0, p.asked-left)
	// A request that only ran out is asked again at once. After a refusal (too many requests, no such consumer, no
	// leader) the watchdog asks again, at its own pace.
	if !p.source.closed && (status == statusExpired || status == statusNone) {
		p.fill(now)
	}
}

// fill asks for what there is room for, in few requests: only when half of the share is free, or nothing is asked. The
// caller holds the lock.
func (p *puller) fill(now time.Time) {
	room := p.capacity - p.inHand - p.asked
	if room <= 0 || p.asked > 0 && room < max(1, p.capacity/2) {
		return
	}
	request, _ := json.Marshal(map[string]any{"batch": room, "expires": pullExpires, "idle_heartbeat": p.source.bus.cfg.Heartbeat})
	name := "$JS.API.CONSUMER.MSG.NEXT." + p.stream + "." + p.durable
	if err := p.source.bus.conn.nc.PublishRequest(name, p.inbox, request); err != nil {
		return // not connected; the watchdog asks again
	}
	if p.asked == 0 {
		p.heard = now
	}
	p.asked += room
	p.stamp = p.source.bus.conn.Reconnects()
}

// watch makes a pull anew that has gone silent, or that a connection before this one asked for. The caller holds the
// lock.
func (p *puller) watch(now time.Time) {
	if !p.source.bus.conn.Connected() {
		return
	}
	lost := p.asked > 0 && (p.stamp != p.source.bus.conn.Reconnects() || now.Sub(p.heard) > p.source.bus.cfg.Heartbeat*5/2)
	if lost {
		p.source.bus.metrics.stalls.Inc()
		p.source.bus.forgetHorizon() // the stream may have another leader, which knows less
		p.renew()
	}
	p.fill(now)
}

// overdue takes out of the queue what has waited since before the time. The caller holds the lock.
func (p *puller) overdue(before time.Time) []*Delivery {
	n := 0
	for n < len(p.queue) && p.queue[n].queued.Before(before) {
		n++
	}
	late := p.queue[:n:n]
	p.queue = p.queue[n:]
	return late
}

func notFoundOr(err error, other fault.Kind) fault.Kind {
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return fault.NotFound
	}
	return other
}
