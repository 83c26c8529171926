package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

// cell is what the matrix has to know of one route. Its wildcards are filled in from furnished; in the body, too.
type cell struct {
	// query and body that its owner sends.
	query, body string
	// status that its owner is answered.
	status int
	// creates says that the route makes something new, so that no two answers are equal.
	creates bool
	// anywhere says that the environment of the call does not choose where the route looks.
	anywhere bool
	// public says that the route tells of what is nobody's own: everybody who has the scope may read it.
	public bool
}

// cells has every route that asks for a scope.
func cells() map[string]cell {
	return map[string]cell{
		"GET /v1/runs":              {status: 200},
		"GET /v1/runs/{run}":        {status: 200},
		"GET /v1/runs/{run}/result": {status: 201},

		"GET /v1/runs/tail":                    {status: 200, query: "after=1"},
		"POST /v1/runs/{run}/replay":           {status: 202},
		"POST /v1/runs/{run}/cancel":           {status: 409}, // it is finished
		"GET /v1/events":                       {status: 200},
		"GET /v1/events/{event}":               {status: 200},
		"GET /v1/deadletters":                  {status: 200},
		"GET /v1/deadletters/counts":           {status: 200},
		"GET /v1/deadletters/{letter}":         {status: 200},
		"POST /v1/deadletters/{letter}/replay": {status: 202},
		"DELETE /v1/deadletters/{letter}":      {status: 200},

		"GET /v1/users":           {status: 200},
		"GET /v1/users/{user...}": {status: 200},

		"GET /v1/accounts":              {status: 200, query: "user={user...}"},
		"POST /v1/accounts":             {status: 200, creates: true, body: `{"app":"slack","user":"{user...}","credential":{"token":"x"}}`},
		"GET /v1/accounts/{account}":    {status: 200},
		"DELETE /v1/accounts/{account}": {status: 204},

		"GET /v1/connect/accounts":                  {status: 200, query: "external_user_id={user}&include_credentials=true"},
		"POST /v1/connect/accounts":                 {status: 200, creates: true, query: "external_user_id={user}", body: `{"app_slug":"slack","cfmap_json":"{\"token\":\"x\"}"}`},
		"GET /v1/connect/accounts/{account}":        {status: 200, query: "include_credentials=true"},
		"DELETE /v1/connect/accounts/{account}":     {status: 204},
		"DELETE /v1/connect/accounts/app/{app}":     {status: 204, creates: true},
		"DELETE /v1/connect/apps/{app}/accounts":    {status: 204, creates: true},
		"GET /v1/connect/users/{user}/accounts":     {status: 200, query: "include_credentials=true"},
		"GET /v1/connect/users":                     {status: 200, query: "q={user}"},
		"DELETE /v1/connect/users/{user...}":        {status: 204},
		"PUT /v1/accounts/{account}":                {status: 200, creates: true, body: `{"app":"slack","user":"{user...}","credential":{"token":"x"}}`},
		"PATCH /v1/users/{user}":                    {status: 200, creates: true, body: `{"config":{"channel":"C1"}}`},
		"POST /v1/users/forget":                     {status: 200, creates: true, body: `{"user":"{user...}"}`},
		"POST /v1/connect/tokens":                   {status: 200, creates: true, body: `{"external_user_id":"{user...}"}`},
		"GET /v1/connect/oauth_apps":                {status: 200},
		"POST /v1/connect/oauth_apps":               {status: 200, creates: true, body: `{"app":"slack","client_id":"1","client_secret":"x"}`},
		"GET /v1/connect/oauth_apps/{oauth_app}":    {status: 200},
		"PUT /v1/connect/oauth_apps/{oauth_app}":    {status: 200, body: `{"client_secret":"y"}`},
		"DELETE /v1/connect/oauth_apps/{oauth_app}": {status: 204},

		"POST /v1/deploy":                        {status: 200, creates: true, body: bundle("token", "three")},
		"GET /v1/workflows":                      {status: 200},
		"GET /v1/workflows/{workflow}":           {status: 200},
		"POST /v1/workflows/{workflow}/promote":  {status: 200, anywhere: true},
		"POST /v1/workflows/{workflow}/rollback": {status: 200},

		"GET /v1/env":               {status: 200},
		"PUT /v1/env/{variable}":    {status: 200, creates: true, body: `{"value":"another"}`},
		"DELETE /v1/env/{variable}": {status: 204},

		"GET /v1/connect/apps":       {status: 200},
		"GET /v1/connect/apps/{app}": {status: 200, public: true},

		"GET /v1/apps":             {status: 200},
		"GET /v1/apps/{app}":       {status: 200, public: true},
		"GET /v1/actions":          {status: 200},
		"GET /v1/actions/{action}": {status: 200, public: true},

		"POST /v1/endpoints/{endpoint}/token": {status: 200},

		"GET /v1/clients":                  {status: 200},
		"POST /v1/clients":                 {status: 200, creates: true, body: `{"name":"backend"}`},
		"GET /v1/clients/{client}":         {status: 200},
		"POST /v1/clients/{client}/secret": {status: 200},
		"DELETE /v1/clients/{client}":      {status: 204},
	}
}

