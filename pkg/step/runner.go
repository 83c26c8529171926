// Package step runs one step of a workflow in the runtime that its source asks for, and tells what came of it.
//
// It never reads a credential by itself, never writes the journal and never decides what follows a failure. What a step
// leaves behind still holds whatever secrets its author printed: redaction is the worker's, before the record.
package step

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/sandbox"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Call is one execution of one step.
type Call struct {
	Project     behalf.ProjectID
	Environment behalf.Environment
	Version     behalf.VersionID
	Run         behalf.RunID
	Step        behalf.Step
	Path        behalf.Path
	Attempt     int
	// Code is the text of the step's source.
	Code string
	// Props are the evaluated values, a JSON object. Empty means none.
	Props json.RawMessage
	// Apps are the accounts, by prop.
	Apps map[string]App
	// Env are the environment variables that the code finds in process.env, and no others.
	Env map[string]secret.String
	// Timeout is how long the step may run, without the wait for what it runs in. Zero means without end.
	Timeout time.Duration
	// Begin is called once when all is ready, right before the step does anything. Its error is that of Run, and the step
	// does not run. Nil allows it.
	Begin func(ctx context.Context) error
	// Steps is the object that the author reads as `steps`: trigger {event, context}, and the exports of the steps
	// before by name. Empty means none.
	Steps json.RawMessage
}

// App is an account as a step gets it: the app, and the fields of its credential that are found under $auth.
type App = action.App

// Guests run jobs in sandboxed processes, as sandbox.Pool does.
type Guests interface {
	Do(ctx context.Context, job sandbox.Job) (sandbox.Reply, error)
}

// Runner runs steps. It is safe for concurrent use.
type Runner struct {
	node    Guests
	actions action.Catalog
	client  *http.Client
}

// New makes a runner whose Node steps run in these guests, and whose actions send their requests by this client: one of
// egress, which judges each address.
func New(node Guests, actions action.Catalog, client *http.Client) *Runner {
	return &Runner{node: node, actions: actions, client: client}
}

// Run runs one step to its end.
//
// What the author's code did, or what became of its process, is in the outcome: Err for a step that threw, Cut for one
// that its timeout ended. An error means that the step was not run, by no fault of the author's: kind Unavailable where
// no guest could start, Exhausted where none became free in time, Canceled where ctx was canceled (then it may have run
// in part), Internal for a call that makes no sense, and whatever Begin says.
func (r *Runner) Run(ctx context.Context, c Call) (behalf.Outcome, error) {
	const op = "step.Run"
	switch {
	case c.Step.Uses != "":
		return r.runAction(ctx, c)
	case c.Step.Source == nil:
		return behalf.Outcome{}, fault.Newf(fault.Internal, op, "step %s has neither code nor an action", c.Step.Name)
	}
	switch c.Step.Source.Runtime {
	case behalf.RuntimeNode:
		return r.runNode(ctx, c)
	}
	return behalf.Outcome{}, fault.Newf(fault.Internal, op, "step %s asks for the runtime %q", c.Step.Name, c.Step.Source.Runtime)
}

func (r *Runner) runNode(ctx context.Context, c Call) (behalf.Outcome, error) {
	if len(c.Steps) > maxSteps {
		return failed(fmt.Errorf("the event and the exports before this step are larger than %d MiB together", maxSteps>>20)), nil
	}
	body, err := c.appendBody(nil)
	if err != nil {
		return behalf.Outcome{}, fault.Wrap(fault.Internal, "step.Run", err)
	}
	reply, err := r.node.Do(ctx, sandbox.Job{
		Key:  sandbox.Key{Project: c.Project, Environment: c.Environment, Version: c.Version},
		File: c.Step.Source.File, Source: c.Code, Body: body, Timeout: c.Timeout, Begin: c.Begin,
	})
	clear(body) // the secrets in it have been sent
	if err != nil {
		return behalf.Outcome{}, err
	}
	return outcome(reply), nil
}

// The limits of what a step takes and leaves behind.
const (
	maxSteps   = 48 << 20
	maxExports = 6 << 20
	maxDepth   = 256
	maxText    = 64 << 10
)

// outcome is what a reply means. A reply is untrusted: the guest keeps the limits for a clear message, this for safety.
func outcome(r sandbox.Reply) behalf.Outcome {
	out := behalf.Outcome{Exports: r.Exports, Exit: r.Exit, Logs: r.Logs, Err: shorten(r.Err), Cut: r.Cut, Duration: r.Duration}
	if r.Died != "" {
		out.Err = &behalf.StepError{Name: "ProcessEnded", Message: "the step's process ended: " + r.Died}
	}
	if out.Exit != nil && len(out.Exit.Reason) > maxText {
		out.Exit = &behalf.Exit{Reason: out.Exit.Reason[:maxText]}
	}
	if err := checkExports(r.Exports); err != nil {
		out.Exports = nil
		out.Err = &behalf.StepError{Name: "Error", Message: err.Error()}
	}
	response, err := toResponse(r.Response)
	if err != nil {
		out.Err = &behalf.StepError{Name: "Error", Message: err.Error()}
	}
	out.Response = response
	return out
}

func failed(err error) behalf.Outcome {
	return behalf.Outcome{Err: &behalf.StepError{Name: "Error", Message: err.Error()}}
}

func shorten(e *behalf.StepError) *behalf.StepError {
	if e == nil {
		return nil
	}
	return &behalf.StepError{Name: e.Name[:min(len(e.Name), maxText)], Message: e.Message[:min(len(e.Message), maxText)], Stack: e.Stack[:min(len(e.Stack), maxText)]}
}

func toResponse(r *sandbox.Response) (*behalf.Response, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // no answer is no error
	}
	if r.Status < 100 || r.Status > 599 {
		return nil, fmt.Errorf("$.respond: status %d is not one of 100 to 599", r.Status)
	}
	body := r.Binary
	if body == nil {
		body = []byte(r.Text)
	}
	response := behalf.NewResponse(r.Status, r.Headers, body)
	response.Immediate = r.Immediate
	return &response, nil
}
