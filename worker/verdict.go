package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

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
func (w *Worker) platform(ctx context.Context, a *attempt, err error) error {
	if errors.Is(err, errVersion) {
		return w.giveUp(ctx, a, bus.ReasonVersion, err.Error())
	}
	if errors.Is(ctx.Err(), context.Canceled) { // whatever it says, it is our own leaving
		return fault.Wrap(fault.Canceled, "worker.platform", err)
	}
	switch verdictOf(fault.KindOf(err)) {
	case leave:
		return err
	case discard:
		return w.giveUp(ctx, a, bus.ReasonPlatform, err.Error())
	case pause:
	}
	outages := a.run.Wait.Outages + 1
	if outages > maxOutage {
		return w.giveUp(ctx, a, bus.ReasonPlatform, err.Error())
	}
	return w.wait(ctx, a, nil, err, behalf.Wait{
		Reason: behalf.WaitRetry, Until: time.Now().UTC().Add(outageDelay(outages)), Retries: a.run.Retries, Outages: outages,
		Why: fault.KindOf(err).String(),
	})
}

// failed decides what becomes of a run whose step threw, or was cut by the run's timeout: it is tried again from this
// step as often as the workflow says, and then it has failed.
func (w *Worker) failed(ctx context.Context, a *attempt, s behalf.Step, record behalf.StepRecord, cut bool) error {
	failure := behalf.FailRunTimeout(s.Name, a.limit().String())
	if !cut {
		failure = behalf.FailStep(s.Name, record.Err.Message)
	}
	if a.run.Retries >= a.retries() {
		return w.finish(ctx, a, &record, behalf.Result{State: behalf.StateFailed, Failure: failure})
	}
	return w.wait(ctx, a, &record, nil, behalf.Wait{
		Reason: behalf.WaitRetry, Until: time.Now().UTC().Add(retryDelay(a.run.Retries)), Retries: a.run.Retries + 1, Why: failure.Message,
	})
}

// retries is how often a failed step is tried again: never while a caller waits.
func (a *attempt) retries() int {
	switch set := a.version.Settings.Retries; {
	case a.run.Event.Origin.Waits:
		return 0
	case set != nil:
		return *set
	}
	return behalf.DefaultRetries
}

// wait writes that the run waits, hands its state to a timer and lets go of the event. The cause is an error of ours,
// or nil where the step failed.
func (w *Worker) wait(ctx context.Context, a *attempt, last *behalf.StepRecord, cause error, wait behalf.Wait) error {
	settling, cancel := w.settling(ctx)
	defer cancel()
	w.cfg.Points(settling, BeforeRecord)
	if err := a.run.Pause(settling, last, wait); err != nil {
		return w.refused(settling, a, err)
	}
	w.cfg.Points(settling, AfterRecord)
	w.waits(a, cause)
	return w.sleep(settling, a.delivery, a.run)
}

// waits writes the line and the figure of a run that has gone to wait. One that waits for us is a warning.
func (w *Worker) waits(a *attempt, cause error) {
	w.metrics.runs.WithLabelValues(outcomeWaiting).Inc()
	level := zerolog.InfoLevel
	if cause != nil {
		level = zerolog.WarnLevel
	}
	w.log.WithLevel(level).Err(cause).Str("run", string(a.run.Event.Run)).Str("workflow", string(a.run.Event.Workflow)).
		Int("attempt", a.run.Attempt).Int("retries", a.run.Wait.Retries).Int("outages", a.run.Wait.Outages).Time("until", a.run.Wait.Until).Msg("run waits")
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
	result := behalf.Result{V: behalf.FormatVersion, Run: e.Run, State: behalf.StateWaiting, Response: first(run.Steps)}
	if result.Response == nil { // else a step has answered already, and the caller need not wait for the others
		result.Failure = behalf.FailWaiting()
	}
	return w.answer(ctx, d, result)
}

// retryDelay spreads eight retries over ten hours at most, each up to a tenth less, so that what failed together does
// not come back together.
func retryDelay(made int) time.Duration {
	delays := [...]time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 5 * time.Hour,
	}
	return jitter(delays[min(made, len(delays)-1)])
}

// outageDelay grows from a second to half a minute, so that a run goes on soon after an outage of some minutes, and after
// ten minutes on to five: a long outage must not become a storm of records.
func outageDelay(outages int) time.Duration {
	const soon = 25 // the last of the short waits: 31 s, and twenty of 30 s
	short := min(time.Second<<min(outages-1, 9), 30*time.Second)
	return jitter(min(short<<min(max(outages-soon, 0), 9), 5*time.Minute))
}

func jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()/10*float64(d)) //nolint:gosec // spreading load needs no secrecy
}
