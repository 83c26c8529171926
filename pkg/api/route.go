package api

import (
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Route is one row of the API: what it is called by, and the scope that it asks for. No scope means that it needs no
// bearer.
type Route struct {
	Method  string
	Pattern string
	Scope   behalf.Scope
	// ByUser says that a connect token will do, so that a page of the application may call it for its one user.
	ByUser bool
}

// Routes lists every route of the API.
func Routes() []Route {
	var list []Route
	for _, row := range new(API).routes() {
		list = append(list, row.Route)
	}
	return list
}

// row is a route with what serves it.
type row struct {
	Route
	// serve answers a caller who has the scope.
	serve func(w http.ResponseWriter, r *http.Request, c call) error
	// open answers in place of serve where the route asks for no scope, or where capable says that the request proves
	// itself in another way.
	open    web.HandlerFunc
	capable func(r *http.Request) bool
}

// call is who calls, and where.
type call struct {
	behalf.Identity
	Env
	environment behalf.Environment
	// user is the one of a connect token, to whom all that is done is confined. Empty for a client.
	user behalf.ExternalUserID
}

// sees says whether the caller may know of this user. For no user it is true.
func (c call) sees(user behalf.ExternalUserID) bool {
	return c.user == "" || user == "" || user == c.user
}

func (a *API) routes() []row { return append(a.resourceRoutes(), a.clientRoutes()...) }

func (a *API) resourceRoutes() []row {
	route := func(method, pattern string, scope behalf.Scope) Route { return Route{method, pattern, scope, false} }
	byUser := func(method, pattern string) Route { return Route{method, pattern, behalf.ScopeConnect, true} }
	open := func(method, pattern string) Route { return Route{method, pattern, "", false} }
	return []row{
		{Route: open("GET", "/healthz"), open: plain(web.Healthz())},
		{Route: open("GET", "/readyz"), open: plain(web.Readyz(a.lacking))},
		{Route: open("GET", "/v1/openapi.json"), open: a.openapi},
		{Route: open("POST", "/v1/oauth/token"), open: a.token},

		{
			Route: route("GET", "/v1/runs/{run}/result", behalf.ScopeInvoke), serve: a.result,
			open: a.resultByToken, capable: hasResultToken,
		},
		{Route: route("GET", "/v1/runs/{run}", behalf.ScopeManage), serve: a.run},
		{Route: route("GET", "/v1/runs", behalf.ScopeManage), serve: a.runs},

		{Route: route("GET", "/v1/runs/tail", behalf.ScopeManage), serve: a.tailRuns},
		{Route: route("POST", "/v1/runs/{run}/replay", behalf.ScopeManage), serve: a.replayRun},
		{Route: route("POST", "/v1/runs/{run}/cancel", behalf.ScopeManage), serve: a.cancelRun},
		{Route: route("GET", "/v1/deadletters", behalf.ScopeManage), serve: a.letters},
		{Route: route("GET", "/v1/deadletters/counts", behalf.ScopeManage), serve: a.countLetters},
		{Route: route("GET", "/v1/deadletters/{letter}", behalf.ScopeManage), serve: a.letter},
		{Route: route("POST", "/v1/deadletters/{letter}/replay", behalf.ScopeManage), serve: a.replayLetter},
		{Route: route("DELETE", "/v1/deadletters/{letter}", behalf.ScopeManage), serve: a.discardLetter},
		{Route: route("GET", "/v1/events", behalf.ScopeManage), serve: a.events},
		{Route: route("GET", "/v1/events/{event}", behalf.ScopeManage), serve: a.event},
		{Route: byUser("GET", "/v1/connect/accounts"), serve: a.connectAccounts},
		{Route: byUser("POST", "/v1/connect/accounts"), serve: a.connectCreate},
		{Route: byUser("GET", "/v1/connect/accounts/{account}"), serve: a.connectAccount},
		{Route: byUser("DELETE", "/v1/connect/accounts/{account}"), serve: a.deleteAccount},
		{Route: route("DELETE", "/v1/connect/accounts/app/{app}", behalf.ScopeConnect), serve: a.deleteByApp},
		{Route: byUser("DELETE", "/v1/connect/apps/{app}/accounts"), serve: a.deleteByApp},
		{Route: byUser("GET", "/v1/connect/users/{user}/accounts"), serve: a.connectByUser},
		{Route: route("GET", "/v1/connect/users", behalf.ScopeConnect), serve: a.connectUsers},
		{Route: byUser("DELETE", "/v1/connect/users/{user...}"), serve: a.deleteUser},
		{Route: byUser("GET", "/v1/connect/apps"), serve: a.connectApps},
		{Route: byUser("GET", "/v1/connect/apps/{app}"), serve: a.app},

		{Route: route("PUT", "/v1/accounts/{account}", behalf.ScopeConnect), serve: a.importAccount},
		{Route: route("PATCH", "/v1/users/{user}", behalf.ScopeConnect), serve: a.configureUser},
		{Route: route("POST", "/v1/users/forget", behalf.ScopeManage), serve: a.forgetUser},

		{Route: route("GET", "/v1/users", behalf.ScopeConnect), serve: a.users},
		{Route: route("GET", "/v1/users/{user...}", behalf.ScopeConnect), serve: a.user},

		{Route: route("GET", "/v1/accounts", behalf.ScopeConnect), serve: a.accounts},
		{Route: route("POST", "/v1/accounts", behalf.ScopeConnect), serve: a.createAccount},
		{Route: route("GET", "/v1/accounts/{account}", behalf.ScopeConnect), serve: a.account},
		{Route: route("DELETE", "/v1/accounts/{account}", behalf.ScopeConnect), serve: a.deleteAccount},

		{Route: route("POST", "/v1/deploy", behalf.ScopeManage), serve: a.deploy},
		{Route: route("GET", "/v1/workflows", behalf.ScopeManage), serve: a.workflows},
		{Route: route("GET", "/v1/workflows/{workflow}", behalf.ScopeManage), serve: a.workflow},
		{Route: route("POST", "/v1/workflows/{workflow}/promote", behalf.ScopeManage), serve: a.promote},
		{Route: route("POST", "/v1/workflows/{workflow}/rollback", behalf.ScopeManage), serve: a.rollback},

		{Route: route("GET", "/v1/env", behalf.ScopeManage), serve: a.variables},
		{Route: route("PUT", "/v1/env/{variable}", behalf.ScopeManage), serve: a.setVariable},
		{Route: route("DELETE", "/v1/env/{variable}", behalf.ScopeManage), serve: a.unsetVariable},

		{Route: byUser("GET", "/v1/apps"), serve: a.apps},
		{Route: byUser("GET", "/v1/apps/{app}"), serve: a.app},
		{Route: route("GET", "/v1/actions", behalf.ScopeConnect), serve: a.actions},
		{Route: route("GET", "/v1/actions/{action}", behalf.ScopeConnect), serve: a.action},

		{Route: route("POST", "/v1/connect/tokens", behalf.ScopeConnect), serve: a.createConnectToken},
		{Route: Route{"GET", "/v1/connect/tokens/{token}/validate", "", true}, open: a.validateConnectToken},
		{Route: route("GET", "/v1/connect/oauth_apps", behalf.ScopeManage), serve: a.oauthApps},
		{Route: route("POST", "/v1/connect/oauth_apps", behalf.ScopeManage), serve: a.createOAuthApp},
		{Route: route("GET", "/v1/connect/oauth_apps/{oauth_app}", behalf.ScopeManage), serve: a.oauthApp},
		{Route: route("PUT", "/v1/connect/oauth_apps/{oauth_app}", behalf.ScopeManage), serve: a.changeOAuthApp},
		{Route: route("DELETE", "/v1/connect/oauth_apps/{oauth_app}", behalf.ScopeManage), serve: a.deleteOAuthApp},

		{Route: route("POST", "/v1/endpoints/{endpoint}/token", behalf.ScopeManage), serve: a.rotateToken},
	}
}

// ServeHTTP finds the route, and answers what has none as flatly as everything else.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec, began := web.NewRecorder(w), time.Now()
	if a.refuses(rec, r) {
		a.metrics.observe("", r.Method, rec.Status(), time.Since(began))
		return
	}
	if a.deps.Pages != nil && a.deps.Pages.Serves(r.URL.Path) {
		a.deps.Pages.ServeHTTP(rec, r)
		a.metrics.observe("pages", r.Method, rec.Status(), time.Since(began))
		return
	}
	r = withoutProject(r)
	matched, pattern := a.mux.Handler(r)
	crossed := a.crossed(r)
	switch {
	case untidy(r.URL.EscapedPath()): // the mux would send such a path elsewhere, and no client of ours means that
		web.WriteError(rec, notFound("no such route"))
	case crossed != "":
		pattern = crossed
		preflight(rec, r)
	case pattern == "", slashless(pattern, r.URL.Path):
		web.WriteError(rec, unmatched(rec.Header(), matched, r))
	default:
		a.mux.ServeHTTP(rec, r)
	}
	a.metrics.observe(pattern, r.Method, rec.Status(), time.Since(began))
}

