package cli

import (
	"context"
	"strconv"
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

// accountSecrets is the credential store as the API asks for it: it writes and deletes, and never reads.
type accountSecrets struct {
	env         behalf.Environment
	credentials credential.Store
}

func (s accountSecrets) PutCredential(ctx context.Context, account behalf.Account, given secret.String) error {
	parsed, err := credential.Parse([]byte(given.Reveal()))
	if err != nil {
		return err
	}
	_, err = s.credentials.Put(ctx, credential.PathOf(s.env, account), parsed, 0)
	return err
}

func (s accountSecrets) DeleteCredential(ctx context.Context, account behalf.Account) error {
	err := s.credentials.Delete(ctx, credential.PathOf(s.env, account))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
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

func (r records) Users(ctx context.Context, project behalf.ProjectID, after string, limit int) (api.UserPage, error) {
	var from uint64
	if after != "" {
		var err error
		if from, err = strconv.ParseUint(after, 10, 63); err != nil {
			return api.UserPage{}, fault.New(fault.Invalid, "cli.users", "after must be a cursor that a page before gave")
		}
	}
	page, err := r.Store.Users(ctx, project, from, limit)
	found := api.UserPage{Users: page.Users}
	if page.Next != 0 {
		found.Cursor = strconv.FormatUint(page.Next, 10)
	}
	return found, err
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
