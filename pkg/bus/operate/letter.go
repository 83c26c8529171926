package operate

import (
	"context"
	"encoding/json"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Letters lists dead letters. Errors as bus.Letters.
func (o *Operator) Letters(ctx context.Context, q bus.LetterQuery) (letters []bus.Letter, more bool, err error) {
	return o.bus.Letters(ctx, q)
}

// CountLetters counts dead letters. Errors: Unavailable.
func (o *Operator) CountLetters(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID) ([]bus.LetterCount, error) {
	return o.bus.CountLetters(ctx, project, workflow)
}

// Letter reads one. Errors: NotFound, Unavailable.
func (o *Operator) Letter(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (bus.Letter, error) {
	return o.bus.Letter(ctx, project, id)
}

// Discard takes a letter away for good. False says that it was gone already, or never there. Errors: Unavailable.
func (o *Operator) Discard(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (bool, error) {
	letter, err := o.bus.Letter(ctx, project, id)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return o.bus.Discard(ctx, letter)
}

// letterRun is the run that replays a letter: one, however often and by how many it is asked for. It is a keyed one, so
// whoever takes its event reads its journal first.
func (o *Operator) letterRun(project behalf.ProjectID, id behalf.LetterID) behalf.RunID {
	return behalf.KeyedRunID("dead letter", string(o.bus.Environment()), string(project), string(id))
}

// Replayed tells the run that replays a letter which is there no more. Errors: NotFound, also where the journal of that
// run is forgotten; Unavailable.
func (o *Operator) Replayed(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (behalf.RunID, error) {
	run := o.letterRun(project, id)
	_, err := o.journal.Whereabouts(ctx, project, run)
	return run, err
}

// Opened is a dead letter whose event can be run.
type Opened struct {
	Letter bus.Letter
	Event  behalf.Event
	// Steps that were done before the run was given up.
	Steps []behalf.StepRecord
}

// Open reads what a dead letter holds. Errors: NotFound; Conflict of code not_replayable; Unavailable.
func (o *Operator) Open(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (Opened, error) {
	letter, err := o.bus.Letter(ctx, project, id)
	if err != nil {
		return Opened{}, err
	}
	opened := Opened{Letter: letter}
	if letter.OfTimer() {
		state, err := o.journal.Revive(ctx, letter.Original)
		if err != nil && !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) {
			return Opened{}, err
		}
		if state != nil {
			opened.Event, opened.Steps = state.Event, state.Steps
		}
	} else if json.Unmarshal(letter.Original, &opened.Event) != nil {
		opened.Event = behalf.Event{}
	}
	e := opened.Event
	if e.Project != project || e.Workflow != letter.Workflow || e.Environment != o.bus.Environment() || e.Run == "" {
		return Opened{}, fault.New(fault.Conflict, "operate.Open", "this letter holds no event that could be run: discard it").WithCode(CodeNotReplayable)
	}
	was, err := o.journal.Show(ctx, project, e.Run)
	switch {
	case err == nil && len(was.Steps) > 0:
		opened.Steps = was.Steps
	case err != nil && !fault.Is(err, fault.NotFound):
		return Opened{}, err
	}
	return opened, nil
}

// ReplayLetter runs the event of a dead letter once more, after the steps that were done, and takes the letter away. Of
// several who ask for it, at once or one after the other, all are told the same run. Errors as Replay; Conflict of code
// step_not_recorded also where the version's steps are not those that were done.
func (o *Operator) ReplayLetter(ctx context.Context, l Opened, r Replay) (behalf.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	kept, err := keptOf(l, r)
	if err != nil {
		return behalf.Event{}, err
	}
	e, err := o.repeated(ctx, l.Event, o.letterRun(r.Project, l.Letter.ID), r)
	if err != nil {
		return behalf.Event{}, err
	}
	first, err := o.journal.Keep(ctx, e, o.cfg.Name, kept)
	if err != nil {
		return behalf.Event{}, err
	}
	if first || o.unbegun(ctx, e) {
		// Whoever took the run first may have died since. A second event of it is not run: it has the same id, and its
		// journal is read.
		if _, err := o.bus.Republish(ctx, e); err != nil {
			return behalf.Event{}, err
		}
	}
	_, err = o.bus.Discard(ctx, l.Letter) // only now: what is published is kept
	return e, err
}

func (o *Operator) unbegun(ctx context.Context, e behalf.Event) bool {
	now, err := o.journal.Whereabouts(ctx, e.Project, e.Run)
	return err != nil || !now.Run.State.Finished() && now.Run.Attempts == 0
}

func keptOf(l Opened, r Replay) ([]behalf.StepRecord, error) {
	if r.From != "" {
		return keptBefore(l.Steps, r.Version, r.From)
	}
	done := 0
	for _, s := range l.Steps {
		if s.Err == nil {
			done++
		}
	}
	kept := lineUp(l.Steps, r.Version)
	if len(kept) < done {
		return nil, fault.Newf(fault.Conflict, "operate.ReplayLetter", "the run had done steps that version %s has not in this order: say by --version which version, such as %s, or by --from which step to begin with",
			r.Version.ID, l.Event.Version).WithCode(CodeStepNotRecorded)
	}
	return kept, nil
}
