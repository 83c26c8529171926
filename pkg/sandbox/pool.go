// Package sandbox runs other people's code in child processes: it starts them as locked in as the machine allows, talks
// to them in typed, bounded frames on a descriptor of their own, and ends them with all that they started.
//
// It never runs two runs at once in one process, never gives a process to a second key, never reuses one after a run
// that was cut short, and never believes what a process says. It never writes a secret to an argument, an environment,
// a file or a log.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Pool keeps warm guests: blank ones, and those bound to a key.
type Pool struct {
	cfg      Config
	log      zerolog.Logger
	launcher launcher
	refusal  error // why there are no guests at all
	refill   chan struct{}

	mu      sync.Mutex
	blanks  []*guest
	idle    []idleGuest       // bound, with nothing to do; the longest idle first
	bound   map[Key]int       // how many each key has, busy and idle
	freed   map[Key]time.Time // when one of the key's guests last became free
	waiting map[Key][]*waiter // who waits for one, the longest first
	total   int               // of all keys
	start   int               // of those, how many are being started
	busy    int
	closed  bool
	quiet   chan struct{} // closed when the pool is closed and no guest is busy
}

type idleGuest struct {
	*guest
	since time.Time
}

// New finds Node and probes what the machine allows by starting it. It never fails: where there is no Node, or an old
// one, every Do is refused with what to type, and Refusal says so. ctx bounds the probe.
func New(ctx context.Context, cfg Config, log zerolog.Logger) *Pool {
	cfg = cfg.withDefaults()
	l, err := newLauncher(ctx, cfg)
	return newPool(cfg, l, err, log)
}

func newPool(cfg Config, l launcher, refusal error, log zerolog.Logger) *Pool {
	p := &Pool{
		cfg: cfg, launcher: l, refusal: refusal, log: log.With().Str("component", "sandbox").Logger(),
		refill: make(chan struct{}, 1), bound: map[Key]int{}, freed: map[Key]time.Time{}, waiting: map[Key][]*waiter{}, quiet: make(chan struct{}),
	}
	if refusal != nil {
		p.log.Warn().Err(refusal).Msg("node steps are refused")
		return p
	}
	p.log.Info().Str("tier", string(l.tier)).Str("why", l.why).Msg("guests can be started")
	return p
}

// Tier is how much guests are kept from the rest of the machine. Empty where there are none.
func (p *Pool) Tier() Tier { return p.launcher.tier }

// Refusal says why no guest can be started here, and what to type. Nil where guests can.
func (p *Pool) Refusal() error { return p.refusal }

// Do runs a job in a guest of its key, and waits for one where all are busy.
//
// The job's timeout ends the run and its guest: that is Reply.Cut. So does the end of ctx, with an error of kind
// Canceled. Every other error means that the run never began: kind Exhausted where no guest became free in WaitTimeout,
// kind Unavailable where none could start, and whatever the job's Begin says.
func (p *Pool) Do(ctx context.Context, job Job) (Reply, error) {
	const op = "sandbox.Do"
	if p.refusal != nil {
		return Reply{}, p.refusal
	}
	g, err := p.ready(ctx, job)
	if err != nil {
		return Reply{}, err
	}
	defer p.release(g, job.Key)
	if job.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, job.Timeout)
		defer cancel()
	}
	reply, err := g.do(ctx, job)
	if err != nil {
		g.close()
		return Reply{}, unavailable(ctx, op, err)
	}
	return reply, nil
}

// ready takes a guest and lets the job begin.
func (p *Pool) ready(ctx context.Context, job Job) (*guest, error) {
	g, err := p.within(ctx, job.Key)
	if err != nil {
		return nil, unavailable(ctx, "sandbox.Do", err)
	}
	if err := job.begin(ctx); err != nil {
		p.release(g, job.Key)
		return nil, err
	}
	if !g.spent() {
		return g, nil
	}
	p.release(g, job.Key) // it died meanwhile, which is not the run's doing
	g, err = p.within(ctx, job.Key)
	if err != nil {
		return nil, unavailable(ctx, "sandbox.Do", err)
	}
	return g, nil
}

func unavailable(ctx context.Context, op string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.Wrap(fault.Canceled, op, err)
	case errors.Is(err, errBusy):
		return fault.Wrap(fault.Exhausted, op, err)
	}
	return fault.Wrap(fault.Unavailable, op, err)
}

