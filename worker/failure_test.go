package worker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

// ownMain makes the first step use the project's own account `main`.
func ownMain(v behalf.Version) behalf.Version {
	v.Steps[0].Accounts = map[string]behalf.AccountRef{"slack": {App: "slack", Own: "main"}}
	return v
}

func named(name string) func(*behalf.Account) {
	return func(a *behalf.Account) { a.Name = name }
}

func TestFailuresBeforeTheFirstStep(t *testing.T) {
	t.Parallel()
	gone := func(context.Context, behalf.Account) (worker.Auth, error) {
		return worker.Auth{}, fault.New(fault.NotFound, "credential.Get", "no such credential")
	}
	for name, c := range map[string]struct {
		world   func(*world)
		user    behalf.ExternalUserID
		event   func(*behalf.Event)
		code    behalf.Code
		step    behalf.StepName
		message string
	}{
		"no user": {
			code: behalf.CodeUserRequired, step: "only", message: "Connect Error: No external user ID passed, but step only requires it",
		},
		"an unknown user": {
			user: "nobody", code: behalf.CodeUserNotFound, message: "Connect Error: No matching external user ID nobody in development",
		},
		"a user who has lost the account": {
			world: func(w *world) { w.store.connect("lost", "github") },
			user:  "lost", code: behalf.CodeAccountRequired, step: "only",
			message: "Connect Error: Required account for slack not found for external user ID lost in development",
		},
		"an account of somebody else": {
			user: alice, event: func(e *behalf.Event) { e.Origin.Accounts = map[behalf.AppSlug]behalf.AccountID{"slack": "apn_other"} },
			code: behalf.CodeAccountRequired, step: "only",
			message: "Connect Error: Required account for slack not found for external user ID abc-123 in development",
		},
		"an account that must be connected again": {
			world: func(w *world) {
				w.store.connect("stale", "slack", func(a *behalf.Account) { a.State = behalf.AccountNeedsReauth })
			},
			user: "stale", code: behalf.CodeAccountNeedsReauth, step: "only",
			message: "Connect Error: Account for slack of external user ID stale in development must be connected again",
		},
		"an account whose credential is gone": {
			world: func(w *world) { w.credentials = gone },
			user:  alice, code: behalf.CodeAccountNeedsReauth, step: "only",
			message: "Connect Error: Account for slack of external user ID abc-123 in development must be connected again",
		},
		"no own account": {
			world: func(w *world) { w.store.version(ownMain(version("only"))) },
			code:  behalf.CodeAccountRequired, step: "only", message: "Connect Error: Required account own/main for slack not found in development",
		},
		"an own account whose credential is gone": {
			world: func(w *world) {
				w.store.version(ownMain(version("only")))
				w.store.connect("", "slack", named("main"))
				w.credentials = gone
			},
			user: alice, code: behalf.CodeAccountNeedsReauth, step: "only",
			message: "Connect Error: Account own/main for slack in development must be connected again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store.version(using(version("only")))
			if c.world != nil {
				c.world(w)
			}
			w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
				t.Error("a step ran")
				return behalf.Outcome{}, nil
			}
			w.start(worker.Config{Registerer: w.reg})
			e := eventOf(c.user)
			if c.event != nil {
				c.event(&e)
			}
			r := w.call(e)
			w.failed(r, c.code, c.message)
			if r.Failure.Step != c.step || r.Failure.Code.Status() >= 500 {
				t.Errorf("the failure is %+v", r.Failure)
			}
			w.settled()
			if records := w.records(e.Run); kinds(records) != "finish" || records[0].Finish.Event == nil {
				t.Errorf("the failed run is not kept: %+v", records)
			}
			if w.figure("behalf_runs_total", string(c.code)) != 1 || len(w.letters()) != 0 {
				t.Error("a failure of the caller's is counted wrongly, or lies in the dead letters")
			}
		})
	}
}

func TestAMissingVersionIsRecordedAnsweredAndBuried(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*store){
		"the version is gone": func(s *store) { delete(s.versions, "d_test") },
		"its code is gone":    func(s *store) { clear(s.objects) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			lose(w.store)
			w.start(worker.Config{Registerer: w.reg})
			e := eventOf("")
			r := w.call(e)
			if r.State != behalf.StateFailed || r.Failure.Code != behalf.CodeVersionUnavailable || !strings.Contains(r.Failure.Message, string(e.Run)) {
				t.Errorf("the answer is %+v", r.Failure)
			}
			if l := w.letter(bus.ReasonVersion); l.Run != e.Run || l.Original == nil {
				t.Errorf("the letter is %+v", l)
			}
			if kinds(w.records(e.Run)) != "finish" || w.figure("behalf_dead_letters_total", "version_unavailable") != 1 {
				t.Errorf("the journal is %+v", w.records(e.Run))
			}
		})
	}
}