// furnished is a world in which my project has one of everything in development. It gives the values of the wildcards:
// of what is there, and of what never was.
func furnished(t *testing.T) (w *world, there, nothing map[string]string) {
	t.Helper()
	w = newWorld(t)
	now := time.Now().UTC()
	w.dev.users[key(mine, "user-canary")] = behalf.ExternalUser{ID: "exu_canary", Project: mine, External: "user-canary", CreatedAt: now, UpdatedAt: now}
	w.dev.accounts[key(mine, "apn_canary")] = behalf.Account{
		ID: "apn_canary", Project: mine, App: "slack", User: "user-canary", Name: "name-canary", CreatedAt: now, UpdatedAt: now,
	}
	w.dev.credentials["apn_canary"] = "credential-canary"
	w.dev.oauthApps[key(mine, "oa_canary")] = behalf.OAuthApp{ID: "oa_canary", Project: mine, App: "slack", ClientID: "client-canary", CreatedAt: now, UpdatedAt: now}
	w.dev.oauthWords["oa_canary"] = "word-canary"
	w.dev.clients["oac_canary"] = behalf.Client{
		ID: "oac_canary", Project: mine, Name: "client-canary", Scopes: behalf.Scopes(), Environments: []behalf.Environment{behalf.Development}, CreatedAt: now,
	}
	w.dev.variables[key(mine, "KEY_canary")] = variable{behalf.Variable{Name: "KEY_canary", UpdatedAt: now}, "value-canary"}
	deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
	served := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "two")))
	workflow := served["workflow_id"]
	run := w.run(behalf.StateOK, func(r *behalf.Run, _ *behalf.Event) { r.User, r.Workflow = "user-canary", behalf.WorkflowID(workflow) })
	there = map[string]string{
		"{run}": string(run.ID), "{user...}": "user-canary", "{user}": "user-canary", "{account}": "apn_canary", "{workflow}": workflow,
		"{endpoint}": served["endpoint_id"], "{app}": "slack", "{action}": "slack-send-message@1", "{variable}": "KEY_canary", "{oauth_app}": "oa_canary", "{client}": "oac_canary",
		"{letter}": string(letter().ID), "{event}": string(received().Event.ID),
	}
	nothing = map[string]string{
		"{run}": string(behalf.NewRunID()), "{user...}": "nobody", "{user}": "nobody", "{account}": "apn_nothing", "{workflow}": "p_nothing",
		"{endpoint}": string(behalf.NewEndpointID()), "{app}": "nothing", "{action}": "nothing@1", "{variable}": "NOTHING", "{oauth_app}": "oa_nothing", "{client}": "oac_nothing",
		"{letter}": string(behalf.NewLetterID(9, now)), "{event}": string(behalf.NewRunID().Event()),
	}
	return w, there, nothing
}

func filled(text string, values map[string]string) string {
	for wildcard, value := range values {
		text = strings.ReplaceAll(text, wildcard, value)
	}
	return text
}

// ofMine is all that is kept of my project.
func (m *memory) ofMine() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(
		onlyMine(m.workflows), onlyMine(m.versions), onlyMine(m.users), onlyMine(m.accounts), onlyMine(m.variables),
		only(m.clients, func(_ behalf.ClientID, c behalf.Client) bool { return c.Project == mine }),
		onlyMine(m.oauthApps), only(m.oauthWords, func(id behalf.OAuthAppID, _ string) bool { return m.oauthApps[key(mine, id)].ID != "" }),
		only(m.connects, func(_ string, t behalf.ConnectToken) bool { return t.Project == mine }),
		only(m.endpoints, func(_ behalf.EndpointID, e behalf.Endpoint) bool { return e.Project == mine }),
		only(m.runs, func(_ behalf.RunID, r behalf.Run) bool { return r.Project == mine }),
		only(m.credentials, func(id behalf.AccountID, _ string) bool { return m.accounts[key(mine, id)].ID != "" }),
	)
}

func onlyMine[T any](all map[string]T) map[string]T {
	return only(all, func(k string, _ T) bool { return strings.HasPrefix(k, string(mine)+"|") })
}