// errBusy ends the wait for a guest.
var errBusy = errors.New("no guest became free in time")

// within takes a guest of the key, waiting no longer than the pool's patience.
func (p *Pool) within(ctx context.Context, key Key) (*guest, error) {
	if g := p.warm(key); g != nil {
		return g, nil
	}
	waiting, cancel := context.WithTimeoutCause(ctx, p.cfg.WaitTimeout, errBusy)
	defer cancel()
	return p.acquire(ctx, waiting, key)
}

// warm takes an idle guest of the key, where there is one, without a wait.
func (p *Pool) warm(key Key) *guest {
	p.mu.Lock()
	g := p.takeIdle(key)
	p.mu.Unlock()
	if g == nil || g.fit() {
		return g
	}
	g.close()
	p.free(key)
	return nil
}

// takeIdle takes the idle guest of the key that was busy last: it has the warmest caches. The lock is held.
func (p *Pool) takeIdle(key Key) *guest {
	for i, idle := range slices.Backward(p.idle) {
		if idle.key == key {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.busy++
			return idle.guest
		}
	}
	return nil
}

// acquire takes a guest of the key: the one that was busy last, else a new one where there is a place for it and reason
// enough, else the next that becomes free. Who waits longest is served first. The wait ends with waiting; a start, which
// has a time of its own, with ctx.
func (p *Pool) acquire(ctx, waiting context.Context, key Key) (*guest, error) {
	for {
		t, err := p.take(key)
		if err == nil && t.turn != nil {
			t, err = p.wait(waiting, key, t.turn)
		}
		if t.evicted != nil {
			t.evicted.close()
		}
		switch {
		case err != nil:
			return nil, err
		case t.place:
			return p.bind(ctx, key)
		case t.guest.fit():
			return t.guest, nil
		}
		t.guest.close() // it misbehaved, or died, after its last run
		p.free(key)
	}
}

// waiter is one that waits for a guest of its key.
type waiter struct {
	guest chan *guest   // has room for the one that is handed over
	look  chan struct{} // there may be a place
}

func (w *waiter) tell() {
	select {
	case w.look <- struct{}{}:
	default: // it has been told
	}
}

// wait waits for a guest to be handed over, or for a place of one's own.
func (p *Pool) wait(ctx context.Context, key Key, w *waiter) (taken, error) {
	tick := time.NewTicker(p.cfg.GrowAfter)
	defer tick.Stop()
	for {
		select {
		case g := <-w.guest:
			return taken{guest: g}, nil
		case <-w.look:
		case <-tick.C:
		case <-ctx.Done():
			if g := p.leave(key, w); g != nil { // it came in the same moment
				p.release(g, key)
			}
			return taken{}, fmt.Errorf("wait for a free guest: %w", context.Cause(ctx))
		}
		if t, over, err := p.again(key, w); over {
			return t, err
		}
	}
}

// again looks whether one who waits may stop waiting.
func (p *Pool) again(key Key, w *waiter) (t taken, over bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !slices.Contains(p.waiting[key], w):
		return taken{guest: <-w.guest}, true, nil
	case p.closed:
		p.drop(key, w)
		return taken{}, true, errClosed
	}
	if t.place, t.evicted = p.place(key); t.place {
		p.drop(key, w)
	}
	return t, t.place, nil
}

// leave takes a waiter out of the queue, with the guest that it was given just now, if it was.
func (p *Pool) leave(key Key, w *waiter) *guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.waiting[key], w) {
		p.drop(key, w)
		return nil
	}
	return <-w.guest
}

// drop takes a waiter out of the queue. The lock is held.
func (p *Pool) drop(key Key, w *waiter) {
	p.waiting[key] = slices.DeleteFunc(p.waiting[key], func(other *waiter) bool { return other == w })
	if len(p.waiting[key]) == 0 {
		delete(p.waiting, key)
	}
}

// taken is what the pool could give: a guest, or a place for one, or a turn to wait for.
type taken struct {
	guest   *guest
	place   bool
	turn    *waiter
	evicted *guest // to be closed
}

var errClosed = errors.New("the pool is closed")

