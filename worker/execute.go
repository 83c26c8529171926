package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/expr"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/step"
)

// execute runs the steps that are not done yet, one after another. The next starts only when the record of the one
// before is durable; the last one's record is the run's finish.
//
// The run's timeout is for the work of this attempt: what a run waited, for a guest too, and what died with another
// worker, is not its author's.
func (w *Worker) execute(ctx context.Context, a *attempt) error {
	w.takeOver(ctx, a)
	steps := a.version.Steps
	for i := len(a.run.Steps); i < len(steps); i++ {
		over, err := w.one(ctx, a, steps[i], i == len(steps)-1)
		if err != nil || over {
			return err
		}
	}
	return w.finish(ctx, a, nil, a.result(nil)) // a version without steps, or one whose last step is recorded already
}

func (a *attempt) limit() time.Duration {
	return cmp.Or(a.version.Settings.Timeout, behalf.DefaultTimeout)
}

// takeOver goes on from what earlier attempts did. Whether they told the answer that a step gave early, nobody knows; a
// second one is dropped where it arrives.
func (w *Worker) takeOver(ctx context.Context, a *attempt) {
	for _, done := range a.run.Steps {
		a.exports = append(a.exports, done.Exports)
		a.timing.Steps += done.Duration
	}
	w.early(ctx, a)
}

// one runs one step and records it. It is over when the run is finished or gone to wait.
func (w *Worker) one(ctx context.Context, a *attempt, s behalf.Step, last bool) (over bool, err error) {
	w.cfg.Points(ctx, BeforeStep)
	if stopped(ctx) {
		return true, fault.New(fault.Canceled, "worker.one", "stopped by the run's operator")
	}
	began := time.Now()
	outcome, err := w.runFilled(ctx, a, s)
	took := cmp.Or(outcome.Duration, time.Since(began))
	a.spent += took
	a.timing.Steps += took
	a.timing.Queue += max(0, time.Since(began)-took) // the wait for a guest
	w.cfg.Points(ctx, AfterStep)
	switch {
	case errors.Is(err, errUnowned):
		return true, w.refused(ctx, a, err)
	case err != nil && !stopped(ctx):
		return true, w.platform(ctx, a, a.clean(err))
	}
	record := a.record(s, time.Now().Add(-took), took, outcome)
	if err != nil || outcome.Cut && errors.Is(ctx.Err(), context.Canceled) {
		return true, w.cutShort(ctx, a, record)
	}
	w.stepped(a, s, outcome, took)
	switch {
	case outcome.Cut, outcome.Err != nil:
		return true, w.failed(ctx, a, s, record, outcome.Cut)
	case last, outcome.Exit != nil:
		return true, w.finish(ctx, a, &record, a.result(&record))
	}
	return w.keep(ctx, a, record)
}

func (w *Worker) stepped(a *attempt, s behalf.Step, o behalf.Outcome, took time.Duration) {
	outcome := w.metrics.step(s, o, took)
	w.log.Debug().Str("run", string(a.run.Event.Run)).Str("step", string(s.Name)).Int("attempt", a.run.Attempt).
		Str("outcome", outcome).Float64("duration_ms", milliseconds(took)).Msg("step ended")
}

// keep makes a step durable that is not the last. It is over where the journal does not take it.
func (w *Worker) keep(ctx context.Context, a *attempt, record behalf.StepRecord) (over bool, err error) {
	settling, cancel := w.settling(ctx)
	defer cancel()
	w.cfg.Points(settling, BeforeRecord)
	began := time.Now()
	answered := first(a.run.Steps) != nil
	if err := a.run.Record(settling, record); err != nil {
		return true, w.refused(settling, a, err)
	}
	a.delivery.Confirm()
	a.timing.Journal += time.Since(began)
	w.cfg.Points(settling, AfterRecord)
	a.exports = append(a.exports, record.Exports)
	if !answered {
		w.early(settling, a)
	}
	return false, nil
}

// early answers before the run is over, where the first response among the steps that are durable asks for it.
func (w *Worker) early(ctx context.Context, a *attempt) {
	r := first(a.run.Steps)
	if r == nil || !r.Immediate {
		return
	}
	w.tell(ctx, a.delivery, behalf.Result{
		V: behalf.FormatVersion, Run: a.run.Event.Run, State: behalf.StateRunning, Response: r, Timing: a.timing,
	})
}

// runFilled fills in the expressions of the step's props and runs it. One that cannot be filled in is the author's failure,
// as if the step had thrown.
func (w *Worker) runFilled(ctx context.Context, a *attempt, s behalf.Step) (behalf.Outcome, error) {
	call := a.call(s)
	props, err := w.filled(a.run.Event.Version, s, call.Steps, a.variable)
	switch {
	case fault.Is(err, fault.StepFailed):
		return behalf.Outcome{Err: &behalf.StepError{Name: "ExpressionError", Message: fault.Safe(err)}}, nil
	case err != nil:
		return behalf.Outcome{}, err
	}
	call.Props, call.Renew = props, w.renewal(a, s.Name)
	outcome, err := w.runOwned(ctx, a, call)
	if err == nil && s.Source != nil && unauthorized(outcome.Err) {
		w.renewAll(ctx, a, s.Name, call.Renew)
	}
	return outcome, err
}

