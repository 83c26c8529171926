package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// maxVersionRequest bounds the body of a promotion or a rollback, in bytes.
const maxVersionRequest = 4 << 10

// Promote makes the very version that serves development serve production too, or another of the workflow's versions
// that development knows. Besides it and its code nothing of development reaches production: the project's own accounts
// that it names must be there already, and the environment variables. Errors: NotFound; Invalid for an environment that is
// not served, or with the code account_required for missing accounts and variable_required for missing variables;
// Conflict; Unavailable.
func (d *Deployer) Promote(ctx context.Context, project behalf.ProjectID, id behalf.WorkflowID, version behalf.VersionID) (Deployed, error) {
	from, to := d.environments[behalf.Development], d.environments[behalf.Production]
	for _, env := range behalf.Environments() {
		if _, ok := d.environments[env]; !ok {
			return Deployed{}, invalid("this API does not serve " + string(env))
		}
	}
	workflow, err := findWorkflow(ctx, from.Workflows, project, id)
	if err != nil {
		return Deployed{}, err
	}
	if version == "" {
		version = workflow.Version
	}
	v, err := findVersion(ctx, from.Versions, workflow, version)
	if err != nil {
		return Deployed{}, err
	}
	if err := checkNeeds(ctx, to, v, behalf.Production); err != nil {
		return Deployed{}, err
	}
	sources, err := sourcesOf(ctx, from.Versions, v)
	if err != nil {
		return Deployed{}, err
	}
	if err := putContent(ctx, to.Versions, Loaded{Version: v, Sources: sources}); err != nil {
		return Deployed{}, err
	}
	return d.serve(ctx, behalf.Production, change{folder: workflow.Folder, version: v})
}

func findWorkflow(ctx context.Context, workflows Workflows, project behalf.ProjectID, id behalf.WorkflowID) (behalf.Workflow, error) {
	found, _, err := workflows.Workflow(ctx, project, id)
	if fault.Is(err, fault.NotFound) {
		return behalf.Workflow{}, noWorkflow()
	}
	return found, err
}

// findVersion finds a version of this workflow; another one's looks like none.
func findVersion(ctx context.Context, versions Versions, w behalf.Workflow, id behalf.VersionID) (behalf.Version, error) {
	v, err := versions.Version(ctx, w.Project, id)
	if fault.Is(err, fault.NotFound) || err == nil && (v.Workflow != w.ID || v.Project != w.Project) {
		return behalf.Version{}, notFound("no such version of this workflow")
	}
	return v, err
}

// sourcesOf reads the code of a version's steps by the names of the files.
func sourcesOf(ctx context.Context, versions Versions, v behalf.Version) (map[string][]byte, error) {
	sources := map[string][]byte{}
	for _, step := range v.Steps {
		if step.Source == nil {
			continue
		}
		content, err := versions.Object(ctx, behalf.ObjectRef{Object: step.Source.Object, SHA256: step.Source.SHA256})
		if err != nil {
			return nil, err
		}
		sources[step.Source.File] = content
	}
	return sources, nil
}

// checkOwnAccounts refuses a version that names own accounts which the environment does not have, each with its step.
func checkOwnAccounts(ctx context.Context, accounts Accounts, v behalf.Version, env behalf.Environment) error {
	own, err := accounts.Accounts(ctx, v.Project, "")
	if err != nil {
		return err
	}
	var missing []string
	for _, step := range v.Steps {
		for _, prop := range slices.Sorted(maps.Keys(step.Accounts)) {
			ref := step.Accounts[prop]
			there := slices.ContainsFunc(own, func(a behalf.Account) bool {
				return a.Own() && a.App == ref.App && a.Name == ref.Own
			})
			if ref.Own != "" && !there {
				missing = append(missing, "step "+string(step.Name)+" needs account own/"+ref.Own+" of "+string(ref.App))
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return invalid(strings.Join(missing, "; ") + "; not found in " + string(env)).WithCode(string(behalf.CodeAccountRequired))
}

// versionRequest names a version of the workflow in the path. A request without a body names none.
type versionRequest struct {
	Version string `json:"version"`
}

// readVersion reads the workflow and the version of a request.
func readVersion(w http.ResponseWriter, r *http.Request) (behalf.WorkflowID, behalf.VersionID, error) {
	if _, err := parseQuery(r.URL); err != nil {
		return "", "", err
	}
	var req versionRequest
	if r.ContentLength != 0 {
		if err := web.DecodeJSON(w, r, maxVersionRequest, &req); err != nil {
			return "", "", err
		}
	}
	id, err := behalf.ParseWorkflowID(r.PathValue("workflow"))
	if err != nil {
		return "", "", noWorkflow()
	}
	if req.Version == "" {
		return id, "", nil
	}
	version, err := behalf.ParseVersionID(req.Version)
	return id, version, err
}

// promote asks for the scope in both environments, whichever the call names: it reads one and changes the other.
func (a *API) promote(w http.ResponseWriter, r *http.Request, c call) error {
	for _, env := range behalf.Environments() {
		if err := c.May(behalf.ScopeManage, env); err != nil {
			return err
		}
	}
	id, version, err := readVersion(w, r)
	if err != nil {
		return err
	}
	deployed, err := a.deployer.Promote(r.Context(), c.Project, id, version)
	return answerDeployed(w, deployed, err)
}
