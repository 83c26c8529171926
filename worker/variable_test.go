package worker_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/subject"
	"github.com/behalf-dev/behalf/worker"
)

// variables are the environment variables of the project of the tests. What begins with PLAIN is no secret.
type variables map[behalf.VariableName]string

func (v variables) Variable(_ context.Context, project behalf.ProjectID, name behalf.VariableName) (worker.Variable, error) {
	value, ok := v[name]
	if !ok || project != bustest.Project {
		return worker.Variable{}, fault.New(fault.NotFound, "variables", "no such variable")
	}
	found := worker.Variable{Value: secret.New(value)}
	if !strings.HasPrefix(string(name), "PLAIN") {
		found.Secrets = []secret.String{found.Value}
	}
	return found, nil
}

// needing is a version of two steps: the first gets variables, the second has one in its props.
func needing() behalf.Version {
	v := version("one", "two")
	v.Steps[0].Env = []behalf.VariableName{"KEY", "PLAIN"}
	v.Steps[0].Variables = v.Steps[0].Env
	v.Steps[1].Variables = []behalf.VariableName{"OTHER"}
	v.Steps[1].Props = json.RawMessage(`{"auth":"Bearer {{env.OTHER}}","of":"{{steps.one.said}}"}`)
	return v
}

func TestStepsGetTheVariablesThatTheyName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(needing())
	w.variables = variables{"KEY": canary, "OTHER": "other-secret", "PLAIN": "eu-west-1", "NEVER_NAMED": "x"}
	calls := map[behalf.StepName]step.Call{}
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		calls[c.Step.Name] = c
		exports, err := json.Marshal(map[string]string{"said": canary + " other-secret eu-west-1"})
		return behalf.Outcome{Exports: exports, Logs: []behalf.Log{{Text: canary}}, Response: &behalf.Response{Status: 200, Text: canary + " eu-west-1"}}, err
	}
	w.start(worker.Config{})
	e := eventOf(alice)
	result := w.call(e)
	if got := result.Response; got == nil || got.Text != "*** eu-west-1" {
		t.Errorf("the answer is %+v", result)
	}
	if env := calls["one"].Env; len(env) != 2 || env["KEY"].Reveal() != canary || env["PLAIN"].Reveal() != "eu-west-1" {
		t.Errorf("the first step got %d variables", len(env))
	}
	if env := calls["two"].Env; len(env) != 0 {
		t.Errorf("the second step got %d variables", len(env))
	}
	if got := string(calls["two"].Props); got != `{"auth":"Bearer other-secret","of":"*** *** eu-west-1"}` {
		t.Errorf("the props are %s", got)
	}
	w.settled()
	for _, stream := range []string{subject.Runs(bustest.Environment), subject.History(bustest.Environment)} {
		for _, m := range w.messages(stream) {
			traces(t, stream, string(m.Message.Data))
			if strings.Contains(string(m.Message.Data), "other-secret") {
				t.Errorf("%s holds a variable", stream)
			}
		}
	}
	traces(t, "the log", w.logs.String())
}

// A variable that is gone fails the run before its first step, and says what to do.
func TestAVariableThatIsNotSetFailsTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(needing())
	w.variables = variables{"KEY": "a-key", "PLAIN": "x"}
	w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
		t.Error("a step ran")
		return behalf.Outcome{}, nil
	}
	w.start(worker.Config{})
	w.failed(w.call(eventOf(alice)), behalf.CodeStepFailed,
		"Step two failed: the environment variable OTHER is not set in development; set it with behalf env set OTHER --env development")
}
