package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Clients are the OAuth clients of backends, in one environment. All reads are from the leader: a copy may be behind a
// revocation. A client that may act in both environments has a record in each.
type Clients interface {
	ClientFromLeader(ctx context.Context, id behalf.ClientID) (behalf.Client, error)
	// ClientForChange reads one with its revision.
	ClientForChange(ctx context.Context, id behalf.ClientID) (behalf.Client, uint64, error)
	Clients(ctx context.Context, project behalf.ProjectID) ([]behalf.Client, error)
	PutClient(ctx context.Context, client behalf.Client, revision uint64) (uint64, error)
}

func (a *API) clientRoutes() []row {
	route := func(method, pattern string) Route { return Route{method, pattern, behalf.ScopeManage, false} }
	return []row{
		{Route: route("GET", "/v1/clients"), serve: a.listClients},
		{Route: route("POST", "/v1/clients"), serve: a.createClient},
		{Route: route("GET", "/v1/clients/{client}"), serve: a.showClient},
		{Route: route("POST", "/v1/clients/{client}/secret"), serve: a.rotateClient},
		{Route: route("DELETE", "/v1/clients/{client}"), serve: a.revokeClient},
	}
}

const (
	maxClientRequest = 16 << 10
	maxClientName    = 128
)

// clientView is a client as the API shows it. The secret is there where it has just been made, and never again.
type clientView struct {
	ID           behalf.ClientID      `json:"id"`
	Name         string               `json:"name"`
	Scopes       []behalf.Scope       `json:"scopes"`
	Environments []behalf.Environment `json:"environments"`
	Revoked      bool                 `json:"revoked"`
	CreatedAt    time.Time            `json:"created_at"`
	Secret       string               `json:"client_secret,omitempty"`
}

func viewClient(c behalf.Client) clientView {
	return clientView{
		ID: c.ID, Name: c.Name, Revoked: c.Revoked, CreatedAt: c.CreatedAt,
		Scopes: only(behalf.Scopes(), c.Scopes), Environments: only(behalf.Environments(), c.Environments),
	}
}

// listClients lists those that may act in the environment of the call, also those that are revoked.
func (a *API) listClients(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "q", "after", "limit")
	if err != nil {
		return err
	}
	found, err := c.Clients.Clients(r.Context(), c.Project)
	if err != nil {
		return err
	}
	views := make([]clientView, len(found))
	for i, one := range found {
		views[i] = viewClient(one)
	}
	return listed(w, q, views, func(v clientView) (string, string) { return string(v.ID), v.Name })
}

func (a *API) showClient(w http.ResponseWriter, r *http.Request, c call) error {
	found, err := c.namedClient(r)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, viewClient(found))
	return nil
}

// namedClient finds the client of a path. Errors: NotFound, also for another project's.
func (c call) namedClient(r *http.Request) (behalf.Client, error) {
	if _, err := parseQuery(r.URL); err != nil {
		return behalf.Client{}, err
	}
	id, err := behalf.ParseClientID(r.PathValue("client"))
	if err != nil {
		return behalf.Client{}, noClient()
	}
	found, err := c.Clients.ClientFromLeader(r.Context(), id)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && found.Project != c.Project:
		return behalf.Client{}, noClient()
	case err != nil:
		return behalf.Client{}, err
	}
	return found, nil
}

func noClient() error { return notFound("no such client") }

// clientRequest makes a client. What is left out is the least that a backend needs.
type clientRequest struct {
	Name         string               `json:"name"`
	Scopes       []behalf.Scope       `json:"scopes"`
	Environments []behalf.Environment `json:"environments"`
}

func (a *API) createClient(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	var req clientRequest
	if err := web.DecodeJSON(w, r, maxClientRequest, &req); err != nil {
		return err
	}
	made, err := req.client(c)
	if err != nil {
		return err
	}
	if err := a.mayGive(c, made); err != nil {
		return err
	}
	given := auth.NewSecret()
	made.SecretHash = auth.Hash(given)
	for _, env := range made.Environments {
		if _, err := a.deps.Environments[env].Clients.PutClient(r.Context(), made, 0); err != nil {
			return err
		}
	}
	view := viewClient(made)
	view.Secret = given.Reveal()
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

// client checks what was asked for. Scopes default to invoke and connect, environments to that of the call; both are sorted
// as the records have them, production first.
func (req clientRequest) client(c call) (behalf.Client, error) {
	if len(req.Scopes) == 0 {
		req.Scopes = []behalf.Scope{behalf.ScopeConnect, behalf.ScopeInvoke}
	}
	if len(req.Environments) == 0 {
		req.Environments = []behalf.Environment{c.environment}
	}
	made := behalf.Client{
		V: behalf.FormatVersion, ID: behalf.NewClientID(), Project: c.Project, Name: req.Name, Generation: 1, CreatedAt: time.Now().UTC(),
		Scopes:       only(behalf.Scopes(), req.Scopes),
		Environments: only(behalf.Environments(), req.Environments),
	}
	switch {
	case len(req.Name) > maxClientName:
		return behalf.Client{}, fault.Newf(fault.Invalid, "api.client", "name may have %d bytes", maxClientName)
	case len(made.Scopes) != len(req.Scopes):
		return behalf.Client{}, invalid("scopes must be of invoke, connect, manage, each once")
	case len(made.Environments) != len(req.Environments):
		return behalf.Client{}, invalid("environments must be of development, production, each once")
	}
	return made, nil
}

// only gives those of all that are wanted, in the order of all.
func only[T comparable](all, wanted []T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(one T) bool { return !slices.Contains(wanted, one) })
}

