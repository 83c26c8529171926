package worker

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

// renewal gets an account's fields once more for a step whose service has refused them. Nil where nobody can.
func (w *Worker) renewal(a *attempt, name behalf.StepName) func(context.Context, string) (map[string]secret.String, error) {
	renewer, ok := w.deps.Credentials.(Renewer)
	if !ok {
		return nil
	}
	return func(ctx context.Context, prop string) (map[string]secret.String, error) {
		account := a.accounts[name][prop]
		auth, err := renewer.Renew(ctx, account, a.apps[name][prop].Auth)
		if err != nil {
			w.log.Info().Err(err).Str("run", string(a.run.Event.Run)).Str("step", string(name)).Str("account", string(account.ID)).
				Msg("the service refuses an account that cannot be renewed")
			return nil, err
		}
		a.renewed(account.ID, auth)
		return auth.Fields, nil
	}
}

// renewed has the steps of the account that are still to come use the new fields, and keeps them out of what is recorded.
func (a *attempt) renewed(id behalf.AccountID, auth Auth) {
	for name, accounts := range a.accounts {
		for prop, account := range accounts {
			if account.ID == id {
				a.apps[name][prop] = step.App{Slug: account.App, Auth: auth.Fields}
			}
		}
	}
	a.secrets = append(a.secrets, auth.Secrets...)
	a.redactor = secret.NewRedactor(a.secrets...)
}

// renewPatience is how long a step that has failed waits for its accounts to be renewed. They are, also when it leaves.
const renewPatience = 2 * time.Second

// renewAll has the accounts of a code step renewed, so that its next try and other runs have a token that works.
func (w *Worker) renewAll(ctx context.Context, a *attempt, name behalf.StepName, renew func(context.Context, string) (map[string]secret.String, error)) {
	if renew == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, renewPatience)
	defer cancel()
	for _, prop := range slices.Sorted(maps.Keys(a.accounts[name])) {
		_, _ = renew(ctx, prop) // it is logged, and the step has failed anyhow
	}
}

// unauthorized says whether code threw because a service refused its token, as far as its words tell.
func unauthorized(e *behalf.StepError) bool {
	return e != nil && (refusal().MatchString(e.Message) || refusal().MatchString(e.Name))
}

func refusal() *regexp.Regexp { return regexp.MustCompile(`(?i)\b401\b|\bunauthorized\b`) }
