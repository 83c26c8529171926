package worker

import (
	"context"
	"errors"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// handle takes one delivery from the journal's word to the ack. An error leaves it unsettled: it comes again.
func (w *Worker) handle(ctx context.Context, d *bus.Delivery) error {
	started := time.Now()
	if d.Malformed != nil {
		return w.bury(ctx, d, bus.ReasonMalformed, d.Malformed.Error())
	}

	d.Seen = d.Seen || w.stops.known(d.Event.Run)
	run, err := w.open(ctx, d)
	if err != nil {
		return w.unopened(ctx, d, err)
	}
	a := &attempt{delivery: d, run: run, started: started}
	a.timing = behalf.Timing{Queue: queued(d, run, started), Journal: time.Since(started)}

	switch run.Standing {
	case journal.Finished:
		return w.again(ctx, d, run)
	case journal.Elsewhere:
		return d.Ack(ctx)
	case journal.Taken:
		return fault.New(fault.Conflict, "worker.handle", "another attempt has just begun")
	case journal.Waiting:
		return w.sleep(ctx, d, run)
	case journal.Lost:
		return w.giveUp(ctx, a, bus.ReasonWorkerLost, "five attempts ended without a record")
	case journal.Ready:
	}
	return w.stoppable(ctx, a)
}

// open asks the journal what there is to do.
func (w *Worker) open(ctx context.Context, d *bus.Delivery) (*journal.Run, error) {
	ctx, cancel := w.preparing(ctx)
	defer cancel()
	o := journal.Opening{
		Event: d.Event, EventSeq: d.Sequence, Raw: d.Raw(), Worker: w.cfg.Name, Seen: d.Seen, Deliveries: d.Deliveries, Lease: d.Lease(),
	}
	if d.Resume == nil {
		return w.deps.Journal.Open(ctx, o)
	}
	state, err := w.deps.Journal.Revive(ctx, d.Resume.State)
	if err != nil {
		return nil, err
	}
	if e := state.Event; e.Project != d.Event.Project || e.Workflow != d.Event.Workflow || e.Environment != w.cfg.Environment {
		return nil, fault.New(fault.Invalid, "worker.open", "the timer and its subject differ")
	}
	d.Event = state.Event // a timer's subject names no run
	o.Event, o.EventSeq, o.Raw = state.Event, state.EventSeq, state.Raw
	o.Resume, o.Token, o.TimerSeq = state, d.Resume.Token, d.Sequence
	return w.deps.Journal.Open(ctx, o)
}

// unopened tells what can never be opened from what another delivery may bring.
func (w *Worker) unopened(ctx context.Context, d *bus.Delivery, err error) error {
	switch {
	case fault.Is(err, fault.Invalid):
		return w.bury(ctx, d, bus.ReasonMalformed, err.Error())
	case fault.Is(err, fault.NotFound): // something that the run had put aside is gone
		w.tell(ctx, d, unfinishable(d.Event.Run, bus.ReasonPlatform))
		return w.bury(ctx, d, bus.ReasonPlatform, err.Error())
	}
	return err
}

// queued is how long the run was due and no worker had it.
func queued(d *bus.Delivery, run *journal.Run, now time.Time) time.Duration {
	due := run.Event.At
	if d.Resume != nil {
		due = run.Wait.Until
	}
	return max(0, now.Sub(due)) // another machine's clock may be ahead
}

// attempt prepares a run, executes it and settles it.
func (w *Worker) attempt(ctx context.Context, a *attempt) error {
	failure, err := w.prepare(ctx, a)
	switch {
	case err != nil:
		return w.platform(ctx, a, err)
	case failure != nil:
		return w.finish(ctx, a, nil, behalf.Result{State: behalf.StateFailed, Failure: failure})
	}
	return w.execute(ctx, a)
}

// finish makes the result durable, and only then tells it.
func (w *Worker) finish(ctx context.Context, a *attempt, last *behalf.StepRecord, result behalf.Result) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	result.V, result.Run, result.Timing = behalf.FormatVersion, a.run.Event.Run, a.timing
	w.cfg.Points(ctx, BeforeRecord)
	began := time.Now()
	if err := a.run.Finish(ctx, last, result); err != nil {
		return w.refused(ctx, a, err)
	}
	result.Timing.Journal += time.Since(began) // the caller is told; the record could not know
	w.cfg.Points(ctx, AfterRecord)
	w.finished(a, result)
	return w.over(ctx, a.delivery, a.run, result)
}

