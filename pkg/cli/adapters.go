package cli

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/deploy"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/worker"
)

// The parts meet here, each by the interface that its consumer declared.

// publisher is the bus as the ingress asks for it.
type publisher struct{ *bus.Bus }

func (p publisher) Publish(ctx context.Context, e behalf.Event, reply string) error {
	_, err := p.Bus.Publish(ctx, e, reply)
	return err
}

// freshCredentials hands out credentials that still work, as refresh.Source does.
type freshCredentials interface {
	Fresh(ctx context.Context, account behalf.Account) (credential.Credential, error)
	Renew(ctx context.Context, account behalf.Account, refused credential.Credential) (credential.Credential, error)
}

// stepAuth is the credentials as the worker asks for them.
type stepAuth struct {
	fresh freshCredentials
	apps  app.Catalog
}

func (s stepAuth) Auth(ctx context.Context, account behalf.Account) (worker.Auth, error) {
	known, ok := s.apps.App(account.App)
	if !ok { // the API knows it: this worker was started without the team's apps, and the run waits for one that was not
		return worker.Auth{}, fault.Newf(fault.Unavailable, "cli.auth", "this worker has no app %s: start it with the --apps of the API", account.App)
	}
	found, err := s.fresh.Fresh(ctx, account)
	if err != nil {
		return worker.Auth{}, err
	}
	return worker.Auth{Fields: known.StepAuth(found.Fields), Secrets: secretsOf(known, found)}, nil
}

// Renew implements worker.Renewer.
func (s stepAuth) Renew(ctx context.Context, account behalf.Account, refused map[string]secret.String) (worker.Auth, error) {
	known, ok := s.apps.App(account.App)
	if !ok {
		return worker.Auth{}, fault.Newf(fault.Invalid, "cli.auth", "this worker has no app %s", account.App)
	}
	found, err := s.fresh.Renew(ctx, account, credential.Credential{Fields: refused})
	if err != nil {
		return worker.Auth{}, err
	}
	return worker.Auth{Fields: known.StepAuth(found.Fields), Secrets: secretsOf(known, found)}, nil
}

// secretsOf lists what of a credential no log may hold: what its app does not call public, and what no step ever sees.
func secretsOf(known app.App, found credential.Credential) []secret.String {
	secrets := known.Secrets(found.Fields)
	if !found.RefreshToken.IsZero() {
		secrets = append(secrets, found.RefreshToken)
	}
	return secrets
}

// accountSecrets is the credential store as the API asks for it.
type accountSecrets struct {
	env         behalf.Environment
	credentials credential.Store
	fresh       freshCredentials // nil where credentials are handed out as they are
	// late has until when the service of an app is not waited for: a time.Time by behalf.AppSlug.
	late sync.Map
}

func (s *accountSecrets) PutCredential(ctx context.Context, account behalf.Account, given secret.String) error {
	parsed, err := credential.Parse([]byte(given.Reveal()))
	if err != nil {
		return err
	}
	_, err = s.credentials.Put(ctx, credential.PathOf(s.env, account), parsed, 0)
	return err
}

