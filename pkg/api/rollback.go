package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Rollback makes a version that has served in an environment serve there again: without a version the one before the
// active one, so that a second rollback goes further back. Errors: NotFound; Invalid for an environment that is not
// served; Conflict where no version is given and an earlier change is half done; Unavailable.
func (d *Deployer) Rollback(ctx context.Context, env behalf.Environment, project behalf.ProjectID, id behalf.WorkflowID, version behalf.VersionID) (Deployed, error) {
	stores, ok := d.environments[env]
	if !ok {
		return Deployed{}, invalid("this API does not serve " + string(env))
	}
	workflow, err := findWorkflow(ctx, stores.Workflows, project, id)
	if err != nil {
		return Deployed{}, err
	}
	if version == "" {
		if version, err = earlier(ctx, stores.Endpoints, workflow, env); err != nil {
			return Deployed{}, err
		}
	}
	if version != workflow.Version && !slices.Contains(workflow.Served, version) {
		return Deployed{}, notFound(string(version) + " is none of the last versions of this workflow that served " + string(env))
	}
	v, err := findVersion(ctx, stores.Versions, workflow, version)
	if err != nil {
		return Deployed{}, err
	}
	return d.serve(ctx, env, change{folder: workflow.Folder, version: v, back: true})
}

// earlier is the version before the active one. Where the endpoint serves another than the workflow's record says, a
// change broke off between the two, and which of them the caller means is not ours to guess.
func earlier(ctx context.Context, endpoints Endpoints, w behalf.Workflow, env behalf.Environment) (behalf.VersionID, error) {
	endpoint, _, err := endpoints.Endpoint(ctx, w.Endpoint)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	if endpoint.Version != w.Version {
		return "", fault.Newf(fault.Conflict, "api.earlier", "the change to %s was left half done; say which version shall serve", w.Version)
	}
	version := w.Earlier()
	if version == "" {
		return "", notFound("no earlier version of this workflow is known to have served " + string(env))
	}
	return version, nil
}

func (a *API) rollback(w http.ResponseWriter, r *http.Request, c call) error {
	id, version, err := readVersion(w, r)
	if err != nil {
		return err
	}
	deployed, err := a.deployer.Rollback(r.Context(), c.environment, c.Project, id, version)
	return answerDeployed(w, deployed, err)
}