// over answers a run that is finished, and forgets what shall not be kept of it, before its event is gone: whoever gets
// that again forgets the rest.
func (w *Worker) over(ctx context.Context, d *bus.Delivery, run *journal.Run, result behalf.Result) error {
	if !run.Event.Origin.NoStore {
		return w.answer(ctx, d, result)
	}
	ctx, cancel := w.settling(ctx)
	defer cancel()
	w.tell(ctx, d, result)
	w.cfg.Points(ctx, AfterAnswer)
	failed := run.Forget(ctx)
	for _, name := range run.Event.Files {
		failed = errors.Join(failed, w.deps.Files.DropFile(ctx, name))
	}
	if failed != nil {
		return fault.Wrap(fault.Unavailable, "worker.over", failed)
	}
	return d.Ack(ctx)
}

// answer tells a durable result and ends the delivery. Where the end is not told, the event comes again and finds its
// record.
func (w *Worker) answer(ctx context.Context, d *bus.Delivery, result behalf.Result) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	w.tell(ctx, d, result)
	w.cfg.Points(ctx, AfterAnswer)
	return d.Ack(ctx)
}

// tell answers whoever waits, where somebody does.
func (w *Worker) tell(ctx context.Context, d *bus.Delivery, result behalf.Result) {
	result.Unkept = d.Event.Origin.NoStore
	if err := w.deps.Bus.Answer(ctx, d.Reply, result); err != nil {
		// What it says is durable: whoever waits reads it from the journal, and a new delivery would find it.
		w.log.Warn().Err(err).Str("run", string(result.Run)).Msg("result not told")
	}
}

// again answers a run that was finished before. Of one that was given up nobody knows whether its letter was kept, and
// two letters are better than none.
func (w *Worker) again(ctx context.Context, d *bus.Delivery, run *journal.Run) error {
	result := run.Result
	if result.Failure == nil {
		return w.over(ctx, d, run, result)
	}
	reason := bus.ReasonPlatform
	switch result.Failure.Code { //nolint:exhaustive // the two codes of runs that are given up
	case behalf.CodeVersionUnavailable:
		reason = bus.ReasonVersion
	case behalf.CodePlatformError:
	default:
		return w.over(ctx, d, run, result)
	}
	ctx, cancel := w.settling(ctx)
	defer cancel()
	w.tell(ctx, d, result)
	if err := run.ForgetSteps(ctx); err != nil {
		return err
	}
	return w.bury(ctx, d, reason, "given up by an attempt before this one, whose letter may be another")
}

// settling outlives the cut: work that is done must be told even while we leave.
func (w *Worker) settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), w.cfg.SettleTimeout)
}

// preparing bounds what happens before the first step, so that nothing that hangs holds a slot.
func (w *Worker) preparing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, w.cfg.PrepareTimeout)
}

// finished writes the one line and the figures of a run.
func (w *Worker) finished(a *attempt, result behalf.Result) {
	outcome := outcomeOK
	switch {
	case result.State == behalf.StateCanceled:
		outcome = outcomeCanceled
	case result.Failure != nil:
		outcome = string(result.Failure.Code)
	}
	took := time.Since(a.started)
	w.metrics.runs.WithLabelValues(outcome).Inc()
	w.metrics.duration.Observe(took.Seconds())
	e := a.run.Event
	line := w.log.Info().Str("run", string(e.Run)).Str("event", string(e.ID)).Str("project", string(e.Project)).
		Str("workflow", string(e.Workflow)).Str("version", string(e.Version)).Str("state", string(result.State)).
		Str("outcome", outcome).Int("attempt", a.run.Attempt).Float64("duration_ms", milliseconds(took)).
		Float64("queue_ms", milliseconds(a.timing.Queue)).Float64("steps_ms", milliseconds(a.timing.Steps))
	if e.User != "" {
		line = line.Str("external_user", string(e.User))
	}
	if result.Failure != nil && result.Failure.Step != "" {
		line = line.Str("step", string(result.Failure.Step))
	}
	line.Msg("run finished")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