func (p *Pool) take(key Key) (taken, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return taken{}, errClosed
	}
	var t taken
	if t.guest = p.takeIdle(key); t.guest != nil {
		return t, nil
	}
	if t.place, t.evicted = p.place(key); t.place {
		return t, nil
	}
	t.turn = &waiter{guest: make(chan *guest, 1), look: make(chan struct{}, 1)}
	p.waiting[key] = append(p.waiting[key], t.turn)
	return t, nil
}

// place takes a place for one more guest of the key, where there is one, or can be made. The lock is held.
func (p *Pool) place(key Key) (ok bool, evicted *guest) {
	if !p.grows(key) {
		return false, nil
	}
	if p.total >= p.cfg.Max {
		evicted = p.evict(key)
	}
	if p.total >= p.cfg.Max {
		return false, nil
	}
	p.total++
	p.bound[key]++
	p.busy++
	p.start++
	return true, evicted
}

// evict takes out the idle guest that another key can spare: of a key that has none, nobody but the longest idle; else
// one of a key that has still as many when it has given one away, so that two keys do not take from each other in turn.
// The lock is held.
func (p *Pool) evict(key Key) *guest {
	for i, idle := range p.idle {
		if n := p.bound[key]; n == 0 || p.bound[idle.key] > n+1 || time.Since(idle.since) > p.cfg.IdleTimeout/10 {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.forget(idle.key)
			return idle.guest
		}
	}
	return nil
}

// grows says whether a key may have one more guest, and has reason to. To start one is work for a processor: many at once
// would all take long, and keep those from their work that are there. The lock is held.
func (p *Pool) grows(key Key) bool {
	switch n := p.bound[key]; {
	case n >= p.cfg.MaxPerKey, p.start >= p.cfg.Eager:
		return false
	case n < p.cfg.Eager:
		return true
	}
	return time.Since(p.freed[key]) >= p.cfg.GrowAfter
}

// bind gives a blank guest to the key, or starts one. Where it cannot, the place is free again.
func (p *Pool) bind(ctx context.Context, key Key) (*guest, error) {
	defer p.started(key)
	g := p.takeBlank()
	for g != nil && !g.fit() { // it died while it waited
		g.close()
		g = p.takeBlank()
	}
	if g != nil {
		g.key = key
		return g, nil
	}
	g, err := startGuest(ctx, p.launcher, p.cfg)
	if err != nil {
		p.free(key)
		return nil, err
	}
	g.key = key
	return g, nil
}

// started lets the next guest be started. The key's latest counts as one that became free: it may do for those that wait.
func (p *Pool) started(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start--
	if p.bound[key] > 0 {
		p.freed[key] = time.Now()
	}
}

func (p *Pool) takeBlank() *guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.blanks) == 0 {
		return nil
	}
	g := p.blanks[0]
	p.blanks = slices.Delete(p.blanks, 0, 1)
	select {
	case p.refill <- struct{}{}:
	default:
	}
	return g
}

// release takes a guest back after its run.
func (p *Pool) release(g *guest, key Key) {
	if !g.spent() && p.keep(g) {
		return
	}
	g.close()
	p.free(key)
}

// keep hands a guest to whoever waits longest for one of its key, else puts it among the idle ones. It does not where
// the pool is closed.
func (p *Pool) keep(g *guest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	now := time.Now()
	p.freed[g.key] = now
	if queue := p.waiting[g.key]; len(queue) > 0 {
		queue[0].guest <- g
		p.drop(g.key, queue[0])
		return true
	}
	p.idle = append(p.idle, idleGuest{g, now})
	p.busy--
	if p.total >= p.cfg.Max {
		p.wake(g.key) // it may be evicted for another key
	}
	return true
}

// free gives back the place of a busy guest that is no more.
func (p *Pool) free(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	p.forget(key)
	p.wake(key)
	p.settle()
}

// wake has whoever waits longest look again: one of this key, else one of any other. The lock is held.
func (p *Pool) wake(key Key) {
	if len(p.waiting[key]) == 0 {
		for key = range p.waiting {
			break
		}
	}
	if queue := p.waiting[key]; len(queue) > 0 {
		queue[0].tell()
	}
}

// forget gives up a place of the key. The lock is held.
func (p *Pool) forget(key Key) {
	p.total--
	if p.bound[key]--; p.bound[key] == 0 {
		delete(p.bound, key)
		delete(p.freed, key)
	}
}
