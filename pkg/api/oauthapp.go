package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// OAuthApps are the own clients of projects at services, in one environment. The revision is that of compare-and-swap.
type OAuthApps interface {
	OAuthApp(ctx context.Context, project behalf.ProjectID, id behalf.OAuthAppID) (behalf.OAuthApp, uint64, error)
	OAuthApps(ctx context.Context, project behalf.ProjectID) ([]behalf.OAuthApp, error)
	PutOAuthApp(ctx context.Context, a behalf.OAuthApp, revision uint64) (uint64, error)
	DeleteOAuthApp(ctx context.Context, project behalf.ProjectID, id behalf.OAuthAppID) error
}

// OAuthSecrets keep the secrets of OAuth apps. The API never shows one.
type OAuthSecrets interface {
	// PutOAuthSecret keeps the secret, in place of one that was there.
	PutOAuthSecret(ctx context.Context, app behalf.OAuthApp, word secret.String) error
	// DeleteOAuthSecret succeeds where there is none.
	DeleteOAuthSecret(ctx context.Context, app behalf.OAuthApp) error
}

const maxOAuthApp = 64 << 10

// oauthAppRequest makes an OAuth app or changes it. A field that is left out of a change stays as it is.
type oauthAppRequest struct {
	App      *string        `json:"app"`
	Name     *string        `json:"name"`
	ClientID *string        `json:"client_id"`
	Secret   *secret.String `json:"client_secret"`
	Scopes   *[]string      `json:"scopes"`
}

