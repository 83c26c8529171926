package worker

import (
	"context"
	"errors"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

// errVersion marks a version that is not there to be loaded.
var errVersion = errors.New("version unavailable") //nolint:gochecknoglobals // a sentinel, branched on here only

// prepare loads the version, finds every account of the run and fetches only their credentials.
func (w *Worker) prepare(ctx context.Context, a *attempt) (*behalf.Failure, error) {
	e := a.run.Event
	if e.Environment != w.cfg.Environment {
		return nil, fault.New(fault.Forbidden, "worker.prepare", "the event is of another environment")
	}
	version, err := w.deps.Store.Version(ctx, e.Project, e.Version)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, errors.Join(errVersion, err)
	case err != nil:
		return nil, err
	case version.Workflow != e.Workflow:
		return nil, fault.New(fault.Forbidden, "worker.prepare", "the version is of another workflow")
	}
	a.version = version
	bindings, failure, err := w.resolve(ctx, a)
	if err != nil || failure != nil {
		return failure, err
	}
	return w.fetch(ctx, a, bindings)
}

func (w *Worker) resolve(ctx context.Context, a *attempt) (behalf.Bindings, *behalf.Failure, error) {
	e := a.run.Event
	needs := a.version.Needs()
	if len(needs) > 0 && e.User != "" {
		_, err := w.deps.Store.User(ctx, e.Project, e.User)
		if fault.Is(err, fault.NotFound) {
			return nil, behalf.FailUserNotFound(e.User, e.Environment), nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	accounts, err := w.accounts(ctx, a.version, e)
	if err != nil {
		return nil, nil, err
	}
	bindings, failure := behalf.Resolve(a.version, e, accounts)
	return bindings, failure, nil
}

// accounts reads those of the user and the project's own, where the version uses any.
func (w *Worker) accounts(ctx context.Context, v behalf.Version, e behalf.Event) ([]behalf.Account, error) {
	var all []behalf.Account
	var owners []behalf.ExternalUserID
	for _, s := range v.Steps {
		for _, ref := range s.Accounts {
			owner := e.User
			if ref.Own != "" {
				owner = ""
			}
			if (ref.Own != "" || e.User != "") && !slices.Contains(owners, owner) {
				owners = append(owners, owner)
			}
		}
	}
	for _, owner := range owners {
		found, err := w.deps.Store.Accounts(ctx, e.Project, owner)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// fetch gets the credentials of the run's accounts, each once.
func (w *Worker) fetch(ctx context.Context, a *attempt, bindings behalf.Bindings) (*behalf.Failure, error) {
	var secrets []secret.String
	known := map[behalf.AccountID]Auth{}
	a.apps = map[behalf.StepName]map[string]step.App{}
	for name, props := range bindings {
		a.apps[name] = map[string]step.App{}
		for prop, account := range props {
			auth, ok := known[account.ID]
			if !ok {
				var err error
				auth, err = w.deps.Credentials.Auth(ctx, account)
				if fault.Is(err, fault.NotFound) {
					failure := behalf.FailAccountNeedsReauth(account.App, a.run.Event.User, a.run.Event.Environment)
					failure.Step = name
					return failure, nil
				}
				if err != nil {
					return nil, err
				}
				known[account.ID] = auth
				secrets = append(secrets, auth.Secrets...)
			}
			a.apps[name][prop] = step.App{Slug: account.App, Auth: auth.Fields}
		}
	}
	a.redactor = secret.NewRedactor(secrets...)
	return nil, nil
}