func only[K comparable, T any](all map[K]T, keep func(K, T) bool) map[K]T {
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(k K, v T) bool { return !keep(k, v) })
	return kept
}

// caller is one who may not, or may not here.
type caller struct {
	bearer      string
	environment behalf.Environment
	status      int
	code        string
}

// unwelcome are those who are refused before it is looked whether there is anything.
func (w *world) unwelcome(scope behalf.Scope) map[string]caller {
	all := []behalf.Scope{behalf.ScopeConnect, behalf.ScopeInvoke, behalf.ScopeManage}
	lower := slices.DeleteFunc(slices.Clone(all), func(s behalf.Scope) bool { return s == scope })
	w.client(behalf.Client{ID: "oac_lower", Project: mine, Scopes: lower, Environments: behalf.Environments()})
	identity := behalf.Identity{Client: ours, Project: mine, Scopes: all, Environments: behalf.Environments(), Generation: 1}
	changed := func(change func(*behalf.Identity)) string {
		id := identity
		change(&id)
		return w.signed(w.signer, id)
	}
	stranger, strangerErr := auth.NewSigner(auth.Config{}, auth.NewKey())
	key := auth.NewKey()
	late, lateErr := auth.NewSigner(auth.Config{Lifetime: -time.Hour}, key)
	if strangerErr != nil || lateErr != nil {
		w.t.Fatal(strangerErr, lateErr)
	}
	for _, m := range []*memory{w.prod, w.dev} {
		m.keys[late.KeyID()] = late.PublicKey()
	}
	good := w.token(ours)
	list := map[string]caller{
		"no token":                       {},
		"a garbage token":                {bearer: "garbage"},
		"a token of garbage parts":       {bearer: "e30.e30.AA"},
		"a token cut short":              {bearer: good[:len(good)-4]},
		"a token signed by a stranger":   {bearer: w.signed(stranger, identity)},
		"an expired token":               {bearer: w.signed(late, identity)},
		"a token of another generation":  {bearer: changed(func(id *behalf.Identity) { id.Generation = 2 })},
		"a token that names my project":  {bearer: changed(func(id *behalf.Identity) { id.Client = other })},
		"a token of a client that never": {bearer: changed(func(id *behalf.Identity) { id.Client = "oac_never" })},
		"a revoked client":               {bearer: w.token(gone)},
	}
	for name, c := range list {
		c.environment, c.status, c.code = behalf.Development, http.StatusUnauthorized, "unauthenticated"
		list[name] = c
	}
	list["every scope but this one"] = caller{w.token("oac_lower"), behalf.Development, 403, "forbidden"}
	list["no scope"] = caller{w.token(powerless), behalf.Development, 403, "forbidden"}
	list["development's client in production"] = caller{w.token(developer), behalf.Production, 403, "forbidden"}
	list["production's client in development"] = caller{w.token(productive), behalf.Development, 403, "forbidden"}
	return list
}

