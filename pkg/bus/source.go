package bus

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Source is where a worker takes deliveries from: the shared lanes of every project of the environment, each with a
// fair share of at most twice the worker's slots.
type Source struct {
	bus   *Bus
	slots int

	mu      sync.Mutex
	pullers []*puller
	turn    int
	held    map[*Delivery]struct{}
	closed  bool
	empty   chan struct{} // closed when closed, and nothing is held or can still arrive

	beaten atomic.Int64 // when Run last had its turn, in monotonic nanoseconds

	ready chan struct{} // one token a queued delivery, so that Next can wait
	open  atomic.Int64  // inboxes at which something may still arrive
}

// Source makes the source of a worker with so many slots.
func (b *Bus) Source(slots int) *Source {
	s := &Source{
		bus: b, slots: slots, held: map[*Delivery]struct{}{}, empty: make(chan struct{}),
		ready: make(chan struct{}, 1<<20),
	}
	s.beaten.Store(int64(b.since(time.Now())))
	b.conn.OnReconnect(s.moved)
	return s
}

// Add takes from one more project. A project that is there already is left alone. Where its consumers have another
// AckWait than this bus was told, the log warns. Errors: Unavailable; NotFound, when
// the project's consumers have not been made.
func (s *Source) Add(ctx context.Context, project behalf.ProjectID) error {
	durable, err := subject.SharedConsumer(project)
	if err != nil {
		return err
	}
	for _, stream := range []struct {
		name   string
		timers bool
	}{{subject.Events(s.bus.env), false}, {subject.Timers(s.bus.env), true}} {
		if s.has(stream.name, durable) {
			continue
		}
		consumer, err := s.bus.js.Consumer(ctx, stream.name, durable)
		if err != nil {
			return fault.Wrap(notFoundOr(err, fault.Unavailable), "bus.Add", err)
		}
		s.bus.compareAckWait(stream.name, project, consumer.CachedInfo().Config.AckWait)
		if err := s.pull(stream.name, durable, stream.timers); err != nil {
			return err
		}
	}
	return nil
}

// compareAckWait warns where the server gives up on us at another time than we believe: sooner, and an event that is
// still run here is given to another worker as well; later, and one whose worker is lost waits needlessly.
func (b *Bus) compareAckWait(stream string, project behalf.ProjectID, there time.Duration) {
	if there == b.cfg.AckWait {
		return
	}
	b.log.Warn().Str("stream", stream).Str("project", string(project)).Dur("consumer_ack_wait", there).Dur("ack_wait", b.cfg.AckWait).
		Msg("the consumer has another AckWait than this worker: start the worker with --ack-wait " + there.String() +
			", or run `behalf provision --ack-wait " + b.cfg.AckWait.String() + "`")
}

// moved tells those who hold deliveries that the connection has changed.
func (s *Source) moved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range s.held {
		d.tellMoved()
	}
}

func (s *Source) has(stream, durable string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pullers {
		if p.stream == stream && p.durable == durable {
			return true
		}
	}
	return false
}

func (s *Source) pull(stream, durable string, timers bool) error {
	p, err := newPuller(s, stream, durable, timers)
	if err != nil {
		return err
	}
	s.adopt(p)
	return nil
}

// share is how much of one project may be here at a time: together twice the slots, and a quarter of it timers, but
// never less than one of each.
func (s *Source) share() (events, timers int) {
	projects := (len(s.pullers) + 1) / 2
	each := 2 * s.slots / projects
	timers = max(1, each/4)
	return max(1, each-timers), timers
}

func (s *Source) adopt(p *puller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = p.sub.Unsubscribe()
		return
	}
	s.pullers = append(s.pullers, p)
	now := time.Now()
	events, timers := s.share()
	for _, each := range s.pullers { // every share has become smaller
		if each.capacity = events; each.timers {
			each.capacity = timers
		}
		if each.asked > 0 && each.asked+each.inHand > each.capacity {
			each.renew()
		}
		each.fill(now)
	}
}

