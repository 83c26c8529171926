package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Stops tells of runs whose operator wants them to stop. The function says whether the run is held here.
type Stops interface {
	OnStop(f func(run behalf.RunID) (held bool)) (release func(), err error)
}

// errStopped is why the context of a run has ended that its operator stopped.
var errStopped = errors.New("the run was stopped by its operator")

// stopped says whether a run's context was ended by its operator, and not by our own leaving.
func stopped(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errStopped) }

const (
	// rememberStops is how long a run that was stopped is remembered. A delivery that was on its way then has come by that
	// time: what waits longer for a slot is given back, and comes again as one that was seen.
	rememberStops = 2 * time.Minute
	// maxStops is how many are remembered. Of those beyond, the journal alone keeps the records out.
	maxStops = 100_000
)

// stops knows which runs are held here, and which shall not be begun without asking the journal.
type stops struct {
	mu   sync.Mutex
	held map[*hold]struct{}
	told map[behalf.RunID]time.Time
}

// hold is one attempt of this worker.
type hold struct {
	run  behalf.RunID
	stop context.CancelCauseFunc
}

func newStops() *stops {
	return &stops{held: map[*hold]struct{}{}, told: map[behalf.RunID]time.Time{}}
}

// tell ends every attempt of a run, and remembers the run for those that are on their way here.
func (s *stops) tell(run behalf.RunID) (held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(run, time.Now())
	for h := range s.held {
		if h.run == run {
			h.stop(errStopped)
			held = true
		}
	}
	return held
}

// remember must be called with the lock.
func (s *stops) remember(run behalf.RunID, now time.Time) {
	for known, at := range s.told {
		if now.Sub(at) > rememberStops {
			delete(s.told, known)
		}
	}
	if len(s.told) < maxStops {
		s.told[run] = now
	}
}

// known says whether the run was stopped a moment ago.
func (s *stops) known(run behalf.RunID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.told[run]
	return known
}

// hold gives the context of an attempt, which ends when the run is stopped: at once, where it was a moment ago.
func (s *stops) hold(ctx context.Context, run behalf.RunID) (held context.Context, release func()) {
	held, stop := context.WithCancelCause(ctx)
	h := &hold{run, stop}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[h] = struct{}{}
	if _, known := s.told[run]; known {
		stop(errStopped)
	}
	return held, func() {
		s.letGo(h)
		stop(nil)
	}
}

func (s *stops) letGo(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, h)
}

// stoppable is an attempt that ends when the run's operator says so: then the run is finished as canceled, by its fence.
// Where the operator has written that already, another delivery finds it.
func (w *Worker) stoppable(ctx context.Context, a *attempt) error {
	held, release := w.stops.hold(ctx, a.run.Event.Run)
	defer release()
	err := w.attempt(held, a)
	if !stopped(held) || !fault.Is(err, fault.Canceled) {
		return err
	}
	return w.finish(ctx, a, a.cut, behalf.Canceled(a.run.Event))
}

// cutShort is the error of a step that ended because its run shall not go on here: we leave, or its operator stopped it.
// Of the latter the step is recorded.
func (w *Worker) cutShort(ctx context.Context, a *attempt, record behalf.StepRecord) error {
	if stopped(ctx) {
		record.Err = &behalf.StepError{Name: "Canceled", Message: "the run was canceled while this step ran"}
		record.Exports, record.Response = nil, nil
		a.cut = &record
	}
	return fault.New(fault.Canceled, "worker.one", "cut short by our own leaving, or by the run's operator")
}
