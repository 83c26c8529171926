package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// authorizeUser is authorize for a connect token, as browsers send it: it stands for its one user, in its project and its
// environment, whatever the request says.
func (a *API) authorizeUser(h http.Header, r *http.Request, route Route, bearer secret.String) (call, error) {
	token, env, err := a.bearing(r.Context(), bearer)
	if err != nil {
		return call{}, a.stranger(r, err)
	}
	if !crosses(h, r, token) {
		return call{}, forbidden("this connect token is for no page of this origin: name it in allowed_origins when the token is made")
	}
	if named, ok := namedProject(r.Context()); ok && named != token.Project {
		return call{}, notFound("no such project")
	}
	if err := a.sameEnvironment(r.Header, env); err != nil {
		return call{}, err
	}
	if !route.ByUser {
		return call{}, forbidden("a connect token may not do this: send the token of a client")
	}
	id := behalf.Identity{Project: token.Project, Scopes: []behalf.Scope{behalf.ScopeConnect}, Environments: []behalf.Environment{env}}
	return call{Identity: id, Env: a.deps.Environments[env], environment: env, user: token.User}, nil
}

// bearing finds the token that somebody bears. It is good until it ends, or has connected an account, or its user is
// deleted; then it is as unknown as any other. Errors: Unauthenticated, Unavailable.
func (a *API) bearing(ctx context.Context, bearer secret.String) (behalf.ConnectToken, behalf.Environment, error) {
	token, env, err := a.findConnectToken(ctx, bearer)
	if err == nil && !token.Stands(time.Now()) {
		err = notFound("no such connect token")
	}
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.Unauthenticated, "api.bearing", "this connect token is unknown, was used, or has expired: make another").Because(err)
	}
	return token, env, err
}

// findConnectToken looks in each environment, because a token does not say its own, and in all of them whoever asks, so that
// an unknown token costs the same as one that is known. Errors: NotFound, also where its user is deleted; Unavailable.
func (a *API) findConnectToken(ctx context.Context, text secret.String) (found behalf.ConnectToken, where behalf.Environment, err error) {
	hash := auth.Hash(text)
	err = notFound("no such connect token")
	for _, env := range behalf.Environments() {
		stores, ok := a.deps.Environments[env]
		if !ok {
			continue
		}
		token, failed := stores.ConnectTokens.ConnectToken(ctx, hash)
		switch {
		case failed == nil && where == "":
			found, where = token, env
		case failed != nil && !fault.Is(failed, fault.NotFound):
			err = failed
		}
	}
	if where != "" { // it ends with its user
		_, err = a.deps.Environments[where].Users.User(ctx, found.Project, found.User)
	}
	return found, where, err
}

// sameEnvironment holds what a request says of its environment, where it says anything, against that of its token.
func (a *API) sameEnvironment(h http.Header, env behalf.Environment) error {
	if len(h.Values("X-Pd-Environment")) == 0 {
		return nil
	}
	said, err := a.environment(h)
	if err == nil && said != env {
		err = forbidden("this connect token is of another environment: leave x-pd-environment out")
	}
	return err
}

// crosses says whether the request may have an answer: it comes from no page, or from one of an origin that the token
// allows, which alone may then read it.
func crosses(h http.Header, r *http.Request, token behalf.ConnectToken) bool {
	h.Add("Vary", "Origin")
	origins := r.Header.Values("Origin")
	if len(origins) != 1 {
		return len(origins) == 0
	}
	if !slices.Contains(token.Return.Origins, origins[0]) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	return true
}

// crossed is the pattern of the route that a browser asks about before a page sends a connect token there. Empty for any
// other request.
func (a *API) crossed(r *http.Request) string {
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" || r.Header.Get("Origin") == "" {
		return ""
	}
	asked := r.WithContext(r.Context())
	asked.Method = method
	if _, pattern := a.mux.Handler(asked); a.byUser[pattern] {
		return pattern
	}
	return ""
}

// preflight says what a page may send. The token is not there yet, so whether the page gets an answer is not said here: see
// crosses.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	if names := sendable(r.Header.Values("Access-Control-Request-Headers")); len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

// sendable are those of the headers that clients of the Connect API send.
func sendable(asked []string) []string {
	var names []string
	for name := range strings.SplitSeq(strings.ToLower(strings.Join(asked, ",")), ",") {
		name = strings.TrimSpace(name)
		switch name {
		case "authorization", "content-type", "x-pd-environment", "x-pd-sdk-version":
			names = append(names, name)
		default:
			if rest, ok := strings.CutPrefix(name, "x-fern-"); ok && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
				names = append(names, name)
			}
		}
	}
	return names
}

func forbidden(why string) *fault.Error { return fault.New(fault.Forbidden, "api", why) }
