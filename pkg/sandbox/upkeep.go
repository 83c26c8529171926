package sandbox

import (
	"context"
	"slices"
	"time"
)

// restartPause is how long the pool waits after a blank guest could not be started.
const restartPause = time.Second

// Run keeps blank guests ready and ends those that have been idle for too long, until ctx ends; then it waits for the
// runs in flight and ends every guest. End ctx after the last Do has begun: later ones are refused.
func (p *Pool) Run(ctx context.Context) error {
	if p.refusal == nil {
		p.keepUp(ctx)
	}
	<-ctx.Done()
	for _, g := range p.shut() {
		g.close()
	}
	<-p.quiet
	return nil
}

// keepUp works until ctx ends.
func (p *Pool) keepUp(ctx context.Context) {
	tick := time.NewTicker(max(p.cfg.IdleTimeout/4, time.Millisecond))
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, g := range p.expired(time.Now().Add(-p.cfg.IdleTimeout)) {
				g.close()
			}
		case <-p.refill:
		case <-pause.C:
		}
		if err := p.fill(ctx); err != nil && ctx.Err() == nil {
			// The next run starts its own guest, and fails by itself if that cannot be done.
			p.log.Error().Err(err).Msg("no blank guest could be started")
			pause.Reset(restartPause)
		}
	}
}

// fill starts the blank guests that are missing.
func (p *Pool) fill(ctx context.Context) error {
	for p.lacksBlank() {
		g, err := startGuest(ctx, p.launcher, p.cfg)
		if err != nil {
			return err
		}
		p.addBlank(g)
	}
	return nil
}

func (p *Pool) lacksBlank() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.blanks) < p.cfg.Blanks
}

func (p *Pool) addBlank(g *guest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blanks = append(p.blanks, g)
}

// expired takes out the guests that have been idle since before a time, and those that can do nothing more.
func (p *Pool) expired(before time.Time) []*guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	var old []*guest
	p.idle = slices.DeleteFunc(p.idle, func(i idleGuest) bool {
		if !i.spent() && i.since.After(before) {
			return false
		}
		p.forget(i.key)
		old = append(old, i.guest)
		return true
	})
	p.blanks = slices.DeleteFunc(p.blanks, func(g *guest) bool {
		if !g.spent() {
			return false
		}
		old = append(old, g)
		return true
	})
	for range old { // each has left a place
		p.wake(Key{})
	}
	return old
}

// shut closes the pool and takes out every guest that has nothing to do.
func (p *Pool) shut() []*guest {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	all := p.blanks
	for _, i := range p.idle {
		p.forget(i.key)
		all = append(all, i.guest)
	}
	p.blanks, p.idle = nil, nil
	for _, queue := range p.waiting {
		for _, w := range queue {
			w.tell() // to be refused
		}
	}
	p.settle()
	return all
}

// settle tells Run that the last guest is gone. The lock is held.
func (p *Pool) settle() {
	if !p.closed || p.busy > 0 {
		return
	}
	select {
	case <-p.quiet: // shut twice
	default:
		close(p.quiet)
	}
}
