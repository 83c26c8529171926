package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Links says where workflows answer.
type Links struct {
	// IngressURL is the public base of the ingress, such as https://run.example.com.
	IngressURL string
	// WorkflowDomain is the host, without a port, under which each endpoint is a host of its own. Empty where there is
	// none.
	WorkflowDomain string
}

// Path is the URL of an endpoint below the ingress.
func (l Links) Path(endpoint behalf.EndpointID) string {
	return strings.TrimSuffix(l.IngressURL, "/") + "/e/" + string(endpoint)
}

// Host is the URL of an endpoint as a host of its own, with the scheme and port of the ingress; without a workflow
// domain it is that of Path.
func (l Links) Host(endpoint behalf.EndpointID) string {
	base, err := url.Parse(l.IngressURL)
	if l.WorkflowDomain == "" || err != nil || base.Scheme == "" {
		return l.Path(endpoint)
	}
	host := string(endpoint) + "." + l.WorkflowDomain
	if port := base.Port(); port != "" {
		host += ":" + port
	}
	return base.Scheme + "://" + host
}

// workflowView is a workflow as the API shows it.
type workflowView struct {
	WorkflowID  behalf.WorkflowID  `json:"workflow_id"`
	Name        string             `json:"name"`
	Folder      string             `json:"folder"`
	Version     behalf.VersionID   `json:"version"`
	Served      []behalf.VersionID `json:"served,omitempty"`
	Environment behalf.Environment `json:"environment"`
	EndpointID  behalf.EndpointID  `json:"endpoint_id"`
	URL         string             `json:"url"`
	PathURL     string             `json:"path_url"`
	UpdatedAt   time.Time          `json:"updated_at"`
}

func (a *API) viewWorkflow(w behalf.Workflow, env behalf.Environment) workflowView {
	return workflowView{
		WorkflowID: w.ID, Name: w.Name, Folder: w.Folder, Version: w.Version, Served: w.Served, Environment: env, EndpointID: w.Endpoint,
		URL: a.cfg.Links.Host(w.Endpoint), PathURL: a.cfg.Links.Path(w.Endpoint), UpdatedAt: w.UpdatedAt,
	}
}

func (a *API) workflows(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	found, err := c.Workflows.Workflows(r.Context(), c.Project)
	if err != nil {
		return err
	}
	data := make([]workflowView, len(found))
	for i, f := range found {
		data[i] = a.viewWorkflow(f, c.environment)
	}
	slices.SortFunc(data, func(a, b workflowView) int {
		return cmp.Or(cmp.Compare(a.Folder, b.Folder), cmp.Compare(a.WorkflowID, b.WorkflowID))
	})
	web.WriteJSON(w, http.StatusOK, newPage(data, ""))
	return nil
}

func (a *API) workflow(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id, err := behalf.ParseWorkflowID(r.PathValue("workflow"))
	if err != nil {
		return noWorkflow()
	}
	found, _, err := c.Workflows.Workflow(r.Context(), c.Project, id)
	switch {
	case fault.Is(err, fault.NotFound):
		return noWorkflow()
	case err != nil:
		return err
	}
	web.WriteJSON(w, http.StatusOK, a.viewWorkflow(found, c.environment))
	return nil
}

func noWorkflow() error { return notFound("no such workflow") }
