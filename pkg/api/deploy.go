package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// maxBundle bounds the body of a deploy, in bytes.
const maxBundle = 4 << 20

// Bundle is one workflow's folder: its name, and its files by their names.
type Bundle struct {
	Folder string            `json:"folder"`
	Files  map[string]string `json:"files"`
}

// Loaded is a checked version, and the code of its steps by the names of the files.
type Loaded struct {
	Version behalf.Version
	Sources map[string][]byte
}

// Loader reads a folder of workflow files. Errors: Invalid, with every mistake.
type Loader func(project behalf.ProjectID, folder string, files map[string][]byte) (Loaded, error)

// Deployed is where a workflow answers now.
type Deployed struct {
	WorkflowID  behalf.WorkflowID  `json:"workflow_id"`
	Name        string             `json:"name"`
	Version     behalf.VersionID   `json:"version"`
	Environment behalf.Environment `json:"environment"`
	EndpointID  behalf.EndpointID  `json:"endpoint_id"`
	URL         string             `json:"url"`
	PathURL     string             `json:"path_url"`
	// TriggerToken is the static token of a trigger with auth: token. It is told by the deploy that made it, and never
	// again.
	TriggerToken secret.String `json:"-"`
}

// Deployer makes a version the one that answers in an environment.
type Deployer struct {
	links        Links
	environments map[behalf.Environment]Env
	load         Loader
}

// NewDeployer makes a deployer. Of an environment it uses Workflows, Endpoints, Versions, Accounts and Variables.
func NewDeployer(links Links, environments map[behalf.Environment]Env, load Loader) *Deployer {
	return &Deployer{links: links, environments: environments, load: load}
}

// Deploy loads a folder, stores what it needs and switches the workflow over. To deploy the same content again changes
// nothing, and mends what an earlier deploy left half done. Errors: Invalid for a folder that cannot be loaded or an
// environment that is not served, with the code account_required for own accounts
// that are not there, and variable_required for environment variables; Conflict when others deploy the same workflow all
// the time; Unavailable.
func (d *Deployer) Deploy(ctx context.Context, env behalf.Environment, project behalf.ProjectID, b Bundle) (Deployed, error) {
	stores, ok := d.environments[env]
	if !ok {
		return Deployed{}, invalid("this API does not serve " + string(env))
	}
	loaded, err := d.load(project, b.Folder, b.contents())
	if err != nil {
		return Deployed{}, err
	}
	if err := checkNeeds(ctx, stores, loaded.Version, env); err != nil {
		return Deployed{}, err
	}
	if err := putContent(ctx, stores.Versions, loaded); err != nil {
		return Deployed{}, err
	}
	return d.serve(ctx, env, change{folder: b.Folder, version: loaded.Version})
}

// change is what a workflow is switched to.
type change struct {
	folder  string
	version behalf.Version
	// back makes an earlier version serve again, which leaves the order of those that have served.
	back bool
}

// serve makes a stored version the one that answers in an environment.
func (d *Deployer) serve(ctx context.Context, env behalf.Environment, to change) (Deployed, error) {
	var workflow behalf.Workflow
	err := retry(func() (err error) {
		workflow, err = d.activate(ctx, env, to)
		return err
	})
	if err != nil {
		return Deployed{}, err
	}
	var token secret.String
	err = retry(func() (err error) {
		token, err = open(ctx, d.environments[env].Endpoints, workflow.Endpoint, to.version)
		return err
	})
	if err != nil {
		return Deployed{}, err
	}
	return Deployed{
		WorkflowID: workflow.ID, Name: workflow.Name, Version: workflow.Version, Environment: env,
		EndpointID: workflow.Endpoint, URL: d.links.Host(workflow.Endpoint), PathURL: d.links.Path(workflow.Endpoint),
		TriggerToken: token,
	}, nil
}

func (b Bundle) contents() map[string][]byte {
	files := make(map[string][]byte, len(b.Files))
	for name, text := range b.Files {
		files[name] = []byte(text)
	}
	return files
}

// putContent stores what a version refers to before the version, so that whoever finds a version can run it.
func putContent(ctx context.Context, versions Versions, loaded Loaded) error {
	v := loaded.Version
	for _, step := range v.Steps {
		if step.Source == nil {
			continue
		}
		content, ok := loaded.Sources[step.Source.File]
		if !ok {
			return fault.New(fault.Internal, "api.putContent", "").Because(fmt.Errorf("no source of step %s", step.Name))
		}
		ref, err := versions.PutObject(ctx, v.Project, content)
		if err != nil {
			return err
		}
		if ref.Object != step.Source.Object || ref.SHA256 != step.Source.SHA256 {
			return fault.New(fault.Internal, "api.putContent", "").Because(fmt.Errorf("the source of step %s has another name in the store", step.Name))
		}
	}
	return versions.PutVersion(ctx, v)
}

