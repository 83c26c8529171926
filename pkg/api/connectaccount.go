package api

import (
	"cmp"
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// connectView is an account in the shape of the Connect API, which every client of it expects.
type connectView struct {
	ID        behalf.AccountID      `json:"id"`
	Name      *string               `json:"name"`
	User      behalf.ExternalUserID `json:"external_id"`
	Healthy   bool                  `json:"healthy"`
	Dead      bool                  `json:"dead"`
	App       appOfAccount          `json:"app"`
	CreatedAt time.Time             `json:"created_at"`
	UpdatedAt time.Time             `json:"updated_at"`
	grantView
	// Credentials are only there for who asked and may have them.
	Credentials map[string]string `json:"credentials,omitempty"`
}

// grantView is what is known of the credential. Null means that nobody knows.
type grantView struct {
	Scopes      []string   `json:"authorized_scopes"`
	ExpiresAt   *time.Time `json:"expires_at"`
	Error       *string    `json:"error"`
	RefreshedAt *time.Time `json:"last_refreshed_at"`
	RefreshAt   *time.Time `json:"next_refresh_at"`
}

// appOfAccount is the app as an account names it. Its id is that of the project's own client, where it was connected with
// one.
type appOfAccount struct {
	ID           *behalf.OAuthAppID `json:"id"`
	Slug         behalf.AppSlug     `json:"name_slug"`
	Name         string             `json:"name"`
	AuthType     *string            `json:"auth_type"`
	Description  *string            `json:"description"`
	Image        string             `json:"img_src"`
	CustomFields *string            `json:"custom_fields_json"`
	Categories   []string           `json:"categories"`
	Weight       int                `json:"featured_weight"`
}

// shower makes views, and adds credentials where they were asked for.
type shower struct {
	call    call
	apps    map[behalf.AppSlug]AppView
	secrets bool
	shown   atomic.Int64
}

// showAtOnce is how many credentials are read at the same time: some of a page may have to be made anew first.
const showAtOnce = 8

func (a *API) shower(c call, secrets bool) *shower {
	s := &shower{call: c, apps: map[behalf.AppSlug]AppView{}, secrets: secrets}
	for _, v := range a.deps.Catalog.Apps() {
		s.apps[v.Slug] = v
	}
	return s
}

func (s *shower) all(ctx context.Context, accounts []behalf.Account) ([]connectView, error) {
	views := make([]connectView, len(accounts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(showAtOnce)
	for i, each := range accounts {
		group.Go(func() (err error) {
			views[i], err = s.one(ctx, each)
			return err
		})
	}
	return views, group.Wait()
}

func (s *shower) one(ctx context.Context, a behalf.Account) (connectView, error) {
	scopes := a.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	view := connectView{
		ID: a.ID, Name: unlessZero(a.Name), User: a.User, Healthy: a.Usable(), Dead: !a.Usable(), App: s.app(a),
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
		grantView: grantView{
			Scopes: scopes, ExpiresAt: unlessZero(a.ExpiresAt), Error: unlessZero(a.Reason), RefreshedAt: unlessZero(a.RefreshedAt),
			RefreshAt: unlessZero(a.RefreshAt),
		},
	}
	var err error
	view.Credentials, err = s.credentials(ctx, a)
	return view, err
}

func (s *shower) app(a behalf.Account) appOfAccount {
	v, known := s.apps[a.App]
	if !known { // a team's own app that this API was not given
		return appOfAccount{ID: unlessZero(a.OAuthApp), Slug: a.App, Name: string(a.App), Categories: []string{}}
	}
	return appOfAccount{
		ID: unlessZero(a.OAuthApp), Slug: v.Slug, Name: v.Name, AuthType: unlessZero(v.AuthType), Description: unlessZero(v.Description),
		Image: v.Image, CustomFields: v.CustomFields, Categories: v.Categories, Weight: v.Weight,
	}
}

// credentials are for who asked, and only of accounts whose secret is the project's own business: made with its own client
// at the service, or with keys. A token that our own client was given stays with us.
func (s *shower) credentials(ctx context.Context, a behalf.Account) (map[string]string, error) {
	if !s.secrets || a.Own() || a.OAuthApp == "" && s.apps[a.App].AuthType != "keys" {
		return nil, nil
	}
	fields, err := s.call.Secrets.Credential(ctx, a)
	if fault.Is(err, fault.NotFound) { // it is being deleted, or was never there
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	shown := make(map[string]string, len(fields))
	for name, value := range fields {
		shown[name] = value.Reveal()
	}
	s.shown.Add(1)
	return shown, nil
}

func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// wantsSecrets reads include_credentials.
func wantsSecrets(q query, c call) (bool, error) {
	wanted, err := q.flag("include_credentials")
	switch {
	case err != nil || !wanted:
		return false, err
	case c.user != "":
		return false, forbidden("credentials are for a backend that has a token of its client, never for a connect token")
	case c.Secrets == nil:
		return false, forbidden("this API hands no credentials out")
	}
	return true, nil
}

// note tells the operator who was given credentials, of how many accounts.
func (a *API) note(s *shower) {
	if n := s.shown.Load(); n > 0 {
		a.deps.Log.Info().Str("client", string(s.call.Client)).Str("project", string(s.call.Project)).
			Str("environment", string(s.call.environment)).Int64("accounts", n).Msg("credentials handed out")
	}
}

// connectAccounts lists accounts of users, by pages.
func (a *API) connectAccounts(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "app", "external_user_id", "oauth_app_id", "include_credentials", "after", "limit")
	if err != nil {
		return err
	}
	wanted, err := accountQuery(q, c)
	if err != nil {
		return err
	}
	secrets, err := wantsSecrets(q, c)
	if err != nil {
		return err
	}
	found, err := visible(r.Context(), c, wanted)
	if err != nil {
		return err
	}
	s := a.shower(c, secrets)
	views, err := s.all(r.Context(), found.Accounts)
	if err != nil {
		return err
	}
	a.note(s)
	web.WriteJSON(w, http.StatusOK, newConnectPage(views, found.Cursor, wanted.After == ""))
	return nil
}

// visible lists accounts as far as the caller may know of them.
func visible(ctx context.Context, c call, wanted AccountQuery) (AccountPage, error) {
	if !c.sees(wanted.User) {
		return AccountPage{}, nil
	}
	wanted.User = cmp.Or(wanted.User, c.user)
	return c.Accounts.ListAccounts(ctx, wanted)
}

func accountQuery(q query, c call) (_ AccountQuery, err error) {
	wanted := AccountQuery{Project: c.Project, After: q.text("after")}
	if wanted.Limit, err = q.limit(); err != nil {
		return AccountQuery{}, err
	}
	if q.has("external_user_id") {
		if wanted.User, err = behalf.ParseExternalUserID(q.text("external_user_id")); err != nil {
			return AccountQuery{}, err
		}
	}
	if q.has("oauth_app_id") {
		if wanted.OAuthApp, err = behalf.ParseOAuthAppID(q.text("oauth_app_id")); err != nil {
			return AccountQuery{}, err
		}
	}
	if q.has("app") {
		err = wanted.of(q.text("app"))
	}
	return wanted, err
}

// of asks for the accounts of an app: by its slug, or by the id of the project's own client for it.
func (q *AccountQuery) of(app string) (err error) {
	if id, notOne := behalf.ParseOAuthAppID(app); notOne == nil && q.OAuthApp == "" {
		q.OAuthApp = id
		return nil
	}
	q.App, err = behalf.ParseAppSlug(app)
	return err
}

func (a *API) connectAccount(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "include_credentials")
	if err != nil {
		return err
	}
	secrets, err := wantsSecrets(q, c)
	if err != nil {
		return err
	}
	account, err := a.findOwn(r, c)
	switch {
	case err != nil:
		return err
	case account.Own(): // clients of the Connect API know accounts of users alone
		return noAccount()
	}
	s := a.shower(c, secrets)
	view, err := s.one(r.Context(), account)
	if err != nil {
		return err
	}
	a.note(s)
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

// connectByUser answers a bare list, as the Connect API does.
func (a *API) connectByUser(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "app", "include_credentials")
	if err != nil {
		return err
	}
	secrets, err := wantsSecrets(q, c)
	if err != nil {
		return err
	}
	wanted := AccountQuery{Project: c.Project}
	if q.has("app") {
		if err := wanted.of(q.text("app")); err != nil {
			return err
		}
	}
	user, err := namedUser(r, c)
	if err != nil {
		return err
	}
	wanted.User = user.External
	s, views := a.shower(c, secrets), []connectView{}
	err = eachPage(r.Context(), c, wanted, func(ctx context.Context, page []behalf.Account) error {
		more, err := s.all(ctx, page)
		views = append(views, more...)
		return err
	})
	if err != nil {
		return err
	}
	a.note(s)
	web.WriteJSON(w, http.StatusOK, views)
	return nil
}

// eachPage hands over all accounts that are asked for, page by page.
func eachPage(ctx context.Context, c call, q AccountQuery, each func(context.Context, []behalf.Account) error) error {
	for q.Limit = maxLimit; ; {
		found, err := c.Accounts.ListAccounts(ctx, q)
		if err != nil {
			return err
		}
		if err := each(ctx, found.Accounts); err != nil || found.Cursor == "" {
			return err
		}
		q.After = found.Cursor
	}
}

const (
	// deleteAtOnce is how many accounts are deleted at the same time.
	deleteAtOnce = 8
	// deleteFor is how long one request deletes. Whoever has more calls again.
	deleteFor = 20 * time.Second
)

// deleteByApp deletes the accounts that all users have of an app, or by a connect token those of its user. The app is named
// by its slug, or by the id of the project's own client.
func (a *API) deleteByApp(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	wanted := AccountQuery{Project: c.Project, User: c.user}
	if err := wanted.of(r.PathValue("app")); err != nil || wanted.OAuthApp == "" && !a.deps.Apps.Known(wanted.App) {
		return notFound("no such app")
	}
	until := time.Now().Add(deleteFor)
	err := eachPage(r.Context(), c, wanted, func(ctx context.Context, page []behalf.Account) error {
		if time.Now().After(until) {
			return fault.New(fault.Unavailable, "api.deleteByApp", "many accounts are deleted, and not all: call again")
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(deleteAtOnce)
		for _, each := range page {
			group.Go(func() error { return dropAccount(ctx, c, each) })
		}
		return group.Wait()
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
