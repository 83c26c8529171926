package operate

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
)

// Cancel ends a run: one that is queued never begins, one that waits is not woken any more, and the worker that runs one
// ends its step and writes so. Whoever waits for its answer is told. A run that was canceled before is no error.
//
// The run is over when its finish record is written, by its worker or here, and the fence lets only one of all writers
// through. Everything else, the timer and the event that are taken away, only spares a worker finding that out.
//
// Errors: NotFound; Conflict of code run_finished; Unavailable, after which it may have been canceled: ask again.
func (o *Operator) Cancel(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (behalf.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	for {
		now, err := o.whereabouts(ctx, project, run)
		if err != nil {
			return behalf.Run{}, err
		}
		if now.Run.State.Finished() {
			return o.canceled(ctx, now)
		}
		switch err := o.end(ctx, now); {
		case fault.Is(err, fault.Conflict): // it has gone on meanwhile: look again
			if pause.For(ctx, 20*time.Millisecond) != nil {
				return behalf.Run{}, fault.New(fault.Unavailable, "operate.Cancel", "the run could not be canceled in time; ask again").Because(err)
			}
		case err != nil:
			return behalf.Run{}, err
		}
	}
}

// canceled tells how a run ended. What a try before may have left is cleared away once more.
func (o *Operator) canceled(ctx context.Context, now journal.Whereabouts) (behalf.Run, error) {
	if now.Run.State != behalf.StateCanceled {
		return behalf.Run{}, fault.Newf(fault.Conflict, "operate.Cancel", "the run is finished already: %s", now.Run.State).WithCode(CodeRunFinished)
	}
	q, err := o.bus.Queued(ctx, now.Run.Project, now.Run.ID, now.EventSeq, time.Now())
	switch {
	case fault.Is(err, fault.NotFound):
		return now.Run, o.clear(ctx, now.Run, nil, behalf.Result{})
	case err != nil:
		return behalf.Run{}, err
	}
	return now.Run, o.clear(ctx, now.Run, &q, behalf.Canceled(q.Event))
}

// whereabouts finds a run in the journal, or among the events of which no worker has written anything yet.
func (o *Operator) whereabouts(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (journal.Whereabouts, error) {
	now, err := o.journal.Whereabouts(ctx, project, run)
	if !fault.Is(err, fault.NotFound) {
		return now, err
	}
	q, err := o.bus.Queued(ctx, project, run, 0, run.Time().Add(-queuedBefore))
	switch {
	case fault.Is(err, fault.NotFound): // finished while we looked, or never there
		return o.journal.Whereabouts(ctx, project, run)
	case err != nil:
		return journal.Whereabouts{}, err
	}
	e := q.Event
	return journal.Whereabouts{EventSeq: q.Sequence, Run: behalf.Run{
		ID: run, Project: project, Environment: e.Environment, Workflow: e.Workflow, Version: e.Version, User: e.User,
		State: behalf.StateRunning, StartedAt: e.At, UpdatedAt: e.At, ReplayOf: e.Origin.ReplayOf,
	}}, nil
}

// queuedBefore is how much earlier than its id's time an event may lie in its stream: another machine's clock may be
// ahead.
const queuedBefore = 10 * time.Second

// end ends a run that is not finished: by the worker that holds it, else here. Errors: Conflict, where it has gone on.
func (o *Operator) end(ctx context.Context, now journal.Whereabouts) error {
	held, err := o.bus.Stop(ctx, now.Run.ID)
	if err != nil {
		return err
	}
	if held && o.ended(ctx, now.Run) {
		return nil
	}
	return o.seize(ctx, now)
}

// ended waits until the worker that holds a run has ended it, or put it aside.
func (o *Operator) ended(ctx context.Context, run behalf.Run) bool {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Patience)
	defer cancel()
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 200*time.Millisecond) {
		now, err := o.journal.Whereabouts(ctx, run.Project, run.ID)
		if err == nil && (now.Run.State.Finished() || now.Run.State == behalf.StateWaiting && now.Run.UpdatedAt.After(run.UpdatedAt)) {
			return true
		}
		if pause.For(ctx, delay) != nil {
			return false
		}
		if delay < 200*time.Millisecond {
			continue
		}
		// Said again, so that a worker which has come since hears it; where none holds the run any more, it died with it.
		if held, err := o.bus.Stop(ctx, run.ID); err == nil && !held {
			return false
		}
	}
}

// seize writes the finish of a run from outside, and then takes away what would bring the run to a worker.
func (o *Operator) seize(ctx context.Context, now journal.Whereabouts) error {
	at, err := o.locate(ctx, now)
	if err != nil {
		return err
	}
	run, err := o.journal.Seize(ctx, at.opening)
	if err != nil {
		return err
	}
	run.Attempt = now.Run.Attempts
	result := behalf.Canceled(run.Event)
	if err := run.Finish(ctx, nil, result); err != nil {
		return err
	}
	o.log.Info().Str("run", string(now.Run.ID)).Str("workflow", string(now.Run.Workflow)).Msg("run canceled")
	return o.clear(ctx, now.Run, at.queued, result)
}

// clear takes timer and event of a finished run away, and tells whoever waits.
func (o *Operator) clear(ctx context.Context, run behalf.Run, q *bus.Queued, result behalf.Result) error {
	if err := o.bus.CancelTimer(ctx, run.Project, run.ID); err != nil {
		return err
	}
	if q == nil {
		return nil
	}
	if err := o.bus.Answer(ctx, q.Reply, result); err != nil {
		o.log.Warn().Err(err).Str("run", string(run.ID)).Msg("result not told") // whoever waits reads it from the journal
	}
	return o.bus.Unqueue(ctx, *q)
}

// place is where a run's event lies, and with it all that its finish record keeps.
type place struct {
	opening journal.Opening
	queued  *bus.Queued
}

// locate finds the event of a run that is not finished: with its timer, or in its queue. Where it is in neither, because
// it is on its way from one to the other or gone, the run can be ended all the same, without its event.
func (o *Operator) locate(ctx context.Context, now journal.Whereabouts) (place, error) {
	run := now.Run
	p := place{opening: journal.Opening{
		Worker: o.cfg.Name, EventSeq: now.EventSeq, Deliveries: 1, Event: behalf.Event{
			V: behalf.FormatVersion, ID: run.ID.Event(), Run: run.ID, Project: run.Project, Environment: run.Environment,
			Workflow: run.Workflow, Version: run.Version, User: run.User, Origin: behalf.Origin{ReplayOf: run.ReplayOf},
		},
	}}
	timer, err := o.bus.TimerOf(ctx, run.Project, run.Workflow, run.ID)
	switch {
	case err == nil:
		return o.atTimer(ctx, p, timer)
	case !fault.Is(err, fault.NotFound):
		return p, err
	}
	since := run.StartedAt.Add(-queuedBefore)
	q, err := o.bus.Queued(ctx, run.Project, run.ID, now.EventSeq, since)
	switch {
	case err == nil:
		p.opening.Event, p.opening.Raw, p.opening.EventSeq, p.queued = q.Event, q.Raw, q.Sequence, &q
	case !fault.Is(err, fault.NotFound):
		return p, err
	}
	return p, nil
}

func (o *Operator) atTimer(ctx context.Context, p place, timer bus.Resume) (place, error) {
	state, err := o.journal.Revive(ctx, timer.State)
	if fault.Is(err, fault.NotFound) { // what the run had put aside is gone; it can be ended all the same
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.opening.Event, p.opening.Raw, p.opening.EventSeq = state.Event, state.Raw, state.EventSeq
	p.opening.Resume, p.opening.Token = state, timer.Token
	return p, nil
}
