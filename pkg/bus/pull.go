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
	p := &puller{source: s, stream: stream, durable: durable, timers: timers, inbox: s.bus.conn.nc.NewInbox()}
	sub, err := s.bus.conn.nc.Subscribe(p.inbox, p.receive)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "bus.pull", err)
	}
	p.sub = sub
	return p, nil
}

// receive runs on the subscription's goroutine and never blocks.
func (p *puller) receive(m *nats.Msg) {
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		p.status(status, m.Header)
		return
	}
	p.source.push(newDelivery(p.source, p, m))
}

// received counts one of the asked. The caller holds the lock.
func (p *puller) received(now time.Time) {
	p.asked = max(0, p.asked-1)
	p.heard = now
}

const (
	pullExpires     = 30 * time.Second
	statusHeartbeat = "100"
)

// status hears how a request ended, with what it left unserved.
func (p *puller) status(status string, h nats.Header) {
	p.source.mu.Lock()
	defer p.source.mu.Unlock()
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
	if !p.source.closed && status != "503" { // 503: no such consumer or no JetStream; the watchdog asks again
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
	lost := p.asked > 0 && (p.stamp != p.source.bus.conn.Reconnects() || now.Sub(p.heard) > p.source.bus.cfg.Heartbeat*5/2)
	if lost {
		p.source.bus.metrics.stalls.Inc()
		p.asked = 0
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