// oauthAppView is an OAuth app as the API shows it: never with its secret.
type oauthAppView struct {
	ID          behalf.OAuthAppID  `json:"id"`
	App         behalf.AppSlug     `json:"app"`
	Name        string             `json:"name"`
	ClientID    string             `json:"client_id"`
	Scopes      []string           `json:"scopes"`
	Environment behalf.Environment `json:"environment"`
	// RedirectURI is what has to be registered at the service.
	RedirectURI string    `json:"redirect_uri"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func (a *API) viewOAuthApp(o behalf.OAuthApp, env behalf.Environment) oauthAppView {
	scopes := o.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return oauthAppView{
		ID: o.ID, App: o.App, Name: o.Name, ClientID: o.ClientID, Scopes: scopes, Environment: env,
		RedirectURI: a.cfg.URL + behalf.CallbackPath, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}
}

func (a *API) oauthApps(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "q", "app", "after", "limit")
	if err != nil {
		return err
	}
	found, err := c.OAuthApps.OAuthApps(r.Context(), c.Project)
	if err != nil {
		return err
	}
	views := make([]oauthAppView, 0, len(found))
	for _, o := range found {
		if !q.has("app") || string(o.App) == q.text("app") {
			views = append(views, a.viewOAuthApp(o, c.environment))
		}
	}
	return listed(w, q, views, func(v oauthAppView) (string, string) { return string(v.ID), string(v.App) + "\n" + v.Name })
}

func (a *API) oauthApp(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	found, _, err := c.ownOAuthApp(r.Context(), r.PathValue("oauth_app"))
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, a.viewOAuthApp(found, c.environment))
	return nil
}

func (a *API) createOAuthApp(w http.ResponseWriter, r *http.Request, c call) error {
	var req oauthAppRequest
	if err := readOAuthApp(w, r, &req); err != nil {
		return err
	}
	now := time.Now().UTC()
	made := behalf.OAuthApp{V: behalf.FormatVersion, ID: behalf.NewOAuthAppID(), Project: c.Project, CreatedAt: now}
	switch {
	case req.App == nil || !a.deps.Apps.Known(behalf.AppSlug(*req.App)):
		return invalid("app must name an app that is known here")
	case req.ClientID == nil:
		return invalid("client_id is missing: it is what the service calls your client")
	}
	made.App = behalf.AppSlug(*req.App)
	if err := req.apply(&made, now); err != nil {
		return err
	}
	if err := keepOAuthApp(r.Context(), c, made, req.Secret, 0); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, a.viewOAuthApp(made, c.environment))
	return nil
}

func (a *API) changeOAuthApp(w http.ResponseWriter, r *http.Request, c call) error {
	found, revision, err := c.ownOAuthApp(r.Context(), r.PathValue("oauth_app"))
	if err != nil {
		return err
	}
	var req oauthAppRequest
	if err := readOAuthApp(w, r, &req); err != nil {
		return err
	}
	if req.App != nil && behalf.AppSlug(*req.App) != found.App {
		return invalid("the app of an OAuth app does not change: make another one")
	}
	if err := req.apply(&found, time.Now().UTC()); err != nil {
		return err
	}
	if err := keepOAuthApp(r.Context(), c, found, req.Secret, revision); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, a.viewOAuthApp(found, c.environment))
	return nil
}

func readOAuthApp(w http.ResponseWriter, r *http.Request, into *oauthAppRequest) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	return web.DecodeJSON(w, r, maxOAuthApp, into)
}

// apply checks what was sent, and puts it in.
func (req oauthAppRequest) apply(o *behalf.OAuthApp, now time.Time) error {
	if req.Name != nil {
		if o.Name = *req.Name; !validLabel(o.Name) {
			return invalid("name may have 250 characters, none of them a control character")
		}
	}
	if req.ClientID != nil {
		if o.ClientID = *req.ClientID; !plainWord(o.ClientID, 512) {
			return invalid("client_id must be 1 to 512 printable characters of ASCII, without spaces")
		}
	}
	if req.Secret != nil && !req.Secret.IsZero() && !plainWord(req.Secret.Reveal(), 4096) {
		return invalid("client_secret must be at most 4096 printable characters of ASCII, without spaces")
	}
	if req.Scopes != nil {
		o.Scopes = *req.Scopes
		if len(o.Scopes) > 200 || slices.ContainsFunc(o.Scopes, func(s string) bool { return !plainWord(s, 512) }) {
			return invalid("scopes must be a list of at most 200 words")
		}
	}
	o.UpdatedAt = now
	return nil
}

func plainWord(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// keepOAuthApp keeps the secret of a new one first: what is listed works. Of a changed one it comes second, or of two who
// change it at once the loser's secret would stay beside the winner's client. Nil leaves the secret as it is; a public client
// has none.
func keepOAuthApp(ctx context.Context, c call, o behalf.OAuthApp, word *secret.String, revision uint64) error {
	keepSecret := func() error {
		if word == nil || word.IsZero() {
			return nil
		}
		return c.OAuthSecrets.PutOAuthSecret(ctx, o, *word)
	}
	if revision != 0 {
		if _, err := c.OAuthApps.PutOAuthApp(ctx, o, revision); err != nil {
			return err
		}
		return keepSecret()
	}
	if err := keepSecret(); err != nil {
		return err
	}
	_, err := c.OAuthApps.PutOAuthApp(ctx, o, 0)
	if err != nil && !mayBeStored(err) {
		_ = c.OAuthSecrets.DeleteOAuthSecret(context.WithoutCancel(ctx), o) // nothing points to it, and the first error is the one to tell
	}
	return err
}

// deleteOAuthApp deletes the secret first, as deleteAccount does.
func (a *API) deleteOAuthApp(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	found, _, err := c.ownOAuthApp(r.Context(), r.PathValue("oauth_app"))
	if err != nil {
		return err
	}
	if err := c.OAuthSecrets.DeleteOAuthSecret(r.Context(), found); err != nil {
		return err
	}
	if err := c.OAuthApps.DeleteOAuthApp(r.Context(), c.Project, found.ID); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c call) ownOAuthApp(ctx context.Context, text string) (behalf.OAuthApp, uint64, error) {
	id, err := behalf.ParseOAuthAppID(text)
	if err != nil {
		return behalf.OAuthApp{}, 0, noOAuthApp()
	}
	found, revision, err := c.OAuthApps.OAuthApp(ctx, c.Project, id)
	if fault.Is(err, fault.NotFound) || err == nil && found.Project != c.Project {
		return behalf.OAuthApp{}, 0, noOAuthApp()
	}
	return found, revision, err
}

// oauthAppFor finds the client that a request names, for this app where there is one. Errors: Invalid, Unavailable.
func (c call) oauthAppFor(ctx context.Context, app behalf.AppSlug, text string) (behalf.OAuthApp, error) {
	found, _, err := c.ownOAuthApp(ctx, text)
	if fault.Is(err, fault.NotFound) || err == nil && app != "" && found.App != app {
		return behalf.OAuthApp{}, invalid("oauth_app_id names no OAuth app of this project and app")
	}
	return found, err
}

func noOAuthApp() error { return notFound("no such OAuth app") }
