package worker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/step"
)

// execute runs the steps that are not done yet, one after another. The next starts only when the record of the one
// before is durable; the last one's record is the run's finish.
func (w *Worker) execute(ctx context.Context, a *attempt) error {
	limit := a.version.Settings.Timeout
	if limit <= 0 {
		limit = behalf.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, done := range a.run.Steps {
		a.exports = append(a.exports, done.Exports)
	}
	steps := a.version.Steps
	for i := len(a.run.Steps); i < len(steps); i++ {
		if a.delivery.Stale() {
			return fault.New(fault.Conflict, "worker.execute", "held too long without a sign of life; another attempt may own the run")
		}
		over, err := w.one(ctx, a, steps[i], i == len(steps)-1)
		if err != nil || over {
			return err
		}
	}
	return w.finish(ctx, a, nil, a.result(nil)) // a version without steps, or one whose last step is recorded already
}

// one runs one step and records it. It is over when the run is finished or gone to wait.
func (w *Worker) one(ctx context.Context, a *attempt, s behalf.Step, last bool) (over bool, err error) {
	call, err := w.call(ctx, a, s)
	if err != nil {
		return true, w.platform(ctx, a, nil, err)
	}
	w.cfg.Points(ctx, BeforeStep)
	began := time.Now()
	outcome, err := w.deps.Runner.Run(ctx, call)
	took := time.Since(began)
	a.timing.Steps += took
	w.cfg.Points(ctx, AfterStep)
	if err != nil {
		return true, w.platform(ctx, a, nil, err)
	}
	if outcome.Cut && ctx.Err() == context.Canceled { //nolint:errorlint // a context's own error is never wrapped
		return true, fault.New(fault.Canceled, "worker.one", "cut short by our own leaving")
	}
	record := a.record(s, began, took, outcome)
	w.metrics.step(s, outcome)
	switch {
	case outcome.Cut, outcome.Err != nil:
		return true, w.failed(ctx, a, s, record, outcome.Cut)
	case last, outcome.Exit != nil:
		return true, w.finish(ctx, a, &record, a.result(&record))
	}
	return false, w.keep(ctx, a, record)
}

// keep makes a step durable that is not the last.
func (w *Worker) keep(ctx context.Context, a *attempt, record behalf.StepRecord) error {
	began := time.Now()
	w.cfg.Points(ctx, BeforeRecord)
	settling, cancel := w.settling(ctx)
	defer cancel()
	if err := a.run.Record(settling, record); err != nil {
		return w.refused(settling, a, err)
	}
	w.cfg.Points(ctx, AfterRecord)
	a.timing.Journal += time.Since(began)
	a.exports = append(a.exports, record.Exports)
	if record.Response != nil && record.Response.Immediate {
		early := behalf.Result{V: behalf.FormatVersion, Run: a.run.Event.Run, State: behalf.StateRunning, Response: record.Response, Timing: a.timing}
		if err := w.deps.Bus.Answer(settling, a.delivery.Reply, early); err != nil {
			w.log.Warn().Err(err).Str("run", string(early.Run)).Msg("early answer not told")
		}
	}
	return nil
}

func (w *Worker) call(ctx context.Context, a *attempt, s behalf.Step) (step.Call, error) {
	e := a.run.Event
	code := ""
	if s.Source != nil {
		text, err := w.deps.Store.Object(ctx, behalf.ObjectRef{Object: s.Source.Object, SHA256: s.Source.SHA256})
		if err != nil {
			return step.Call{}, err
		}
		code = string(text)
	}
	return step.Call{
		Project: e.Project, Environment: e.Environment, Version: e.Version, Run: e.Run, Step: s, Path: behalf.Path(s.Name),
		Attempt: a.run.Attempt + a.run.Retries, Code: code, Props: s.Props, Apps: a.apps[s.Name], Steps: a.steps(),
	}, nil
}

// record is what remains of a step, without any secret.
func (a *attempt) record(s behalf.Step, began time.Time, took time.Duration, o behalf.Outcome) behalf.StepRecord {
	r := behalf.StepRecord{
		Path: behalf.Path(s.Name), Attempt: a.run.Attempt + a.run.Retries, At: began.UTC(), Duration: took,
		Exports: a.redactor.JSON(o.Exports), Logs: o.Logs, Exit: o.Exit, Err: o.Err,
	}
	for i := range r.Logs {
		r.Logs[i].Text = a.redactor.Text(r.Logs[i].Text)
	}
	if e := o.Err; e != nil {
		r.Err = &behalf.StepError{Name: a.redactor.Text(e.Name), Message: a.redactor.Text(e.Message), Stack: a.redactor.Text(e.Stack)}
	}
	if o.Exit != nil {
		r.Exit = &behalf.Exit{Reason: a.redactor.Text(o.Exit.Reason)}
	}
	if o.Response != nil {
		r.Response = a.redact(*o.Response)
	}
	return r
}

func (a *attempt) redact(r behalf.Response) *behalf.Response {
	r.Text = a.redactor.Text(r.Text)
	if r.Binary != nil {
		r.Binary = []byte(a.redactor.Text(string(r.Binary)))
	}
	headers := make(map[string]string, len(r.Headers))
	for name, value := range r.Headers {
		headers[name] = a.redactor.Text(value)
	}
	r.Headers = headers
	return &r
}

// result is the answer of a run that ended well: the first response that a step gave.
func (a *attempt) result(last *behalf.StepRecord) behalf.Result {
	result := behalf.Result{State: behalf.StateOK}
	steps := a.run.Steps
	if last != nil {
		steps = append(steps[:len(steps):len(steps)], *last)
	}
	for _, s := range steps {
		if s.Response != nil {
			result.Response = s.Response
			return result
		}
	}
	if a.run.Event.Origin.Waits {
		result.Failure = behalf.FailNoResponse()
	}
	return result
}

// steps is the object that a step reads as `steps`: the trigger, and the exports of the steps before it.
func (a *attempt) steps() json.RawMessage {
	event := a.run.Event
	size := len(event.Trigger) + 1024
	for _, x := range a.exports {
		size += len(x) + 80
	}
	doc := append(make([]byte, 0, size), `{"trigger":{"event":`...)
	doc = append(doc, event.Trigger...)
	doc = append(doc, `,"context":`...)
	doc = append(doc, a.context()...)
	doc = append(doc, '}')
	for i, x := range a.exports {
		if len(x) == 0 {
			x = json.RawMessage(`{}`)
		}
		doc = append(doc, `,"`...)
		doc = append(doc, a.version.Steps[i].Name...) // checked at deploy: letters, digits and _
		doc = append(doc, `":`...)
		doc = append(doc, x...)
	}
	return append(doc, '}')
}

// triggerContext is steps.trigger.context, with the names that ported code reads.
type triggerContext struct {
	ID                      string                `json:"id"`
	TS                      time.Time             `json:"ts"`
	WorkflowID              behalf.WorkflowID     `json:"workflow_id"`
	WorkflowName            string                `json:"workflow_name"`
	DeploymentID            behalf.VersionID      `json:"deployment_id"`
	ProjectID               behalf.ProjectID      `json:"project_id"`
	TraceID                 behalf.RunID          `json:"trace_id"`
	ExternalUserID          behalf.ExternalUserID `json:"external_user_id"`
	ExternalUserEnvironment behalf.Environment    `json:"external_user_environment"`
	Verified                bool                  `json:"verified"`
	Attempt                 int                   `json:"attempt"`
	Replay                  bool                  `json:"replay"`
	Test                    bool                  `json:"test"`
}

func (a *attempt) context() []byte {
	e := a.run.Event
	doc, err := json.Marshal(triggerContext{
		ID: string(e.ID), TS: e.At, WorkflowID: e.Workflow, WorkflowName: a.version.Name, DeploymentID: e.Version,
		ProjectID: e.Project, TraceID: e.Run, ExternalUserID: e.User, ExternalUserEnvironment: e.Environment,
		Verified: e.Origin.Trusted, Attempt: a.run.Attempt + a.run.Retries,
	})
	if err != nil { // strings, a time and numbers: there is nothing that cannot be encoded
		return []byte(`{}`)
	}
	return doc
}