// stalled says that this process has stood still, or was starved, for so long that the server may have given away what it
// sent here meanwhile, and what lies unread on the connection looks as if it were new.
func (s *Source) stalled(now time.Time) bool {
	return s.bus.since(now)-time.Duration(s.beaten.Load()) > s.bus.cfg.AckWait/2
}

// Run keeps what is held alive and the pulls flowing until ctx ends; then it gives back what no slot has taken, and
// returns when every delivery in a slot is settled.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(min(s.bus.cfg.AckWait/6, time.Second))
	defer tick.Stop()
	s.beaten.Store(int64(s.bus.since(time.Now())))
	for {
		select {
		case <-ctx.Done():
			return s.drain(tick)
		case <-tick.C: // which may be long ago
			s.beat(time.Now())
			s.bus.keepHorizon(ctx)
		}
	}
}

func (s *Source) drain(tick *time.Ticker) error {
	s.close()
	for {
		select {
		case <-s.empty:
			return nil
		case <-tick.C:
			s.beat(time.Now())
		}
	}
}

// Next waits for a delivery, taking from the projects in turn. Errors: Canceled, when ctx ends.
func (s *Source) Next(ctx context.Context) (*Delivery, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Canceled, "bus.Next", ctx.Err())
		case <-s.ready:
		}
		if d := s.pop(); d != nil {
			if !d.Seen && d.stamp.Load() != s.bus.conn.Reconnects() { // it waited here over a reconnect
				d.Seen = true
				s.bus.metrics.redeliver.WithLabelValues("reconnected").Inc()
			}
			return d, nil
		}
	}
}

func (s *Source) pop() *Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pullers {
		p := s.pullers[(s.turn+i)%len(s.pullers)]
		if len(p.queue) == 0 {
			continue
		}
		d := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		s.turn = (s.turn + i + 1) % len(s.pullers)
		return d
	}
	return nil
}

func (s *Source) push(d *Delivery) {
	if !s.enqueue(d) {
		_ = d.Nak(0) // we are leaving: somebody else takes it
		return
	}
	select {
	case s.ready <- struct{}{}:
	default: // a million wait already, which no share allows
	}
}

func (s *Source) enqueue(d *Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.puller.received(d.msg.Sub, d.queued)
	if s.closed {
		return false
	}
	s.held[d] = struct{}{}
	d.puller.queue = append(d.puller.queue, d)
	d.puller.inHand++
	return true
}

func (s *Source) release(d *Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.held[d]; !ok {
		return
	}
	delete(s.held, d)
	d.puller.inHand--
	if s.closed {
		s.left()
		return
	}
	d.puller.fill(time.Now())
}

// left closes empty once nothing is held and nothing can arrive any more: what the server sent before it knew that we
// leave has to be given back, or nobody has it until AckWait is over. The caller holds the lock.
func (s *Source) left() {
	if !s.closed || len(s.held) > 0 || s.open.Load() > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// beat sends signs of life, gives back what has waited too long for a slot, and revives pulls that have stalled.
func (s *Source) beat(now time.Time) {
	if s.stalled(now) {
		s.bus.forgetHorizon() // first: until it is read again, everything counts as seen
	}
	s.beaten.Store(int64(s.bus.since(now)))
	silent, back := s.due(now)
	for _, d := range silent {
		d.inProgress(now)
	}
	for _, d := range back {
		d.giveBack()
	}
}

func (s *Source) due(now time.Time) (silent, back []*Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pullers {
		back = append(back, p.overdue(now.Add(-s.bus.cfg.GiveBack))...)
		if !s.closed {
			p.watch(now)
		}
	}
	for d := range s.held {
		if d.silentFor(now) > s.bus.cfg.AckWait/3 {
			silent = append(silent, d)
		}
	}
	return silent, back
}

func (s *Source) close() {
	for _, d := range s.shut() {
		d.giveBack()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left()
}

// shutInbox hears that the last of an inbox was handed over.
func (s *Source) shutInbox() {
	s.open.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left()
}

func (s *Source) shut() []*Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var queued []*Delivery
	for _, p := range s.pullers {
		_ = p.sub.Drain() // what is on its way here is given back too
		queued = append(queued, p.queue...)
		p.queue = nil
	}
	return queued
}