// filled evaluates the expressions in a step's props, where there are any.
func (w *Worker) filled(version behalf.VersionID, s behalf.Step, steps json.RawMessage, variables expr.Variables) (json.RawMessage, error) {
	if !bytes.Contains(s.Props, []byte("{{")) {
		return s.Props, nil
	}
	template, err := w.templates.of(version, s)
	if err != nil { // checked at deploy, by this release or one that knew more
		return nil, fault.Wrap(fault.StepFailed, "worker.filled", err)
	}
	return template.EvalWith(steps, variables)
}

func (a *attempt) call(s behalf.Step) step.Call {
	e := a.run.Event
	return step.Call{
		Project: e.Project, Environment: e.Environment, Version: e.Version, Run: e.Run, Step: s, Path: behalf.Path(s.Name),
		Attempt: a.run.Attempt, Code: a.code[s.Name], Props: s.Props, Apps: a.apps[s.Name], Env: a.env(s), Steps: a.steps(),
		Timeout: max(a.limit()-a.spent, time.Millisecond),
	}
}

// clean takes the run's secrets out of an error of ours, which goes to the log and the dead letters.
func (a *attempt) clean(err error) error {
	text := err.Error()
	if safe := a.redactor.Text(text); safe != text {
		return fault.New(fault.KindOf(err), "worker.step", safe)
	}
	return err
}

// record is what remains of a step, without any secret.
func (a *attempt) record(s behalf.Step, began time.Time, took time.Duration, o behalf.Outcome) behalf.StepRecord {
	r := behalf.StepRecord{
		Path: behalf.Path(s.Name), Attempt: a.run.Attempt, At: began.UTC(), Duration: took,
		Exports: a.redactor.JSON(o.Exports), Logs: slices.Clone(o.Logs),
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
		headers[a.redactor.Text(name)] = a.redactor.Text(value)
	}
	r.Headers = headers
	return &r
}

// result is the answer of a run that ended well: the first response that a step gave.
func (a *attempt) result(last *behalf.StepRecord) behalf.Result {
	result := behalf.Result{State: behalf.StateOK, Response: first(a.run.Steps)}
	if result.Response == nil && last != nil {
		result.Response = last.Response
	}
	if result.Response == nil && a.run.Event.Origin.Waits {
		result.Failure = behalf.FailNoResponse()
	}
	return result
}

// first is the response that counts of those that steps gave.
func first(steps []behalf.StepRecord) *behalf.Response {
	for _, s := range steps {
		if s.Response != nil {
			return s.Response
		}
	}
	return nil
}

// steps is the object that a step reads as `steps`: the trigger, and the exports of the steps before it.
func (a *attempt) steps() json.RawMessage {
	size := len(a.trigger) + 1024
	for _, x := range a.exports {
		size += len(x) + 80
	}
	doc := append(make([]byte, 0, size), `{"trigger":{"event":`...)
	doc = append(doc, a.trigger...)
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
	ID                      string                 `json:"id"`
	TS                      time.Time              `json:"ts"`
	WorkflowID              behalf.WorkflowID      `json:"workflow_id"`
	WorkflowName            string                 `json:"workflow_name"`
	DeploymentID            behalf.VersionID       `json:"deployment_id"`
	ProjectID               behalf.ProjectID       `json:"project_id"`
	TraceID                 behalf.RunID           `json:"trace_id"`
	ExternalUserID          *behalf.ExternalUserID `json:"external_user_id"` // null where the event names none
	ExternalUserEnvironment behalf.Environment     `json:"external_user_environment"`
	ExternalUser            *userContext           `json:"external_user"`
	Verified                bool                   `json:"verified"`
	Attempt                 int                    `json:"attempt"`
	Replay                  bool                   `json:"replay"`
	Test                    bool                   `json:"test"`
}

// userContext is what our customer stores beside the user. Null where the event names none.
type userContext struct {
	ID     behalf.ExternalUserID      `json:"id"`
	Config map[string]json.RawMessage `json:"config"`
}

func (a *attempt) user() *userContext {
	if a.run.Event.User == "" {
		return nil
	}
	config := a.config
	if config == nil {
		config = map[string]json.RawMessage{}
	}
	return &userContext{ID: a.run.Event.User, Config: config}
}

func (a *attempt) context() []byte {
	e := a.run.Event
	c := triggerContext{
		ID: string(e.ID), TS: e.At, WorkflowID: e.Workflow, WorkflowName: a.version.Name, DeploymentID: e.Version,
		ProjectID: e.Project, TraceID: e.Run, ExternalUserEnvironment: e.Environment,
		ExternalUser: a.user(), Verified: e.Origin.Trusted, Attempt: a.run.Attempt, Replay: e.Origin.ReplayOf != "",
	}
	if c.ExternalUser != nil {
		c.ExternalUserID = &c.ExternalUser.ID
	}
	doc, err := json.Marshal(c)
	if err != nil { // strings, a time and numbers: there is nothing that cannot be encoded
		return []byte(`{}`)
	}
	return doc
}
