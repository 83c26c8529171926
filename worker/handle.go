package worker

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

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

	opening, err := w.opening(ctx, d)
	if err != nil {
		return err
	}
	run, err := w.deps.Journal.Open(ctx, opening)
	if err != nil {
		return err
	}

	switch run.Standing {
	case journal.Finished:
		return w.answer(ctx, d, run.Result)
	case journal.Elsewhere:
		return d.Ack(ctx)
	case journal.Waiting:
		return w.sleep(ctx, d, run)
	case journal.Lost:
		return w.giveUp(ctx, d, run, bus.ReasonWorkerLost, "five attempts ended without a record")
	case journal.Ready:
	}

	a := &attempt{delivery: d, run: run, started: started}
	a.timing.Queue = started.Sub(run.Event.At)
	return w.attempt(ctx, a)
}

func (w *Worker) opening(ctx context.Context, d *bus.Delivery) (journal.Opening, error) {
	o := journal.Opening{
		Event: d.Event, EventSeq: d.Sequence, Raw: d.Raw(), Worker: w.cfg.Name, Seen: d.Seen, Redelivered: d.Redelivered,
	}
	if d.Resume == nil {
		return o, nil
	}
	state, err := w.deps.Journal.Revive(ctx, d.Resume.State)
	if err != nil {
		return o, err
	}
	if state.Event.Project != d.Event.Project || state.Event.Workflow != d.Event.Workflow {
		return o, fault.New(fault.Invalid, "worker.opening", "the timer and its subject differ")
	}
	o.Event, o.EventSeq, o.Raw, o.Resume, o.Token = state.Event, state.EventSeq, state.Raw, state, d.Resume.Token
	return o, nil
}

// attempt prepares a run, executes it and settles it.
func (w *Worker) attempt(ctx context.Context, a *attempt) error {
	failure, err := w.prepare(ctx, a)
	switch {
	case err != nil:
		return w.platform(ctx, a, nil, err)
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
	if err := a.run.Finish(ctx, last, result); err != nil {
		return w.refused(ctx, a, err)
	}
	w.cfg.Points(ctx, AfterRecord)
	w.finished(a, result)
	return w.answer(ctx, a.delivery, result)
}

func (w *Worker) answer(ctx context.Context, d *bus.Delivery, result behalf.Result) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	if err := w.deps.Bus.Answer(ctx, d.Reply, result); err != nil {
		// The record is durable: whoever waits reads it from the journal, and a new delivery would find it.
		w.log.Warn().Err(err).Str("run", string(result.Run)).Msg("result not told")
	}
	w.cfg.Points(ctx, AfterAnswer)
	return d.Ack(ctx)
}

// refused tells a fence from an eviction.
func (w *Worker) refused(ctx context.Context, a *attempt, err error) error {
	if fault.CodeOf(err) == journal.CodeEvicted {
		return w.bury(ctx, a.delivery, bus.ReasonJournalEvicted, "the journal dropped this run's records while it ran")
	}
	return err
}

// giveUp ends a run that cannot be finished: its journal says so, its event lies in the dead letters, and whoever waits
// is told.
func (w *Worker) giveUp(ctx context.Context, d *bus.Delivery, run *journal.Run, reason bus.Reason, detail string) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	failure := behalf.FailPlatform(run.Event.Run)
	if reason == bus.ReasonVersion {
		failure = behalf.FailVersionUnavailable(run.Event.Run)
	}
	result := behalf.Result{V: behalf.FormatVersion, Run: run.Event.Run, State: behalf.StateFailed, Failure: failure}
	if err := run.Finish(ctx, nil, result); err != nil {
		return err
	}
	w.metrics.runs.WithLabelValues(string(failure.Code)).Inc()
	if err := w.deps.Bus.Answer(ctx, d.Reply, result); err != nil {
		w.log.Warn().Err(err).Str("run", string(result.Run)).Msg("result not told")
	}
	return w.bury(ctx, d, reason, detail)
}

func (w *Worker) bury(ctx context.Context, d *bus.Delivery, reason bus.Reason, detail string) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	w.metrics.dead.WithLabelValues(string(reason)).Inc()
	w.log.Error().Str("run", string(d.Event.Run)).Str("reason", string(reason)).Str("detail", detail).Msg("event goes to the dead letters")
	return d.Bury(ctx, w.cfg.Name, reason, detail)
}

// settling outlives the cut: work that is done must be told even while we leave.
func (w *Worker) settling(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), w.cfg.SettleTimeout)
}

// finished writes the one line and the figures of a run.
func (w *Worker) finished(a *attempt, result behalf.Result) {
	outcome := "ok"
	if result.Failure != nil {
		outcome = string(result.Failure.Code)
	}
	took := time.Since(a.started)
	w.metrics.runs.WithLabelValues(outcome).Inc()
	w.metrics.duration.Observe(took.Seconds())
	e := a.run.Event
	line := w.log.Info().Str("run", string(e.Run)).Str("workflow", string(e.Workflow)).Str("version", string(e.Version)).
		Str("outcome", outcome).Int("attempt", a.run.Attempt).Float64("duration_ms", float64(took.Microseconds())/1000).
		Float64("queue_ms", float64(a.timing.Queue.Microseconds())/1000)
	if result.Failure != nil {
		line = line.Str("step", string(result.Failure.Step))
	}
	line.Msg("run finished")
}

// levelOf says whether somebody should look: a fence or a leave is how it should be.
func levelOf(err error) zerolog.Level {
	switch fault.KindOf(err) {
	case fault.Conflict, fault.Canceled:
		return zerolog.DebugLevel
	case fault.Unavailable, fault.Timeout, fault.Exhausted:
		return zerolog.WarnLevel
	case fault.Internal, fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.StepFailed:
		return zerolog.ErrorLevel
	}
	return zerolog.ErrorLevel
}

func stack() []byte { return debug.Stack() }
