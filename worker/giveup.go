package worker

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// giveUp ends a run that cannot be finished: its journal says so, whoever waits is told, and its event lies in the dead
// letters.
func (w *Worker) giveUp(ctx context.Context, a *attempt, reason bus.Reason, detail string) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	result := unfinishable(a.run.Event.Run, reason)
	result.Timing = a.timing
	if reason != bus.ReasonJournalEvicted {
		w.cfg.Points(ctx, BeforeRecord)
		if err := a.run.Finish(ctx, nil, result); err != nil && !unrecordable(err) {
			return err
		}
		w.cfg.Points(ctx, AfterRecord)
	}
	w.finished(a, result)
	w.tell(ctx, a.delivery, result)
	w.cfg.Points(ctx, AfterAnswer)
	// The letter keeps the event, and who replays that runs all of it.
	if err := a.run.ForgetSteps(ctx); err != nil {
		return err
	}
	return w.bury(ctx, a.delivery, reason, a.redactor.Text(detail))
}

func unfinishable(run behalf.RunID, reason bus.Reason) behalf.Result {
	failure := behalf.FailPlatform(run)
	if reason == bus.ReasonVersion {
		failure = behalf.FailVersionUnavailable(run)
	}
	return behalf.Result{V: behalf.FormatVersion, Run: run, State: behalf.StateFailed, Failure: failure}
}

// refused tells a fence, after which another attempt owns the run, from a journal that will never take this run's
// records: then to come again would only run its steps again.
func (w *Worker) refused(ctx context.Context, a *attempt, err error) error {
	switch {
	case fault.CodeOf(err) == journal.CodeEvicted:
		return w.giveUp(ctx, a, bus.ReasonJournalEvicted, "the journal dropped this run's records while it ran")
	case unrecordable(err):
		return w.giveUp(ctx, a, bus.ReasonPlatform, err.Error())
	}
	return err
}

// unrecordable says that the journal will not take the record however often it is offered.
func unrecordable(err error) bool {
	return fault.CodeOf(err) == journal.CodeEvicted || fault.Is(err, fault.Invalid)
}

func (w *Worker) bury(ctx context.Context, d *bus.Delivery, reason bus.Reason, detail string) error {
	ctx, cancel := w.settling(ctx)
	defer cancel()
	if ref := d.Event.TriggerRef; ref != nil { // a letter has no history, and stays until somebody has dealt with it
		if err := w.deps.Store.KeepObject(ctx, *ref); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	w.metrics.dead.WithLabelValues(string(reason)).Inc()
	w.log.Error().Str("run", string(d.Event.Run)).Str("reason", string(reason)).Str("detail", detail).Msg("event goes to the dead letters")
	return d.Bury(ctx, w.cfg.Name, reason, detail)
}