func (w *world) signed(signer *auth.Signer, id behalf.Identity) string {
	w.t.Helper()
	token, err := signer.Sign(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Text.Reveal()
}

// asked is one call of a route, with these values for its wildcards.
type asked struct {
	route  api.Route
	cell   cell
	values map[string]string
}

func (w *world) ask(a asked, bearer string, env behalf.Environment) answer {
	w.t.Helper()
	target := filled(a.route.Pattern, a.values)
	if strings.Contains(target, "{") {
		w.t.Fatalf("furnished() in matrix_test.go has no value for a wildcard of %s: add one of each to there and nothing", a.route.Pattern)
	}
	if a.cell.query != "" {
		target += "?" + filled(a.cell.query, a.values)
	}
	authorization := ""
	if bearer != "" {
		authorization = "Bearer " + bearer
	}
	return w.call("", a.route.Method, target, filled(a.cell.body, a.values), "Authorization", authorization, "X-Pd-Environment", string(env))
}

func same(a, b answer) bool {
	return a.status == b.status && a.body == b.body && fmt.Sprint(a.header) == fmt.Sprint(b.header)
}

// TestMatrix is every route by everybody who may not: nobody learns anything, and nothing of mine changes. What is not
// yours looks like what is not there, to the byte.
func TestMatrix(t *testing.T) {
	t.Parallel()
	all := cells()
	for _, route := range api.Routes() {
		name := route.Method + " " + route.Pattern
		c, ok := all[name]
		delete(all, name)
		switch {
		case route.Scope == "":
			if ok {
				t.Errorf("cells() has %s, which asks for no scope", name)
			}
			continue // TestEveryRouteIsGuarded names those
		case !ok:
			t.Errorf("cells() in matrix_test.go lacks a route. Add its row, with the query and body that its owner sends and "+
				"the status of the answer:\n\t%q: {status: 200},", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			matrixRow(t, route, c)
		})
	}
	for name := range all {
		t.Errorf("cells() has %s, which is no route", name)
	}
}

func matrixRow(t *testing.T, route api.Route, c cell) {
	t.Helper()
	w, there, nothing := furnished(t)
	yours, absent := asked{route, c, there}, asked{route, c, nothing}
	before := []string{w.dev.ofMine(), w.prod.ofMine()}
	if !strings.Contains(before[0], "credential-canary") {
		t.Fatal("nothing of mine is kept, so that nothing could be seen to change")
	}
	var told []answer
	for who, u := range w.unwelcome(route.Scope) {
		a, b := w.ask(yours, u.bearer, u.environment), w.ask(absent, u.bearer, u.environment)
		told = append(told, a)
		flat(t, a, u.status, u.code)
		if !same(a, b) {
			t.Errorf("%s: %d %s; of what is not there: %d %s", who, a.status, a.body, b.status, b.body)
		}
	}
	delete(w.dev.clients, "oac_lower") // one of unwelcome, which an empty Behalf has not
	delete(w.prod.clients, "oac_lower")
	if !c.public {
		told = append(told, w.elsewhere(t, yours, absent)...)
	}
	for _, a := range told {
		for _, mark := range []string{"canary", there["{run}"], there["{workflow}"]} {
			if all := fmt.Sprint(a.body, a.header); strings.Contains(all, mark) && !c.creates {
				t.Errorf("somebody who may not reads %s in %s", mark, all)
			}
		}
	}
	after := []string{w.dev.ofMine(), w.prod.ofMine()}
	if c.creates { // in production I may, and did
		after[1] = before[1]
	}
	if !slices.Equal(before, after) {
		t.Errorf("somebody who may not changed what is mine:\n%v\n%v", before, after)
	}
	if a := w.ask(yours, w.token(ours), behalf.Development); a.status != c.status {
		t.Errorf("its owner is answered %d %s, want %d", a.status, a.body, c.status)
	}
}

// elsewhere asks from another project and in another environment, where there is nothing of mine.
func (w *world) elsewhere(t *testing.T, yours, absent asked) []answer {
	t.Helper()
	empty := newWorld(t)
	places := map[string]struct {
		client behalf.ClientID
		env    behalf.Environment
	}{
		"another project":                     {other, behalf.Development},
		"another project, in production":      {other, behalf.Production},
		"another environment":                 {ours, behalf.Production},
		"another environment, its own client": {productive, behalf.Production},
	}
	if yours.cell.anywhere {
		delete(places, "another environment")
		delete(places, "another environment, its own client") // who may not change development at all
	}
	names := strings.Contains(yours.route.Pattern, "{")
	var told []answer
	for who, p := range places {
		a := w.ask(yours, w.token(p.client), p.env)
		told = append(told, a)
		if yours.cell.creates {
			continue // they make their own; what is mine is compared afterwards
		}
		others := map[string]answer{"what is not there": w.ask(absent, w.token(p.client), p.env)}
		if names {
			flat(t, a, 404, "not_found")
			others["what is not there, of its owner"] = w.ask(absent, w.token(ours), behalf.Development)
		} else {
			others["an empty Behalf"] = empty.ask(yours, empty.token(p.client), p.env)
		}
		for what, b := range others {
			if !same(a, b) {
				t.Errorf("%s is answered %d %s %v; of %s: %d %s %v", who, a.status, a.body, a.header, what, b.status, b.body, b.header)
			}
		}
	}
	return told
}

// TestResultTokenTellsNothing asks for results as strangers who have no token, or another run's.
func TestResultTokenTellsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.run(behalf.StateOK)
	another := w.run(behalf.StateOK, func(_ *behalf.Run, e *behalf.Event) { e.Origin.ResultHash = "" })
	nothing := w.call("", "GET", "/v1/runs/"+string(behalf.NewRunID())+"/result?token=x", "")
	flat(t, nothing, 404, "not_found")
	for _, target := range []string{
		string(run.ID) + "/result?token=x", string(another.ID) + "/result?token=secret-of-the-run",
		string(another.ID) + "/result?token=%00", "run_x/result?token=secret-of-the-run",
	} {
		if a := w.call("", "GET", "/v1/runs/"+target, ""); !same(a, nothing) {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
	flat(t, w.call("", "GET", "/v1/runs/"+string(run.ID)+"/result?token=", ""), 401, "unauthenticated")
	if a := w.call("", "GET", "/v1/runs/"+string(run.ID)+"/result?token=secret-of-the-run", ""); a.status != 201 {
		t.Errorf("who has the token is answered %d %s", a.status, a.body)
	}
}
