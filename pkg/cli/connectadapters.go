package cli

import (
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// connectRecords is the store as the API asks for what belongs to connecting.
type connectRecords struct{ *store.Store }

func (r connectRecords) ConnectToken(ctx context.Context, hash string) (behalf.ConnectToken, error) {
	found, err := r.Store.ConnectToken(ctx, hash)
	return found.Value, err
}

func (r connectRecords) PutConnectToken(ctx context.Context, t behalf.ConnectToken) error {
	_, err := r.Store.PutConnectToken(ctx, t, 0)
	return err
}

func (r connectRecords) OAuthApp(ctx context.Context, project behalf.ProjectID, id behalf.OAuthAppID) (behalf.OAuthApp, uint64, error) {
	found, err := r.Store.OAuthApp(ctx, project, id)
	return found.Value, found.Revision, err
}

// oauthSecrets is the credential store as the API asks for the secrets of OAuth apps.
type oauthSecrets struct {
	env         behalf.Environment
	credentials credential.Store
}

func (s oauthSecrets) PutOAuthSecret(ctx context.Context, app behalf.OAuthApp, word secret.String) error {
	at := credential.OAuthAppPath(s.env, app.Project, app.ID)
	_, revision, err := s.credentials.Get(ctx, at)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	_, err = s.credentials.Put(ctx, at, credential.Credential{Fields: map[string]secret.String{credential.FieldClientSecret: word}}, revision)
	return err
}

func (s oauthSecrets) DeleteOAuthSecret(ctx context.Context, app behalf.OAuthApp) error {
	err := s.credentials.Delete(ctx, credential.OAuthAppPath(s.env, app.Project, app.ID))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// connectTokens is the store as the pages ask for it.
type connectTokens struct{ *store.Store }

func (r connectTokens) ConnectToken(ctx context.Context, hash string) (behalf.ConnectToken, uint64, error) {
	found, err := r.Store.ConnectToken(ctx, hash)
	return found.Value, found.Revision, err
}

// connectAccounts is the store as the pages ask for it.
type connectAccounts struct{ *store.Store }

// Accounts are read from the leader: one that was made a moment ago is healed, not made again.
func (r connectAccounts) Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	return r.AccountsFromLeader(ctx, project, user)
}

func (r connectAccounts) FindAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, uint64, error) {
	found, err := r.Store.FindAccount(ctx, project, id)
	return found.Value, found.Revision, err
}

func (r connectAccounts) PutAccount(ctx context.Context, a behalf.Account, revision uint64) error {
	_, err := r.Store.PutAccount(ctx, a, revision)
	return err
}

// connector is the pages as the API asks them to keep what users hand over without one.
type connector struct{ *connect.Server }

func (c connector) Connect(ctx context.Context, k api.Keys) (behalf.Account, error) {
	return c.Server.Connect(ctx, connect.Keys(k))
}

// oauthClients finds OAuth clients: projects' own, and those that are shipped.
type oauthClients struct {
	all         byEnvironment
	credentials credential.Store
	shipped     map[behalf.AppSlug]oauth.Registration
}

// Client finds the project's own client of this id, or for no id the one that is shipped. It has no redirect URL. Errors:
// NotFound, Unavailable.
func (c oauthClients) Client(ctx context.Context, project behalf.ProjectID, env behalf.Environment, slug behalf.AppSlug, id behalf.OAuthAppID) (oauth.Registration, error) {
	if id == "" {
		if shipped, ok := c.shipped[slug]; ok {
			return shipped, nil
		}
		return oauth.Registration{}, fault.Newf(fault.NotFound, "cli.oauthClients", "no OAuth client of %s is shipped", slug)
	}
	p, ok := c.all[env]
	if !ok {
		return oauth.Registration{}, fault.New(fault.NotFound, "cli.oauthClients", "this environment is not served")
	}
	own, err := p.store.OAuthApp(ctx, project, id)
	if err != nil {
		return oauth.Registration{}, err
	}
	if own.Value.App != slug || own.Value.Project != project {
		return oauth.Registration{}, fault.New(fault.NotFound, "cli.oauthClients", "the OAuth app is of another app")
	}
	found, _, err := c.credentials.Get(ctx, credential.OAuthAppPath(env, project, id))
	if err != nil && !fault.Is(err, fault.NotFound) { // a public client has no secret
		return oauth.Registration{}, err
	}
	return oauth.Registration{ID: own.Value.ClientID, Secret: found.Fields[credential.FieldClientSecret], Scopes: own.Value.Scopes}, nil
}

// Own lists the project's own clients.
func (c oauthClients) Own(ctx context.Context, project behalf.ProjectID, env behalf.Environment) ([]behalf.OAuthApp, error) {
	p, ok := c.all[env]
	if !ok {
		return nil, nil
	}
	return p.store.OAuthApps(ctx, project)
}

// pagesOf puts the connect pages together. The egress configuration says where they may go.
func pagesOf(cfg connect.Config, d roleDeps, reach egress.Config, log zerolog.Logger) *connect.Server {
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	envs := make(map[behalf.Environment]connect.Env, len(d.all))
	for env, p := range d.all {
		envs[env] = connect.Env{Tokens: connectTokens{p.store}, Accounts: connectAccounts{p.store}, Credentials: d.credentials}
	}
	return connect.New(cfg, connect.Deps{
		Environments: envs, Apps: d.apps, Clients: oauthClients{d.all, d.credentials, d.shipped},
		HTTP: egress.New(reach).Client(pagesTimeout), Registerer: d.reg, Log: log,
	})
}

// pagesTimeout is how long a service may take while its user waits before our page.
const pagesTimeout = 20 * time.Second