// unmatched asks the mux's own handler which it is: another method, or another path.
func unmatched(h http.Header, matched http.Handler, r *http.Request) error {
	probe := &probe{header: http.Header{}}
	matched.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return notFound("no such route")
	}
	h.Set("Allow", probe.header.Get("Allow"))
	return fault.New(fault.Invalid, "api.ServeHTTP", "this route has other methods").WithCode(web.CodeMethodNotAllowed)
}

// handler puts the order of checks before a route: who, where, whether they may; only then is a body read.
func (a *API) handler(route row) http.Handler {
	return web.Handle(a.deps.Log, func(w http.ResponseWriter, r *http.Request) error {
		if route.Scope == "" || route.capable != nil && route.capable(r) {
			return route.open(w, r)
		}
		c, err := a.authorize(w.Header(), r, route.Route)
		if err != nil {
			return err
		}
		return route.serve(w, r, c)
	})
}

func (a *API) authorize(h http.Header, r *http.Request, route Route) (call, error) {
	bearer, err := web.Bearer(r)
	if err != nil {
		return call{}, a.stranger(r, err)
	}
	if auth.IsConnectToken(bearer) {
		return a.authorizeUser(h, r, route, bearer)
	}
	id, err := a.deps.Verifier.Verify(r.Context(), bearer)
	if err != nil {
		return call{}, a.stranger(r, err)
	}
	if named, ok := namedProject(r.Context()); ok && named != id.Project {
		return call{}, notFound("no such project")
	}
	env, err := a.environment(r.Header)
	if err != nil {
		return call{}, err
	}
	if err := id.May(route.Scope, env); err != nil {
		return call{}, err
	}
	stores, ok := a.deps.Environments[env]
	if !ok {
		return call{}, invalid("this API does not serve " + string(env)).WithCode(string(behalf.CodeEnvironmentInvalid))
	}
	return call{Identity: id, Env: stores, environment: env}, nil
}

