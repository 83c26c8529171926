package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/step"
)

// errUnowned marks what the journal says where a run cannot be claimed: then nothing of it may happen here.
var errUnowned = errors.New("the run is not ours")

// runOwned runs a step only while the run is this attempt's: it makes sure of it at the last moment before the author's
// code starts, which may be long after the delivery, and ends the step where another attempt turns out to have the run.
func (w *Worker) runOwned(ctx context.Context, a *attempt, call step.Call) (behalf.Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching *watch
	defer func() { watching.stop() }() // also where the runner panics
	call.Begin = func(ctx context.Context) error {
		if stopped(ctx) {
			return errors.Join(errUnowned, fault.New(fault.Canceled, "worker.own", "stopped by the run's operator"))
		}
		if err := w.own(ctx, a); err != nil {
			return errors.Join(errUnowned, err)
		}
		watching = w.watch(ctx, a, cancel)
		return nil
	}
	outcome, err := w.deps.Runner.Run(ctx, call)
	watching.stop()
	if fenced := context.Cause(ctx); fault.Is(fenced, fault.Conflict) {
		return behalf.Outcome{}, errors.Join(errUnowned, fenced)
	}
	return outcome, err
}

// own claims the run where it was seen before, or where another worker may have it by now. Errors: Conflict, where one
// has.
func (w *Worker) own(ctx context.Context, a *attempt) error {
	if a.run.Held() && !a.delivery.Doubtful() {
		return nil
	}
	return w.claim(ctx, a)
}

func (w *Worker) claim(ctx context.Context, a *attempt) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	return a.delivery.Refresh(func() error { return a.run.Begin(ctx) })
}

// watch looks after a step that is under way. Where the step takes long and nothing is recorded of the attempt yet, the
// journal is told that it has begun: so the run is listed, and its result is "running" instead of unknown. Where another
// worker may have the run, the journal is asked, and the step ends where one has.
type watch struct {
	worker  *Worker
	attempt *attempt
	ctx     context.Context //nolint:containedctx // it is the step's, and so is the watch
	fence   context.CancelCauseFunc
	timer   *time.Timer

	mu   sync.Mutex // one at a time writes to the journal
	over atomic.Bool
}

func (w *Worker) watch(ctx context.Context, a *attempt, fence context.CancelCauseFunc) *watch {
	k := &watch{worker: w, attempt: a, ctx: ctx, fence: fence}
	k.timer = time.AfterFunc(w.cfg.AnnounceAfter, k.look)
	a.delivery.OnMoved(k.look)
	if a.delivery.Moved() { // in between
		go k.look()
	}
	return k
}

// stop returns when nothing of the watch writes to the journal any more.
func (k *watch) stop() {
	if k == nil || k.over.Swap(true) { // before the lock: those that wait for it have nothing to do any more
		return
	}
	k.timer.Stop()
	k.attempt.delivery.OnMoved(nil)
	k.mu.Lock()
	defer k.mu.Unlock()
}

func (k *watch) look() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over.Load() || k.attempt.run.Begun() && !k.attempt.delivery.Moved() {
		return
	}
	err := k.worker.claim(k.ctx, k.attempt)
	if err == nil {
		return
	}
	k.worker.log.Debug().Err(err).Str("run", string(k.attempt.run.Event.Run)).Msg("a run in flight could not be claimed")
	if fault.Is(err, fault.Conflict) {
		k.fence(err)
		return
	}
	k.timer.Reset(k.worker.cfg.AnnounceAfter) // the journal is away; once over is set, the look does nothing
}
