package ingress_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

type publish = func(ctx context.Context, stored func()) error

// publishes is every way in which a publish can go. Each may be the truth whatever it says.
func publishes() map[string]publish {
	fails := func(stores bool, err error) publish {
		return func(_ context.Context, store func()) error {
			if stores {
				store()
			}
			return err
		}
	}
	lost := fault.New(fault.Timeout, "bus.Publish", "").WithCode("acceptance_unknown")
	all := map[string]publish{
		"stored":                             fails(true, nil),
		"the ack is lost, and it was stored": fails(true, lost),
		"the ack is lost, and it was not":    fails(false, lost),
		"unknown, of a kind that promises":   fails(true, fault.New(fault.Unavailable, "bus.Publish", "").WithCode("acceptance_unknown")),
		"a plain error, and it was stored":   fails(true, errors.New("boom")),
		"stored, then a panic":               func(_ context.Context, store func()) error { store(); panic("boom") },
		"stored late": func(ctx context.Context, store func()) error {
			time.Sleep(4 * time.Second)
			store()
			return ctx.Err()
		},
		"stored, then no answer": func(ctx context.Context, store func()) error {
			store()
			<-ctx.Done()
			return fault.Wrap(fault.KindOf(ctx.Err()), "bus.Publish", ctx.Err())
		},
	}
	for _, kind := range fault.Kinds() {
		promises := slices.Contains([]fault.Kind{fault.Invalid, fault.Exhausted, fault.Unavailable}, kind)
		all["refused as "+kind.String()] = fails(!promises, fault.New(kind, "bus.Publish", ""))
	}
	return all
}

// runs is every way in which a run can answer.
func runs() map[string]func(*world) {
	all := map[string]func(*world){
		"silence":   func(*world) {},
		"ok":        func(w *world) { w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "x"}}) },
		"nothing":   func(w *world) { w.answers(behalf.Result{State: behalf.StateOK}) },
		"waiting":   func(w *world) { w.answers(behalf.Result{State: behalf.StateWaiting}) },
		"elsewhere": func(w *world) { w.answers(behalf.Result{State: behalf.StateOK, Elsewhere: true}) },
		"canceled":  func(w *world) { w.answers(behalf.Result{State: behalf.StateCanceled}) },
		"a panicking journal": func(w *world) {
			w.journal = func(behalf.RunID) (behalf.Run, error) { panic("boom") }
		},
	}
	for _, code := range behalf.Codes() {
		all["failed: "+string(code)] = failed(&behalf.Failure{Code: code, Message: "x"})
	}
	return all
}

// A client that repeats every 408, 429 and 5xx by itself must never run a workflow twice.
func TestNoAnswerToRepeatOnceAnythingMayBeAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for publishName, publish := range publishes() {
			for runName, run := range runs() {
				for _, mode := range []behalf.RespondMode{behalf.RespondCustom, behalf.RespondImmediate, behalf.RespondStatic} {
					w := newWorld(behalf.AuthOAuth, mode)
					w.bus.publish = publish
					run(w)
					res := w.send(request(http.MethodPost, "", oauth+user, `{"a":1}`))
					repeatable := res.status == 408 || res.status == 429 || res.status >= 500
					accepted := len(w.bus.stored()) > 0
					if repeatable && accepted || accepted && res.header.Get("X-Behalf-Run-Id") == "" {
						t.Errorf("%s, %s, %s: %d %s", publishName, runName, mode, res.status, res.header.Get("X-Behalf-Error"))
					}
					if res.status/100 == 2 && !accepted {
						t.Errorf("%s, %s, %s: %d and nothing was stored", publishName, runName, mode, res.status)
					}
				}
			}
		}
	})
}

func TestAPanicBeforePublishingAcceptsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.find = func(behalf.EndpointID) (behalf.Endpoint, error) { panic("boom") }
	res := w.send(request(http.MethodPost, "", oauth, ""))
	if res.status != 503 || res.header.Get("X-Behalf-Error") != "unavailable" || len(w.bus.stored()) > 0 {
		t.Errorf("answered %d %s", res.status, res.header.Get("X-Behalf-Error"))
	}
}

func TestAResultProvesAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	unknown(true)(w)
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "done"}})
	res := w.send(request(http.MethodPost, "", oauth, ""))
	if body := res.body; res.status != 200 || body != "done" {
		t.Errorf("answered %d %q", res.status, body)
	}
}

func TestARunInTheJournalProvesAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	unknown(true)(w)
	w.journal = func(run behalf.RunID) (behalf.Run, error) {
		return behalf.Run{ID: run, State: behalf.StateRunning}, nil
	}
	if res := w.send(request(http.MethodPost, "", oauth, "")); res.status != 202 || res.header.Get("X-Behalf-Error") != "running" {
		t.Errorf("answered %d %s", res.status, res.header.Get("X-Behalf-Error"))
	}
}

func TestAReplyThatWasLostComesFromTheJournal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
		w.config.Wait = 0 // 30 seconds
		reads := 0
		w.journal = func(run behalf.RunID) (behalf.Run, error) {
			if reads++; reads == 1 { // the worker is not done at the first reconnect
				return behalf.Run{}, fault.New(fault.NotFound, "journal", "nothing yet")
			}
			result := behalf.Result{Run: run, State: behalf.StateOK, Response: &behalf.Response{Text: "done"}}
			return behalf.Run{ID: run, State: behalf.StateOK, Result: &result}, nil
		}
		s, began := w.server(), time.Now()
		time.AfterFunc(time.Second, w.bus.reconnect)
		time.AfterFunc(3*time.Second, w.bus.reconnect)
		res := serve(s, request(http.MethodPost, "", oauth, ""))
		if body := res.body; body != "done" || time.Since(began) != 3*time.Second || reads != 2 {
			t.Errorf("%q after %v and %d reads", body, time.Since(began), reads)
		}
	})
}

func TestAResultTooLargeForAReplyComesFromTheJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.config.Wait = time.Minute
	w.answers(behalf.Result{State: behalf.StateOK, Elsewhere: true})
	w.journal = func(run behalf.RunID) (behalf.Run, error) {
		result := behalf.Result{Run: run, State: behalf.StateOK, Response: &behalf.Response{Text: strings.Repeat("a", 1<<20)}}
		return behalf.Run{ID: run, State: behalf.StateOK, Result: &result}, nil
	}
	if res := w.send(request(http.MethodPost, "", oauth, "")); res.status != 200 || len(res.body) != 1<<20 {
		t.Errorf("answered %d with %d bytes", res.status, len(res.body))
	}
}

func TestAnAnswerBeforeTheRunIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.answers(behalf.Result{State: behalf.StateRunning, Response: &behalf.Response{Text: "soon", Immediate: true}})
	if res := w.send(request(http.MethodPost, "", oauth, "")); res.status != 200 || res.body != "soon" {
		t.Errorf("answered %d %q", res.status, res.body)
	}
}

func TestTheWaitIsBounded(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 10 * time.Second: 10 * time.Second, time.Hour: 55 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
			w.config.Wait = wait
			w.bus.publish = func(_ context.Context, store func()) error {
				time.Sleep(4 * time.Second) // which counts as waiting
				store()
				return nil
			}
			began := time.Now()
			res := w.send(request(http.MethodPost, "", oauth, ""))
			if res.status != 202 || time.Since(began) != want {
				t.Errorf("%d after %v, want %v", res.status, time.Since(began), want)
			}
		})
	}
}

func TestAClientWhoLeavesEndsTheRequestAndNotTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
		w.config.Wait = time.Minute
		ctx, leave := context.WithCancel(t.Context())
		w.bus.publish = func(ctx context.Context, store func()) error {
			leave() // while we publish: it must be decided all the same
			if ctx.Err() != nil {
				t.Error("the publish ends with its client")
			}
			store()
			return nil
		}
		began := time.Now()
		res := w.send(request(http.MethodPost, "", oauth, "").WithContext(ctx))
		if time.Since(began) != 0 || res.header.Get("X-Behalf-Error") != "" || len(w.bus.stored()) != 1 {
			t.Errorf("%v, %v, %d events", time.Since(began), res.header, len(w.bus.stored()))
		}
	})
}

func TestAPublishIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
		w.config.PublishTimeout = 2 * time.Second
		w.bus.publish = func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		if res := w.send(request(http.MethodPost, "", oauth, "")); res.status != 409 || time.Since(began) != 2*time.Second {
			t.Errorf("%d after %v", res.status, time.Since(began))
		}
	})
}

var _ http.Handler = (*ingress.Server)(nil)