// environment reads the header of a call. Several of them are as wrong as one that names neither.
func (a *API) environment(h http.Header) (behalf.Environment, error) {
	values := h.Values("X-Pd-Environment")
	if len(values) == 0 {
		return a.cfg.DefaultEnvironment, nil
	}
	env, err := behalf.ParseEnvironment(strings.Join(values, ", "))
	if err != nil {
		failure := behalf.FailEnvironmentInvalid()
		return "", invalid(failure.Message).WithCode(string(failure.Code))
	}
	return env, nil
}

// untidy says whether the mux would redirect this path to another.
func untidy(escaped string) bool {
	return escaped != "/" && path.Clean(escaped) != strings.TrimSuffix(escaped, "/")
}

// slashless says whether the mux would redirect this path because a pattern begins with it and a slash.
func slashless(pattern, path string) bool {
	_, pattern, _ = strings.Cut(pattern, " ")
	begin, wildcard, _ := strings.Cut(pattern, "{")
	return strings.HasSuffix(wildcard, "...}") && path+"/" == begin
}

func plain(h http.Handler) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// probe takes an answer that nobody shall see.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }

func invalid(why string) *fault.Error { return fault.New(fault.Invalid, "api", why) }

func notFound(what string) *fault.Error { return fault.New(fault.NotFound, "api", what) }