// mayGive says whether the caller has every power of a client whose secret it would be told. Errors as mayEnd.
func (a *API) mayGive(c call, client behalf.Client) error {
	for _, scope := range client.Scopes {
		if !slices.Contains(c.Scopes, scope) {
			return fault.Newf(fault.Forbidden, "api.client", "you lack the scope %s, so you cannot give it", scope)
		}
	}
	return a.mayEnd(c, client)
}

// mayEnd says whether the caller may act wherever the client may. Errors: Forbidden; Invalid, where this API does not serve
// one of its environments.
func (a *API) mayEnd(c call, client behalf.Client) error {
	for _, env := range client.Environments {
		if !slices.Contains(c.Environments, env) {
			return fault.Newf(fault.Forbidden, "api.client", "this is for a client that acts in %s, where you may not", env)
		}
		if _, ok := a.deps.Environments[env]; !ok {
			return invalid("this API does not serve " + string(env) + ", where the client may act").WithCode(string(behalf.CodeEnvironmentInvalid))
		}
	}
	return nil
}

// rotateClient gives a client a new secret. The old one, and every token that it got, is refused within 5 seconds.
func (a *API) rotateClient(w http.ResponseWriter, r *http.Request, c call) error {
	found, err := c.namedClient(r)
	if err != nil {
		return err
	}
	if found.Revoked {
		return invalid("this client is revoked: make another one")
	}
	if err := a.mayGive(c, found); err != nil {
		return err
	}
	given := auth.NewSecret()
	changed, err := a.changeClient(r.Context(), found, func(one *behalf.Client) { one.SecretHash = auth.Hash(given) })
	if err != nil {
		return err
	}
	view := viewClient(changed)
	view.Secret = given.Reveal()
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

// revokeClient ends a client. Its tokens are refused within 5 seconds. The record stays, for whoever asks what it was.
func (a *API) revokeClient(w http.ResponseWriter, r *http.Request, c call) error {
	found, err := c.namedClient(r)
	switch {
	case err != nil:
		return err
	case found.ID == c.Client:
		return invalid("this is the client that asks: revoke it with another one, so that somebody can still get in")
	}
	if err := a.mayEnd(c, found); err != nil {
		return err
	}
	if _, err := a.changeClient(r.Context(), found, func(one *behalf.Client) { one.Revoked = true }); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changeClient changes the record in each of the client's environments, production first, as they are read when a token is
// made and verified: once the first is written the change holds, and to do it again after a failure changes the rest.
// Errors: Conflict, when somebody else changed the client meanwhile; Unavailable.
func (a *API) changeClient(ctx context.Context, client behalf.Client, change func(*behalf.Client)) (behalf.Client, error) {
	environments := only(behalf.Environments(), client.Environments)
	for _, env := range environments {
		one, err := a.deps.Environments[env].Clients.ClientFromLeader(ctx, client.ID)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return client, err
		}
		client.Generation = max(client.Generation, one.Generation)
	}
	client.Generation++ // the same in both: a token is held against whichever record a role has
	change(&client)
	for _, env := range environments {
		if err := replace(ctx, a.deps.Environments[env].Clients, client); err != nil {
			return client, err
		}
	}
	return client, nil
}

// replace writes a client in place of an earlier generation, or of none: it was made by half.
func replace(ctx context.Context, clients Clients, client behalf.Client) error {
	return retry(func() error {
		was, revision, err := clients.ClientForChange(ctx, client.ID)
		switch {
		case err != nil && !fault.Is(err, fault.NotFound):
			return err
		case was.Generation >= client.Generation:
			return fault.New(fault.Conflict, "api.client", "the client was changed meanwhile: look at it and try again")
		}
		_, err = clients.PutClient(ctx, client, revision)
		return err
	})
}