func (s *accountSecrets) DeleteCredential(ctx context.Context, account behalf.Account) error {
	err := s.credentials.Delete(ctx, credential.PathOf(s.env, account))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func (s *accountSecrets) Grant(given secret.String) (behalf.Grant, error) {
	parsed, err := credential.Parse([]byte(given.Reveal()))
	if err != nil {
		return behalf.Grant{}, err
	}
	grant := behalf.Grant{Scopes: parsed.Scopes, ExpiresAt: parsed.ExpiresAt}
	if !parsed.RefreshToken.IsZero() { // whether it can be used, the worker knows that keeps the accounts
		grant.RefreshAt = oauth.Next(app.Tokens{}, time.Now(), parsed.ExpiresAt, true)
	}
	if parsed.OAuthApp != "" {
		grant.OAuthApp, err = behalf.ParseOAuthAppID(parsed.OAuthApp)
	}
	return grant, err
}

const (
	// freshFor is how long a backend waits for a token that is made anew for it. Then it gets the one that there is.
	freshFor = 5 * time.Second
	// lateFor is how long nobody waits for a service after somebody waited in vain: there may be many accounts on a page.
	lateFor = 30 * time.Second
)

// Credential leaves the refresh token out: whoever posts it to the service burns it for everybody else. What ends soon is
// made anew first. Where that cannot be, its owner is told by the account's state, and has what there is.
func (s *accountSecrets) Credential(ctx context.Context, account behalf.Account) (map[string]secret.String, error) {
	if s.fresh != nil && s.waitsFor(account.App) {
		limited, cancel := context.WithTimeout(ctx, freshFor)
		defer cancel()
		found, err := s.fresh.Fresh(limited, account)
		if err == nil {
			return found.Fields, nil
		}
		if limited.Err() != nil && ctx.Err() == nil {
			s.late.Store(account.App, time.Now().Add(lateFor))
		}
	}
	found, _, err := s.credentials.Get(ctx, credential.PathOf(s.env, account))
	return found.Fields, err
}

func (s *accountSecrets) waitsFor(slug behalf.AppSlug) bool {
	until, _ := s.late.Load(slug)
	late, ok := until.(time.Time)
	return !ok || time.Now().After(late)
}

// eraser is the journal as the API asks for it.
type eraser struct{ *journal.Journal }

func (e eraser) Erase(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (api.Erased, error) {
	done, err := e.Journal.Erase(ctx, project, user)
	kept := done.Kept
	if kept == nil {
		kept = []string{}
	}
	return api.Erased{
		Records: done.Records, History: done.History, Timers: done.Timers, DeadLetters: done.DeadLetters, Objects: done.Objects, Kept: kept,
	}, err
}

// runs is the journal as the API asks for it.
type runs struct{ *journal.Journal }

func (r runs) List(ctx context.Context, q api.RunQuery) (api.RunPage, error) {
	page, err := r.Journal.List(ctx, journal.Query{
		Project: q.Project, Workflow: q.Workflow, State: q.State, User: q.User, Limit: q.Limit, Before: q.After,
	})
	return api.RunPage{Runs: page.Runs, Cursor: page.Cursor}, err
}

// operator is the operator as the API asks for it: runs that have finished are told by the journal.
type operator struct {
	*operate.Operator
	journal *journal.Journal
}

func (o operator) Tail(ctx context.Context, q api.RunQuery, wait time.Duration) (api.RunPage, error) {
	tail, err := o.journal.Follow(ctx, journal.Query{Project: q.Project, Workflow: q.Workflow, State: q.State, User: q.User}, q.After, wait)
	return api.RunPage{Runs: tail.Runs, Cursor: tail.Cursor}, err
}

// loader reads workflow files as the API asks for it.
func loader(apps app.Catalog) (api.Loader, error) {
	actions, err := action.Standard(apps)
	if err != nil {
		return nil, err
	}
	return func(project behalf.ProjectID, folder string, files map[string][]byte) (api.Loaded, error) {
		l, err := deploy.Load(project, folder, files, apps, actions)
		return api.Loaded{Version: l.Version, Sources: l.Sources}, err
	}, nil
}

// records is the store as the API asks for it.
type records struct{ *store.Store }

func (r records) Workflow(ctx context.Context, project behalf.ProjectID, id behalf.WorkflowID) (behalf.Workflow, uint64, error) {
	found, err := r.WorkflowFromLeader(ctx, project, id)
	return found.Value, found.Revision, err
}

func (r records) Endpoint(ctx context.Context, id behalf.EndpointID) (behalf.Endpoint, uint64, error) {
	found, err := r.EndpointFromLeader(ctx, id)
	return found.Value, found.Revision, err
}

func (r records) ClientForChange(ctx context.Context, id behalf.ClientID) (behalf.Client, uint64, error) {
	found, err := r.Store.ClientForChange(ctx, id)
	return found.Value, found.Revision, err
}

func (r records) Users(ctx context.Context, q api.UserQuery) (api.UserPage, error) {
	after, err := sequenceOf(q.After)
	if err != nil {
		return api.UserPage{}, err
	}
	page, err := r.Store.Users(ctx, q.Project, q.Search, after, q.Limit)
	return api.UserPage{Users: page.Users, Cursor: cursorOf(page.Next)}, err
}

func (r records) ListAccounts(ctx context.Context, q api.AccountQuery) (api.AccountPage, error) {
	after, err := sequenceOf(q.After)
	if err != nil {
		return api.AccountPage{}, err
	}
	wanted := store.AccountQuery{User: q.User, App: q.App, OAuthApp: q.OAuthApp}
	page, err := r.Store.ListAccounts(ctx, q.Project, wanted, after, q.Limit)
	return api.AccountPage{Accounts: page.Accounts, Cursor: cursorOf(page.Next)}, err
}

// cursorOf makes a text of a place in a list, which clients hand back and read nothing out of. Empty for the end.
func cursorOf(sequence uint64) string {
	if sequence == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(strconv.AppendUint([]byte("s"), sequence, 36))
}

func sequenceOf(cursor string) (uint64, error) {
	if cursor == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	digits, ok := strings.CutPrefix(string(text), "s")
	sequence, parseErr := strconv.ParseUint(digits, 36, 63)
	if err != nil || !ok || parseErr != nil {
		return 0, fault.New(fault.Invalid, "cli.cursor", "after must be a cursor that a page before gave")
	}
	return sequence, nil
}

func (r records) AccountAt(ctx context.Context, account behalf.Account) (behalf.Account, error) {
	found, err := r.Store.AccountAt(ctx, account)
	return found.Value, err
}

func (r records) FindAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, error) {
	found, err := r.Store.FindAccount(ctx, project, id)
	return found.Value, err
}

func (r records) PutAccount(ctx context.Context, account behalf.Account) error {
	_, err := r.Store.PutAccount(ctx, account, 0)
	return err
}

func (r records) DeleteAccount(ctx context.Context, account behalf.Account) error {
	return r.Store.DeleteAccount(ctx, account.Project, account.ID)
}

// Accounts are read from the leader: what was made a moment ago is in the list.
func (r records) Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	return r.AccountsFromLeader(ctx, project, user)
}
