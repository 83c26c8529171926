package cli

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/worker"
)

// stepVariables is the credential store as the worker asks for environment variables.
type stepVariables struct {
	env         behalf.Environment
	credentials credential.Store
}

func (s stepVariables) Variable(ctx context.Context, project behalf.ProjectID, name behalf.VariableName) (worker.Variable, error) {
	found, err := credential.Variable(ctx, s.credentials, s.env, project, name)
	return worker.Variable{Value: found.Text, Secrets: found.Secrets()}, err
}

// variableNames are the records of a store as environment variables are named in.
type variableNames struct{ *store.Store }

func (n variableNames) VariableNames(ctx context.Context, project behalf.ProjectID) (behalf.Variables, credential.Revision, error) {
	found, err := n.Variables(ctx, project)
	return found.Value, credential.Revision(found.Revision), err
}

func (n variableNames) PutVariableNames(ctx context.Context, list behalf.Variables, r credential.Revision) error {
	_, err := n.PutVariables(ctx, list, uint64(r))
	return err
}

// variables are environment variables as the API asks for them.
type variables struct{ of credential.Variables }

func (v variables) Variables(ctx context.Context, project behalf.ProjectID) ([]behalf.Variable, error) {
	return v.of.List(ctx, project)
}

func (v variables) SetVariable(ctx context.Context, project behalf.ProjectID, name behalf.VariableName, value secret.String, plain bool) (behalf.Variable, error) {
	return v.of.Set(ctx, project, name, credential.Value{Text: value, Plain: plain})
}

func (v variables) UnsetVariable(ctx context.Context, project behalf.ProjectID, name behalf.VariableName) error {
	return v.of.Unset(ctx, project, name)
}
