package worker

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

// errVersion marks a version that cannot be loaded, however often it is tried.
var errVersion = errors.New("version unavailable")

// prepare loads the version and its code, finds every account of the run and fetches only their credentials: all before
// the first step, so that what is missing has no half effects.
func (w *Worker) prepare(ctx context.Context, a *attempt) (*behalf.Failure, error) {
	ctx, cancel := w.preparing(ctx)
	defer cancel()
	if err := w.load(ctx, a); err != nil {
		return nil, err
	}
	bindings, failure, err := w.resolve(ctx, a)
	if err != nil || failure != nil {
		return failure, err
	}
	if failure, err := w.fetchVariables(ctx, a); err != nil || failure != nil {
		return failure, err
	}
	return w.fetch(ctx, a, bindings)
}

func (w *Worker) load(ctx context.Context, a *attempt) error {
	e := a.run.Event
	if e.Environment != w.cfg.Environment {
		return fault.New(fault.Forbidden, "worker.load", "the event is of another environment")
	}
	version, err := w.deps.Store.Version(ctx, e.Project, e.Version)
	switch {
	case err != nil:
		return unloadable(err)
	case version.Workflow != e.Workflow || version.Project != e.Project:
		return fault.New(fault.Forbidden, "worker.load", "the version is of another workflow")
	}
	if err := w.claimCheck(ctx, a); err != nil {
		return err
	}
	a.version, a.code = version, make(map[behalf.StepName]string, len(version.Steps))
	for _, s := range version.Steps[min(len(a.run.Steps), len(version.Steps)):] {
		if s.Source == nil {
			continue
		}
		text, err := w.deps.Store.Object(ctx, behalf.ObjectRef{Object: s.Source.Object, SHA256: s.Source.SHA256})
		if err != nil {
			return unloadable(err)
		}
		a.code[s.Name] = string(text)
	}
	return nil
}

// claimCheck fetches a trigger that was too large for its event.
func (w *Worker) claimCheck(ctx context.Context, a *attempt) error {
	e := a.run.Event
	a.trigger = e.Trigger
	if e.TriggerRef == nil {
		return nil
	}
	trigger, err := w.deps.Store.Object(ctx, *e.TriggerRef)
	a.trigger = trigger
	return err
}

// unloadable marks what will not be there later either: it is gone, or is not what was stored.
func unloadable(err error) error {
	if kind := fault.KindOf(err); verdictOf(kind) == discard || kind == fault.Internal {
		return errors.Join(errVersion, err)
	}
	return err
}

func (w *Worker) resolve(ctx context.Context, a *attempt) (behalf.Bindings, *behalf.Failure, error) {
	e := a.run.Event
	if len(a.version.Needs()) > 0 && e.User != "" {
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
	for _, owner := range owners(v, e.User) {
		found, err := w.deps.Store.Accounts(ctx, e.Project, owner)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// owners lists whose accounts the version uses: the user's, the project's own, which is owned by "", or both.
func owners(v behalf.Version, user behalf.ExternalUserID) []behalf.ExternalUserID {
	var all []behalf.ExternalUserID
	for _, s := range v.Steps {
		for _, ref := range s.Accounts {
			owner := user
			if ref.Own != "" {
				owner = ""
			}
			if (ref.Own != "" || user != "") && !slices.Contains(all, owner) {
				all = append(all, owner)
			}
		}
	}
	return all
}

// fetch gets the credentials of the run's accounts, each once, in the order of the steps: the first one missing is the
// failure.
func (w *Worker) fetch(ctx context.Context, a *attempt, bindings behalf.Bindings) (*behalf.Failure, error) {
	secrets := a.variableSecrets()
	known := map[behalf.AccountID]Auth{}
	a.apps = make(map[behalf.StepName]map[string]step.App, len(bindings))
	for _, s := range a.version.Steps {
		a.apps[s.Name] = map[string]step.App{}
		for _, prop := range slices.Sorted(maps.Keys(bindings[s.Name])) {
			account := bindings[s.Name][prop]
			auth, err := w.auth(ctx, known, account)
			if fault.Is(err, fault.NotFound) {
				return needsReauth(s.Name, account, a.run.Event.Environment), nil
			}
			if err != nil {
				return nil, err
			}
			secrets = append(secrets, auth.Secrets...)
			a.apps[s.Name][prop] = step.App{Slug: account.App, Auth: auth.Fields}
		}
	}
	a.redactor = secret.NewRedactor(secrets...)
	return nil, nil
}

func (w *Worker) auth(ctx context.Context, known map[behalf.AccountID]Auth, account behalf.Account) (Auth, error) {
	if auth, ok := known[account.ID]; ok {
		return auth, nil
	}
	auth, err := w.deps.Credentials.Auth(ctx, account)
	if err == nil {
		known[account.ID] = auth
	}
	return auth, err
}

// needsReauth is for an account whose credential is gone. One of the project's own is named as workflow files name it.
func needsReauth(name behalf.StepName, account behalf.Account, env behalf.Environment) *behalf.Failure {
	if account.Own() {
		return behalf.FailOwnAccountNeedsReauth(name, behalf.AccountRef{App: account.App, Own: account.Name}, env)
	}
	failure := behalf.FailAccountNeedsReauth(account.App, account.User, env)
	failure.Step = name
	return failure
}
