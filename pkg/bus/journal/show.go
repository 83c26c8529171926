package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/scan"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Result reads how far a run is, without its steps. Workflow may be empty where it is not known. Errors: NotFound,
// while the journal knows nothing of the run; Unavailable.
func (j *Journal) Result(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) (behalf.Run, error) {
	filter, err := j.filter(project, workflow, run)
	if err != nil {
		return behalf.Run{}, err
	}
	last, err := j.last(ctx, subject.JournalOf(j.env, run), filter)
	if fault.Is(err, fault.NotFound) {
		last, err = j.fromHistory(ctx, project, workflow, run)
	}
	if err != nil {
		return behalf.Run{}, err
	}
	if err := j.expand(ctx, &last.record); err != nil {
		return behalf.Run{}, err
	}
	return j.view(last), nil
}

// Find reads how far a run is for a caller who will prove otherwise that it is theirs, whatever its project. Errors as
// Result.
func (j *Journal) Find(ctx context.Context, run behalf.RunID) (behalf.Run, error) {
	if _, err := behalf.ParseRunID(string(run)); err != nil {
		return behalf.Run{}, err
	}
	last, err := j.last(ctx, subject.JournalOf(j.env, run), wordOf(run)+string(j.env)+".*.*."+string(run)+".>")
	if fault.Is(err, fault.NotFound) {
		last, err = j.fromHistory(ctx, "*", "", run)
	}
	if err != nil {
		return behalf.Run{}, err
	}
	if err := j.expand(ctx, &last.record); err != nil {
		return behalf.Run{}, err
	}
	return j.view(last), nil
}

func wordOf(run behalf.RunID) string {
	if run.Keyed() {
		return "key."
	}
	return "run."
}

// Show reads a run with its event, steps, logs and errors. Errors as Result.
func (j *Journal) Show(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (behalf.Run, error) {
	shown, err := j.Result(ctx, project, "", run)
	if err != nil || shown.State.Finished() {
		return shown, err
	}
	records, err := j.records(ctx, project, shown.Workflow, run)
	if err != nil {
		return behalf.Run{}, err
	}
	for _, rec := range records {
		if rec.Kind == behalf.RecordAccepted && shown.Attempts > 0 {
			shown.Steps = append(shown.Steps, rec.Kept...)
		}
		if rec.Step != nil && !slices.ContainsFunc(shown.Steps, func(s behalf.StepRecord) bool { return s.At.Equal(rec.Step.At) }) {
			shown.Steps = append(shown.Steps, *rec.Step)
		}
	}
	slices.SortStableFunc(shown.Steps, func(a, b behalf.StepRecord) int { return a.At.Compare(b.At) })
	return shown, nil
}

func (j *Journal) filter(project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) (string, error) {
	known := workflow
	if workflow == "" {
		known = "p_any" // checked like the others, then replaced: a wildcard is no id
	}
	prefix, err := subject.Run{Environment: j.env, Project: project, Workflow: known, Run: run}.Prefix()
	if err != nil {
		return "", err
	}
	if workflow != "" {
		return prefix.Filter(), nil
	}
	return wordOf(run) + string(j.env) + "." + string(project) + ".*." + string(run) + ".>", nil
}

func (j *Journal) records(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) ([]behalf.Record, error) {
	filter, err := j.filter(project, workflow, run)
	if err != nil {
		return nil, err
	}
	var records []behalf.Record
	for seq := uint64(1); len(records) < maxRecords; seq++ {
		e, err := j.next(ctx, subject.JournalOf(j.env, run), filter, seq)
		if fault.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := j.expand(ctx, &e.record); err != nil {
			return nil, err
		}
		records, seq = append(records, e.record), e.seq
	}
	return records, nil
}

// maxRecords of one run that are read for showing it.
const maxRecords = 10_000

// view tells a record as a run.
func (j *Journal) view(e entry) behalf.Run {
	rec := e.record
	v := behalf.Run{
		ID: rec.Run, Environment: j.env, Attempts: rec.Attempt, UpdatedAt: rec.At, StartedAt: startOf(rec.Run, rec.At),
		State: behalf.StateRunning, Wait: rec.Wait, User: rec.User, Version: rec.Version, ResultHash: rec.ResultHash,
		ReplayOf: rec.ReplayOf, Steps: rec.Kept,
	}
	v.Project, v.Workflow = subject.OwnerOf(e.subject)
	if rec.Wait != nil {
		v.State = behalf.StateWaiting
	}
	if f := rec.Finish; f != nil {
		v.State, v.Result, v.Event, v.Steps = f.Result.State, &f.Result, f.Event, f.Steps
		var event behalf.Event
		if json.Unmarshal(f.Event, &event) == nil {
			v.Project, v.Workflow, v.Version, v.User = event.Project, event.Workflow, event.Version, event.User
			v.ResultHash, v.ReplayOf = event.Origin.ResultHash, event.Origin.ReplayOf
		}
	}
	if rec.Step != nil {
		v.Steps = append(slices.Clip(v.Steps), *rec.Step)
	}
	return v
}

// startOf reads the time out of a run's id, or takes the other for one that was made from a key.
func startOf(run behalf.RunID, otherwise time.Time) time.Time {
	if made := run.Time(); !made.IsZero() {
		return made
	}
	return otherwise
}

// historyScan is the most that is read to find one run in the history.
const historyScan = 20_000

// fromHistory finds a run whose journal is gone, by the time in its id.
func (j *Journal) fromHistory(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) (entry, error) {
	start := startOf(run, time.Time{})
	unknown := fault.New(fault.NotFound, "journal.Result", "no such run")
	if start.IsZero() {
		return entry{}, unknown
	}
	start = start.Add(-time.Second)
	found := entry{}
	err := j.scan(ctx, scan.Query{
		Stream: subject.History(j.env), Filter: "hist." + string(j.env) + "." + string(project) + "." + cmp.Or(string(workflow), "*") + ".*.*",
		Since: start, Most: historyScan,
	}, func(e entry) bool {
		if e.record.Run == run {
			found = e
		}
		return found.record.Finish == nil
	})
	switch {
	case err != nil:
		return entry{}, err
	case found.record.Run == "":
		return entry{}, unknown
	}
	return found, nil
}