func TestAccountsThatAStepGets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got string
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		got = c.Apps["slack"].Auth["oauth_access_token"].Reveal()
		return ok(ctx, c)
	}
	own := w.store.connect("", "slack", named("main"))
	older := w.store.connect(alice, "slack", func(a *behalf.Account) { a.CreatedAt = time.Now().Add(-time.Hour) })
	newer := w.store.connect(alice, "slack", func(a *behalf.Account) { a.CreatedAt = time.Now().Add(time.Hour) })
	w.start(worker.Config{})
	for _, c := range []struct {
		name    string
		version behalf.Version
		named   behalf.AccountID
		want    behalf.AccountID
	}{
		{"the newest", using(version("only")), "", newer.ID},
		{"the one that the event names", using(version("only")), older.ID, older.ID},
		{"the project's own", ownMain(version("only")), "", own.ID},
		{"the project's own, whatever the event names", ownMain(version("only")), older.ID, own.ID},
	} {
		w.store.version(c.version)
		e := eventOf(alice)
		if c.named != "" {
			e.Origin.Accounts = map[behalf.AppSlug]behalf.AccountID{"slack": c.named}
		}
		if r := w.call(e); r.State != behalf.StateOK || got != "token-"+string(c.want) {
			t.Errorf("%s: the step got %s, the answer is %+v", c.name, got, r.Failure)
		}
	}
}

func TestEachCredentialIsFetchedOnceAndOnlyWhatIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := using(version("one", "two"))
	v.Steps[1].Accounts = map[string]behalf.AccountRef{"again": {App: "slack"}, "more": {App: "slack"}}
	w.store.version(v)
	w.store.connect(alice, "github")
	var fetched []behalf.Account
	w.credentials = func(ctx context.Context, a behalf.Account) (worker.Auth, error) {
		fetched = append(fetched, a)
		return tokenOf(ctx, a)
	}
	w.start(worker.Config{})
	w.call(eventOf(alice))
	if len(fetched) != 1 || fetched[0].App != "slack" || fetched[0].User != alice {
		t.Errorf("fetched %+v", fetched)
	}
}

func TestFailuresOfSteps(t *testing.T) {
	t.Parallel()
	cut := func(ctx context.Context, _ step.Call) (behalf.Outcome, error) {
		<-ctx.Done()
		return behalf.Outcome{Cut: true, Logs: []behalf.Log{{Text: "so far"}}}, nil
	}
	for name, c := range map[string]struct {
		runner  runner
		timeout time.Duration
		state   behalf.RunState
		code    behalf.Code
		step    behalf.StepName
		message string
	}{
		"a step threw": {
			runner: func(context.Context, step.Call) (behalf.Outcome, error) { return throws("no channel"), nil },
			state:  behalf.StateFailed, code: behalf.CodeStepFailed, step: "only", message: "Step only failed: no channel",
		},
		"a step answered and then threw": {
			runner: func(context.Context, step.Call) (behalf.Outcome, error) {
				o := throws("no channel")
				o.Response = &behalf.Response{Text: "done"}
				return o, nil
			},
			state: behalf.StateFailed, code: behalf.CodeStepFailed, step: "only", message: "Step only failed: no channel",
		},
		"the run's timeout passed": {
			runner: cut, timeout: 50 * time.Millisecond,
			state: behalf.StateFailed, code: behalf.CodeRunTimeout, step: "only", message: "Step only failed: the run's timeout of 50ms passed",
		},
		"the run's timeout is the default": {
			runner: func(context.Context, step.Call) (behalf.Outcome, error) { return behalf.Outcome{Cut: true}, nil },
			state:  behalf.StateFailed, code: behalf.CodeRunTimeout, step: "only", message: "Step only failed: the run's timeout of 30s passed",
		},
		"nobody answered": {
			runner: func(context.Context, step.Call) (behalf.Outcome, error) { return behalf.Outcome{}, nil },
			state:  behalf.StateOK, code: behalf.CodeNoResponse, message: "No $.respond called in workflow",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := version("only")
			v.Settings.Timeout = c.timeout
			v.Settings.Retries = new(3) // none of which counts while a caller waits
			w.store.version(v)
			w.runner = c.runner
			w.start(worker.Config{Registerer: w.reg})
			e := eventOf("")
			r := w.call(e)
			if r.State != c.state || r.Failure == nil || r.Failure.Code != c.code || r.Failure.Step != c.step || r.Failure.Message != c.message || r.Response != nil {
				t.Errorf("the answer is %s, %+v, %+v", r.State, r.Failure, r.Response)
			}
			w.settled()
			if kinds(w.records(e.Run)) != "finish" || w.figure("behalf_runs_total", string(c.code)) != 1 {
				t.Errorf("the journal is %+v", w.records(e.Run))
			}
			if line := w.logs.lines(t, "run finished"); len(line) != 1 || line[0]["level"] != "info" {
				t.Errorf("an author's failure is logged as %v", line)
			}
		})
	}
}

func TestAThrownStepKeepsWhatItLeftBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
		o := throws("no channel")
		o.Logs = []behalf.Log{{Stream: "stdout", Text: "before"}}
		return o, nil
	}
	w.start(worker.Config{})
	e := eventOf("")
	w.call(e)
	steps := w.show(e.Run).Steps
	if len(steps) != 1 || steps[0].Err.Message != "no channel" || !strings.Contains(steps[0].Err.Stack, "only.mjs:3") || steps[0].Logs[0].Text != "before" {
		t.Errorf("the run shows %+v", steps)
	}
}
