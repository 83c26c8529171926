package bustest

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
)

// worker is a source that runs, until stop or the end of the test.
type worker struct {
	*bus.Source
	leave context.CancelFunc
	over  chan error
}

// work starts a source of the rig's project and of others.
func (r *rig) work(slots int, others ...behalf.ProjectID) *worker {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	w := &worker{Source: r.bus.Source(slots), leave: cancel, over: make(chan error, 1)}
	go func() { w.over <- w.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		for _, d := range r.taken {
			d.Release()
		}
		if err := <-w.over; err != nil {
			r.t.Error(err)
		}
	})
	for _, project := range append(others, r.project) {
		r.must(w.Add(ctx, project))
	}
	return w
}

// next waits so long for a delivery. It is nil where none came.
func (r *rig) next(s *bus.Source, within time.Duration) *bus.Delivery {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), within)
	defer cancel()
	d, err := s.Next(ctx)
	if err != nil {
		return nil
	}
	r.taken = append(r.taken, d)
	return d
}

func (r *rig) ack(d *bus.Delivery) {
	r.t.Helper()
	r.must(d.Ack(r.t.Context()))
}
