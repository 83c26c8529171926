package operate

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Replay says how a run is repeated: as a new run of the same event.
type Replay struct {
	Project behalf.ProjectID
	// Version that the new run executes. It must be one of the run's own workflow.
	Version behalf.Version
	// From is the step that the new run begins with; what the steps before it have exported is kept. Empty begins with the
	// first, or, for a dead letter, after what is recorded.
	From behalf.StepName
	// Client that asks for it.
	Client behalf.ClientID
}

// Source reads the finished run that a replay repeats. Errors: NotFound; Conflict, of code run_not_finished or
// event_not_stored; Unavailable.
func (o *Operator) Source(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (behalf.Run, error) {
	source, err := o.journal.Show(ctx, project, run)
	switch {
	case err != nil:
		return behalf.Run{}, err
	case !source.State.Finished():
		return behalf.Run{}, fault.Newf(fault.Conflict, "operate.Source", "the run is %s: it can be replayed when it is finished, or canceled first", source.State).WithCode(CodeRunNotFinished)
	case len(source.Event) == 0:
		return behalf.Run{}, notStored()
	}
	return source, nil
}

// Replay runs the event of a finished run, which Source gave, once more. Errors: Invalid, for a step that the version does
// not have; Conflict, of code step_not_recorded or event_not_stored; Exhausted, where the queue is full; Unavailable.
func (o *Operator) Replay(ctx context.Context, source behalf.Run, r Replay) (behalf.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	var was behalf.Event
	if err := json.Unmarshal(source.Event, &was); err != nil {
		return behalf.Event{}, fault.Wrap(fault.Internal, "operate.Replay", err)
	}
	kept, err := keptBefore(source.Steps, r.Version, r.From)
	if err != nil {
		return behalf.Event{}, err
	}
	e, err := o.repeated(ctx, was, behalf.NewRunID(), r)
	if err != nil {
		return behalf.Event{}, err
	}
	if _, err := o.journal.Keep(ctx, e, o.cfg.Name, kept); err != nil {
		return behalf.Event{}, err
	}
	return e, o.publish(ctx, e)
}

// publish hands a replay over. One that was surely not stored is closed: nobody else would.
func (o *Operator) publish(ctx context.Context, e behalf.Event) error {
	_, err := o.bus.Republish(ctx, e)
	if err == nil || fault.CodeOf(err) == string(behalf.CodeAcceptanceUnknown) {
		return err
	}
	if _, closing := o.Cancel(context.WithoutCancel(ctx), e.Project, e.Run); closing != nil {
		o.log.Warn().Err(closing).Str("run", string(e.Run)).Msg("a replay that was not stored could not be closed")
	}
	return err
}

// repeated makes the event of the new run. Nobody waits for its answer, and no result token opens it.
func (o *Operator) repeated(ctx context.Context, was behalf.Event, run behalf.RunID, r Replay) (behalf.Event, error) {
	if _, err := o.Trigger(ctx, was); err != nil { // gone: it would fail at its first step
		return behalf.Event{}, err
	}
	e := was
	e.V, e.ID, e.Run, e.Version, e.At = behalf.FormatVersion, run.Event(), run, r.Version.ID, time.Now().UTC()
	e.Origin.Client, e.Origin.Waits, e.Origin.ResultHash, e.Origin.ReplayOf = r.Client, false, "", was.Run
	if e.TriggerRef == nil && len(e.AppendJSON(nil)) > bus.MaxEvent { // it says more of its origin than the first one
		ref, err := o.objects.PutUnshared(ctx, e.Project, e.Trigger)
		if err != nil {
			return behalf.Event{}, err
		}
		e.Trigger, e.TriggerRef = nil, &ref
	}
	return e, nil
}

// keptBefore takes what a run has recorded of the steps before one.
func keptBefore(recorded []behalf.StepRecord, v behalf.Version, from behalf.StepName) ([]behalf.StepRecord, error) {
	if from == "" {
		return nil, nil
	}
	n := slices.IndexFunc(v.Steps, func(s behalf.Step) bool { return s.Name == from })
	if n < 0 {
		return nil, fault.Newf(fault.Invalid, "operate.Replay", "version %s has no step %s", v.ID, from)
	}
	kept := lineUp(recorded, v)
	if len(kept) < n {
		return nil, fault.Newf(fault.Conflict, "operate.Replay", "nothing is recorded of step %s, which comes before %s", v.Steps[len(kept)].Name, from).WithCode(CodeStepNotRecorded)
	}
	return kept[:n], nil
}

// lineUp takes the records of the steps that ended well, as far as they are the first steps of the version, in its order.
func lineUp(recorded []behalf.StepRecord, v behalf.Version) []behalf.StepRecord {
	var kept []behalf.StepRecord
	for _, s := range v.Steps {
		i := slices.IndexFunc(recorded, func(r behalf.StepRecord) bool { return r.Path == behalf.Path(s.Name) && r.Err == nil })
		if i < 0 {
			break
		}
		kept = append(kept, recorded[i])
	}
	return kept
}