// retry does again what lost a race, for it reads anew before it writes.
func retry(once func() error) error {
	const tries = 5
	var err error
	for range tries {
		if err = once(); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return err
}

// activate writes the workflow's record, which also claims its endpoint id.
func (d *Deployer) activate(ctx context.Context, env behalf.Environment, to change) (behalf.Workflow, error) {
	v, workflows := to.version, d.environments[env].Workflows
	current, revision, err := workflows.Workflow(ctx, v.Project, v.Workflow)
	switch {
	case fault.Is(err, fault.NotFound):
		revision = 0
		if current.Endpoint, err = d.endpointID(ctx, env, v); err != nil {
			return behalf.Workflow{}, err
		}
	case err != nil:
		return behalf.Workflow{}, err
	}
	next := behalf.Workflow{
		V: behalf.FormatVersion, ID: v.Workflow, Project: v.Project, Name: v.Name, Folder: to.folder,
		Endpoint: current.Endpoint, Version: v.ID, Served: current.ServedWith(v.ID), UpdatedAt: current.UpdatedAt,
	}
	if to.back {
		next.Served = current.Served
	}
	if revision != 0 && same(current, next) {
		return current, nil
	}
	next.UpdatedAt = time.Now().UTC()
	_, err = workflows.PutWorkflow(ctx, next, revision)
	return next, err
}

// endpointID is that of the other environment, since one URL serves both; else a fresh one.
func (d *Deployer) endpointID(ctx context.Context, env behalf.Environment, v behalf.Version) (behalf.EndpointID, error) {
	for _, other := range behalf.Environments() {
		stores, ok := d.environments[other]
		if !ok || other == env {
			continue
		}
		w, _, err := stores.Workflows.Workflow(ctx, v.Project, v.Workflow)
		switch {
		case err == nil:
			return w.Endpoint, nil
		case !fault.Is(err, fault.NotFound):
			return "", err
		}
	}
	return behalf.NewEndpointID(), nil
}

// open writes the endpoint, from which on the ingress serves the version. It returns the trigger's token where it made
// one: at the first deploy with auth: token, or the first since another kind of auth.
func open(ctx context.Context, endpoints Endpoints, id behalf.EndpointID, v behalf.Version) (secret.String, error) {
	current, revision, err := endpoints.Endpoint(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return secret.String{}, err
	}
	next := behalf.Endpoint{
		V: behalf.FormatVersion, ID: id, Project: v.Project, Workflow: v.Workflow, Name: v.Name, Version: v.ID,
		Trigger: v.Trigger, Needs: v.Needs(), Timeout: v.Settings.Timeout,
	}
	var token secret.String
	if v.Trigger.Auth == behalf.AuthToken {
		next.TokenHash = current.TokenHash
		if next.TokenHash == "" {
			token = auth.NewTriggerToken()
			next.TokenHash = auth.Hash(token)
		}
	}
	if same(current, next) {
		return secret.String{}, nil
	}
	_, err = endpoints.PutEndpoint(ctx, next, revision)
	return token, err
}

// same compares two records as they are stored: an empty list and none are the same there.
func same[T any](a, b T) bool {
	left, leftErr := json.Marshal(a)
	right, rightErr := json.Marshal(b)
	return leftErr == nil && rightErr == nil && bytes.Equal(left, right)
}

// deployAnswer shows the token that Deployed hides.
type deployAnswer struct {
	Deployed
	Token string `json:"trigger_token,omitempty"`
}

func (a *API) deploy(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	var b Bundle
	if err := web.DecodeJSON(w, r, maxBundle, &b); err != nil {
		return err
	}
	if b.Folder == "" || len(b.Files) == 0 {
		return invalid("send the folder's name and its files: {\"folder\":\"…\",\"files\":{\"workflow.yaml\":\"…\"}}")
	}
	deployed, err := a.deployer.Deploy(r.Context(), c.environment, c.Project, b)
	return answerDeployed(w, deployed, err)
}

func answerDeployed(w http.ResponseWriter, deployed Deployed, err error) error {
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, deployAnswer{deployed, deployed.TriggerToken.Reveal()})
	return nil
}
