package worker

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// runOwned runs a step only while the run is this attempt's: it makes sure of it at the last moment before the author's
// code starts, which may be long after the delivery, and ends the step where another attempt turns out to have the run.
func (w *Worker) runOwned(ctx context.Context, a *attempt, s behalf.Step) (behalf.Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := func() {}
	defer func() { stop() }()
	call := a.call(s)
	call.Begin = func(ctx context.Context) error {
		if err := w.own(ctx, a); err != nil {
			return err
		}
		stop = w.watch(ctx, a, cancel)
		return nil
	}
	outcome, err := w.deps.Runner.Run(ctx, call)
	if fenced := context.Cause(ctx); fault.Is(fenced, fault.Conflict) {
		return behalf.Outcome{}, fenced
	}
	return outcome, err
}

// own claims the run where it was seen before, or where another worker may have it by now. Errors: Conflict, where one
// has.
func (w *Worker) own(ctx context.Context, a *attempt) error {
	if a.delivery.Stale() {
		return fault.New(fault.Conflict, "worker.own", "held too long without a sign of life; another attempt may own the run")
	}
	if a.run.Held() && !a.delivery.Doubtful(a.sure) {
		return nil
	}
	return w.claim(ctx, a)
}

func (w *Worker) claim(ctx context.Context, a *attempt) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	err := a.delivery.Refresh(func() error { return a.run.Begin(ctx) })
	if err == nil {
		a.sure = time.Now()
	}
	return err
}

// watch looks after a step that takes long. Where nothing is recorded of the attempt yet, the journal is told that it
// has begun: so the run is listed, and its result is "running" instead of unknown. Where the connection has changed, the
// journal is asked whether the run is still ours, and the step ends where it is not. Stop it before the next record: one
// at a time writes to the journal.
func (w *Worker) watch(ctx context.Context, a *attempt, fence context.CancelCauseFunc) (stop func()) {
	quit, over := make(chan struct{}), make(chan struct{})
	timer := time.AfterFunc(w.cfg.AnnounceAfter, func() {
		defer close(over)
		w.look(ctx, a, fence)
		tick := time.NewTicker(w.cfg.AnnounceAfter)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				w.look(ctx, a, fence)
			}
		}
	})
	return func() {
		close(quit)
		if !timer.Stop() {
			<-over
		}
	}
}

func (w *Worker) look(ctx context.Context, a *attempt, fence context.CancelCauseFunc) {
	if a.run.Begun() && !a.delivery.Moved() {
		return
	}
	err := w.claim(ctx, a)
	if err == nil {
		return
	}
	w.log.Debug().Err(err).Str("run", string(a.run.Event.Run)).Msg("a run in flight could not be claimed")
	if fault.Is(err, fault.Conflict) {
		fence(err)
	}
}
