package worker

import (
	"context"
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// fetchVariables gets the environment variables that the version's steps need, each once, in the order of the steps: the
// first one missing is the failure.
func (w *Worker) fetchVariables(ctx context.Context, a *attempt) (*behalf.Failure, error) {
	e := a.run.Event
	for _, s := range a.version.Steps {
		for _, name := range s.Variables {
			if _, ok := a.variables[name]; ok {
				continue
			}
			found, err := w.deps.Variables.Variable(ctx, e.Project, name)
			if fault.Is(err, fault.NotFound) {
				return behalf.FailVariableMissing(s.Name, name, e.Environment), nil
			}
			if err != nil {
				return nil, err
			}
			if a.variables == nil {
				a.variables = map[behalf.VariableName]Variable{}
			}
			a.variables[name] = found
		}
	}
	return nil, nil
}

func (a *attempt) variableSecrets() []secret.String {
	var all []secret.String
	for _, name := range slices.Sorted(maps.Keys(a.variables)) {
		all = append(all, a.variables[name].Secrets...)
	}
	return all
}

// variable finds a variable for an expression.
func (a *attempt) variable(name string) (string, bool) {
	found, ok := a.variables[behalf.VariableName(name)]
	return found.Value.Reveal(), ok
}

// env are the variables that the code of a step gets.
func (a *attempt) env(s behalf.Step) map[string]secret.String {
	if len(s.Env) == 0 {
		return nil
	}
	env := make(map[string]secret.String, len(s.Env))
	for _, name := range s.Env {
		env[string(name)] = a.variables[name].Value
	}
	return env
}
