package worker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

// renewing gives accounts, and gives them once more.
type renewing struct {
	credentials

	renew credentials
}

func (r renewing) Renew(ctx context.Context, account behalf.Account, _ map[string]secret.String) (worker.Auth, error) {
	return r.renew(ctx, account)
}

// access is what the worker gets its credentials from.
func (w *world) access() worker.Credentials {
	if w.renew == nil {
		return w.credentials
	}
	return renewing{w.credentials, w.renew}
}

// renewed is the token of an account after a service refused the first.
func renewed(_ context.Context, a behalf.Account) (worker.Auth, error) {
	token := secret.New("renewed-" + string(a.ID))
	return worker.Auth{Fields: map[string]secret.String{"oauth_access_token": token}, Secrets: []secret.String{token}}, nil
}

// A step asks for another token: it gets it, so does the next step of the same account, and neither is in what is kept.
func TestAStepWhoseTokenIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := using(version("one", "two"))
	v.Steps[1].Accounts = v.Steps[0].Accounts
	w.store.version(v)
	account := w.store.connect(alice, "slack")
	w.renew = renewed
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		token := c.Apps["slack"].Auth["oauth_access_token"].Reveal()
		if c.Step.Name == "one" {
			fields, err := c.Renew(ctx, "slack")
			if err != nil {
				return behalf.Outcome{}, err
			}
			token += " then " + fields["oauth_access_token"].Reveal()
		} else if token != "renewed-"+string(account.ID) {
			t.Errorf("the next step has %s", token)
		}
		return says(token), nil
	}
	w.start(worker.Config{})
	got := w.call(eventOf(alice))
	if got.Failure != nil || got.Response == nil || got.Response.Text != "*** then ***" {
		t.Errorf("the result is %+v", got)
	}
}

// Code that a service refused has failed, and its account is renewed for its next try and everybody else.
func TestCodeWhoseTokenIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message string
		asks    int32
	}{
		"in the words of axios":    {"Request failed with status code 401", 1},
		"in the words of a vendor": {"GitHub says: Unauthorized", 1},
		"by another number":        {"row 4010 is missing", 0},
		"for another reason":       {"Request failed with status code 403", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.version(using(version("only")))
			w.store.connect(alice, "slack")
			var asked atomic.Int32
			w.renew = func(context.Context, behalf.Account) (worker.Auth, error) {
				asked.Add(1)
				return worker.Auth{}, fault.New(fault.Invalid, "test", "there is no other")
			}
			w.runner = func(context.Context, step.Call) (behalf.Outcome, error) { return throws(c.message), nil }
			w.start(worker.Config{})
			got := w.call(eventOf(alice))
			if got.Failure == nil || !strings.Contains(got.Failure.Message, c.message) || asked.Load() != c.asks {
				t.Errorf("renewed %d times, the result is %+v", asked.Load(), got.Failure)
			}
		})
	}
}
