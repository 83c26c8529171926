package ingress

import (
	"io"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// place is a place among the few large bodies that may be in memory at once. It is taken when a body turns out to be
// large, and then by one body only.
type place struct {
	all     chan struct{}
	metrics *metrics
	small   int
	taken   bool
}

// newPlace makes one that is not taken. It is no part of the call, which must not move to the heap for it.
func (s *Server) newPlace() *place {
	return &place{all: s.large, metrics: s.metrics, small: s.cfg.MaxEvent}
}

// enter takes the place, or tells the caller to come again.
func (p *place) enter() error {
	if p.taken {
		return nil
	}
	select {
	case p.all <- struct{}{}:
		p.taken = true
		return nil
	default:
		return refusedFor(p.metrics, "large_bodies", behalf.FailUnavailable())
	}
}

// leave gives back a place that was taken.
func (p *place) leave() {
	p.taken = false
	<-p.all
}

// guard lets no more of a body pass than an event may have before the place is taken.
func (p *place) guard(r io.ReadCloser) io.ReadCloser {
	return &guarded{r, p, p.small}
}

type guarded struct {
	io.ReadCloser

	place *place
	free  int // bytes that still pass without a place
}

func (g *guarded) Read(p []byte) (int, error) {
	if g.free == 0 {
		if err := g.place.enter(); err != nil {
			return 0, err
		}
	}
	if !g.place.taken {
		p = p[:min(len(p), g.free)]
	}
	n, err := g.ReadCloser.Read(p)
	g.free = max(0, g.free-n)
	return n, err
}
