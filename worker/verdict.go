package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// verdict is what becomes of a run that we could not carry on.
type verdict int

const (
	leave   verdict = iota // say nothing: another attempt has it, or will
	pause                  // the run waits until what is away has come back, which costs no retry
	discard                // it can never succeed: dead letter
)

// verdictOf is the one table of kinds of this package.
func verdictOf(kind fault.Kind) verdict {
	switch kind {
	case fault.Conflict, fault.Canceled:
		return leave
	case fault.Unavailable, fault.Timeout, fault.Exhausted, fault.Internal:
		return pause
	case fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.StepFailed:
		return discard
	}
	return pause
}

// maxOutage is how often a run waits for what is away before it is given up: about a day, at five minutes each.
const maxOutage = 288

// platform decides what becomes of a run that failed inside of us.
func (w *Worker) platform(ctx context.Context, a *attempt, last *behalf.StepRecord, err error) error {
	if errors.Is(err, errVersion) {
		return w.giveUp(ctx, a.delivery, a.run, bus.ReasonVersion, err.Error())
	}
	switch verdictOf(fault.KindOf(err)) {
	case leave:
		return err
	case discard:
		w.log.Error().Err(err).Str("run", string(a.run.Event.Run)).Msg("run cannot be carried on")
		return w.giveUp(ctx, a.delivery, a.run, bus.ReasonPlatform, err.Error())
	case pause:
	}
	outages := a.run.Wait.Outages + 1
	if outages > maxOutage {
		return w.giveUp(ctx, a.delivery, a.run, bus.ReasonPlatform, err.Error())
	}
	w.log.Warn().Err(err).Str("run", string(a.run.Event.Run)).Int("outage", outages).Msg("run waits for what is away")
	return w.wait(ctx, a, last, behalf.Wait{
		Reason: behalf.WaitRetry, Until: time.Now().UTC().Add(outageDelay(outages)), Retries: a.run.Retries, Outages: outages,
		Why: fault.KindOf(err).String(),
	})
}

// failed decides what becomes of a run whose step threw, or was cut by the run's timeout. While a caller waits, it is
// final; else it is tried again from this step.
func (w *Worker) failed(ctx context.Context, a *attempt, s behalf.Step, record behalf.StepRecord, cut bool) error {
	retries := behalf.DefaultRetries
	if a.run.Event.Origin.Waits {
		retries = 0
	}
	if set := a.version.Settings.Retries; set != nil && !a.run.Event.Origin.Waits {
		retries = *set
	}
	if a.run.Retries < retries {
		why := "step failed"
		if record.Err != nil {
			why = record.Err.Message
		}
		return w.wait(ctx, a, &record, behalf.Wait{
			Reason: behalf.WaitRetry, Until: time.Now().UTC().Add(retryDelay(a.run.Retries)), Retries: a.run.Retries + 1, Why: why,
		})
	}
	failure := behalf.FailRunTimeout(s.Name, a.version.Settings.Timeout.String())
	if !cut {
		failure = behalf.FailStep(s.Name, record.Err.Message)
	}
	return w.finish(ctx, a, &record, behalf.Result{State: behalf.StateFailed, Failure: failure})
}

// wait writes that the run waits, hands its state to a timer and lets go of the event.
func (w *Worker) wait(ctx context.Context, a *attempt, last *behalf.StepRecord, wait behalf.Wait) error {
	settling, cancel := w.settling(ctx)
	defer cancel()
	if err := a.run.Pause(settling, last, wait); err != nil {
		return w.refused(settling, a, err)
	}
	w.cfg.Points(settling, AfterRecord)
	w.metrics.runs.WithLabelValues("waiting").Inc()
	return w.sleep(settling, a.delivery, a.run)
}

// sleep sets the timer of a run that waits, tells whoever waits for its answer, and acks. It may be repeated: a timer
// set again replaces the first, and one that fires twice finds that its wait is over.
func (w *Worker) sleep(ctx context.Context, d *bus.Delivery, run *journal.Run) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	state, err := run.Suspend(ctx)
	if err != nil {
		return err
	}
	e := run.Event
	err = w.deps.Bus.SetTimer(ctx, bus.Timer{
		Run: e.Run, Project: e.Project, Workflow: e.Workflow, Lane: e.Lane, At: run.Wait.Until, Token: run.Token(), State: state,
	})
	if err != nil {
		return err
	}
	w.cfg.Points(ctx, AfterTimer)
	return w.answer(ctx, d, behalf.Result{
		V: behalf.FormatVersion, Run: e.Run, State: behalf.StateWaiting, Failure: behalf.FailWaiting(),
	})
}

// retryDelay spreads eight retries over about ten hours, each a tenth more or less, so that what failed together does
// not come back together.
func retryDelay(made int) time.Duration {
	delays := [...]time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 5 * time.Hour,
	}
	return jitter(delays[min(made, len(delays)-1)])
}

// outageDelay grows from a second to five minutes.
func outageDelay(outages int) time.Duration {
	return jitter(min(time.Second<<min(outages-1, 9), 5*time.Minute))
}

func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d)) //nolint:gosec // spreading load needs no secrecy
}
