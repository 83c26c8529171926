package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

// TestMatrixOfConnectTokens is every route by everybody who has a connect token: it stands for its own user where the route
// says so, and does nothing elsewhere. What is another user's looks like what is not there, to the byte.
func TestMatrixOfConnectTokens(t *testing.T) {
	t.Parallel()
	all := cells()
	for _, route := range api.Routes() {
		if route.Scope == "" {
			continue
		}
		c, ok := all[route.Method+" "+route.Pattern]
		if !ok {
			t.Errorf("cells() lacks %s %s", route.Method, route.Pattern)
			continue
		}
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			t.Parallel()
			worthless(t, route, c)
			if !route.ByUser {
				powerlessUser(t, route, c)
				return
			}
			strangers(t, route, c)
			itself(t, route, c)
		})
	}
}

// told checks that nothing of mine was told or changed.
func (w *world) told(t *testing.T, before string, answers ...answer) {
	t.Helper()
	for _, a := range answers {
		if all := fmt.Sprint(a.body, a.header); strings.Contains(all, "canary") {
			t.Errorf("somebody who may not reads %s", all)
		}
	}
	if after := w.dev.ofMine(); after != before {
		t.Errorf("somebody who may not changed what is mine:\n%s\n%s", before, after)
	}
}

// worthless are tokens that are good for nothing, each as much as one that never was.
func worthless(t *testing.T, route api.Route, c cell) {
	t.Helper()
	w, there, nothing := furnished(t)
	bearers := map[string]string{
		"one that never was":        "ctok_nothing",
		"an expired one":            w.bearer(w.dev, "user-canary", func(c *behalf.ConnectToken) { c.ExpiresAt = time.Now().Add(-time.Second) }),
		"a used one":                w.bearer(w.dev, "user-canary", func(c *behalf.ConnectToken) { c.Use.State = behalf.TokenUsed }),
		"one whose user is deleted": w.bearer(w.dev, "deleted"),
	}
	delete(w.dev.users, key(mine, "deleted"))
	before := w.dev.ofMine()
	never := w.ask(asked{route, c, there}, "ctok_nothing", "")
	flat(t, never, 401, "unauthenticated")
	for who, bearer := range bearers {
		for _, values := range []map[string]string{there, nothing} {
			for _, env := range []behalf.Environment{"", behalf.Development, behalf.Production} {
				a := w.ask(asked{route, c, values}, bearer, env)
				if !same(a, never) {
					t.Errorf("%s is answered %d %s %v", who, a.status, a.body, a.header)
				}
				w.told(t, before, a)
			}
		}
	}
}

// powerlessUser holds a good token of the very user against a route that takes none.
func powerlessUser(t *testing.T, route api.Route, c cell) {
	t.Helper()
	w, there, nothing := furnished(t)
	bearer := w.bearer(w.dev, "user-canary")
	before := w.dev.ofMine()
	a, b := w.ask(asked{route, c, there}, bearer, ""), w.ask(asked{route, c, nothing}, bearer, "")
	flat(t, a, 403, "forbidden")
	if !same(a, b) {
		t.Errorf("%d %s; of what is not there: %d %s", a.status, a.body, b.status, b.body)
	}
	w.told(t, before, a, b)
}

// strangers have good tokens of somebody else.
func strangers(t *testing.T, route api.Route, c cell) {
	t.Helper()
	w, there, nothing := furnished(t)
	c.query = strings.ReplaceAll(c.query, "include_credentials=true", "")
	empty := newWorld(t)
	theirsOf := func(token *behalf.ConnectToken) { token.Project = theirs }
	bearers := map[string]func(*world) string{
		"another user":                    func(w *world) string { return w.bearer(w.dev, "another") },
		"the same id in another project":  func(w *world) string { return w.bearer(w.dev, "user-canary", theirsOf) },
		"the same user in production":     func(w *world) string { return w.bearer(w.prod, "user-canary") },
		"another user, and in production": func(w *world) string { return w.bearer(w.prod, "another") },
	}
	names := strings.Contains(route.Pattern, "{account}") || strings.Contains(route.Pattern, "{user")
	for who, issue := range bearers {
		bearer := issue(w)
		before := w.dev.ofMine()
		if strings.Contains(who, "production") {
			flat(t, w.ask(asked{route, c, there}, bearer, behalf.Development), 403, "forbidden")
		}
		a, b := w.ask(asked{route, c, there}, bearer, ""), w.ask(asked{route, c, nothing}, bearer, "")
		if a.status >= 500 || a.status == 401 {
			t.Errorf("%s is answered %d %s", who, a.status, a.body)
		}
		own := strings.Contains(who, "same") && strings.Contains(route.Pattern+c.query, "{user") // it is their own name, elsewhere
		if !c.public && !c.creates && !own && !same(a, b) {
			t.Errorf("%s is answered %d %s; of what is not there: %d %s", who, a.status, a.body, b.status, b.body)
		}
		if names && !own {
			flat(t, a, 404, "not_found")
		}
		if !names && !c.creates {
			if e := empty.ask(asked{route, c, there}, issue(empty), ""); !same(a, e) {
				t.Errorf("%s is answered %d %s; in an empty Behalf: %d %s", who, a.status, a.body, e.status, e.body)
			}
		}
		if !own {
			w.told(t, before, a, b)
		} else if after := w.dev.ofMine(); after != before {
			t.Errorf("%s changed what is mine", who)
		}
	}
}

// itself is the user whose things they are. No credential is told, whether it is asked for or not.
func itself(t *testing.T, route api.Route, c cell) {
	t.Helper()
	w, there, _ := furnished(t)
	bearer, before := w.bearer(w.dev, "user-canary"), w.prod.ofMine()
	if strings.Contains(c.query, "include_credentials") {
		a := w.ask(asked{route, c, there}, bearer, "")
		flat(t, a, 403, "forbidden")
		c.query = strings.ReplaceAll(c.query, "include_credentials=true", "")
	}
	flat(t, w.ask(asked{route, c, there}, bearer, behalf.Production), 403, "forbidden")
	a := w.ask(asked{route, c, there}, bearer, "")
	if a.status != c.status || strings.Contains(a.body, "credential-canary") || strings.Contains(a.body, `"credentials"`) {
		t.Errorf("the user is answered %d %s, want %d", a.status, a.body, c.status)
	}
	if w.prod.ofMine() != before {
		t.Error("something changed in production")
	}
}

// TestTheRoutesOfConnectTokens is the list: whoever adds one says so here.
func TestTheRoutesOfConnectTokens(t *testing.T) {
	t.Parallel()
	var got []string
	for _, route := range api.Routes() {
		if route.ByUser {
			got = append(got, route.Method+" "+route.Pattern)
		}
	}
	slices.Sort(got)
	want := []string{
		"DELETE /v1/connect/accounts/{account}", "DELETE /v1/connect/apps/{app}/accounts", "DELETE /v1/connect/users/{user...}",
		"GET /v1/apps", "GET /v1/apps/{app}", "GET /v1/connect/accounts", "GET /v1/connect/accounts/{account}",
		"GET /v1/connect/apps", "GET /v1/connect/apps/{app}", "GET /v1/connect/tokens/{token}/validate",
		"GET /v1/connect/users/{user}/accounts", "POST /v1/connect/accounts",
	}
	if !slices.Equal(got, want) {
		t.Errorf("a connect token will do for %q, want %q", got, want)
	}
}
