package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// run puts a run of ours into development. Its result token is secret-of-the-run.
func (w *world) run(state behalf.RunState, changes ...func(*behalf.Run, *behalf.Event)) behalf.Run {
	w.t.Helper()
	id := behalf.NewRunID()
	r := behalf.Run{
		ID: id, Project: mine, Environment: behalf.Development, Workflow: "p_abc", User: "abc-123", State: state, Attempts: 1,
		StartedAt: time.Now().UTC(), Steps: []behalf.StepRecord{{Path: "summary", Exports: json.RawMessage(`{"a":1}`)}},
	}
	if state.Finished() {
		answered := behalf.NewResponse(201, map[string]string{"Content-Type": "text/html", "Set-Cookie": "a=b", "X-Mine": "1"}, []byte("<p>hello"))
		r.Result = &behalf.Result{Run: id, State: state, Response: &answered}
	}
	e := behalf.Event{Run: id, Origin: behalf.Origin{ResultHash: auth.Hash(secret.New("secret-of-the-run")), Waits: true}}
	for _, f := range changes {
		f(&r, &e)
	}
	var err error
	if r.Event, err = json.Marshal(e); err != nil {
		w.t.Fatal(err)
	}
	r.ResultHash = e.Origin.ResultHash
	w.dev.runs[id] = r
	return r
}

func failed(f *behalf.Failure) func(*behalf.Run, *behalf.Event) {
	return func(r *behalf.Run, _ *behalf.Event) { r.Result.Response, r.Result.Failure = nil, f }
}

func TestResult(t *testing.T) {
	t.Parallel()
	silent := func(r *behalf.Run, _ *behalf.Event) { r.Result.Response = nil }
	nobodyWaits := func(r *behalf.Run, e *behalf.Event) { r.Result.Response, e.Origin.Waits = nil, false }
	for name, c := range map[string]struct {
		state  behalf.RunState
		change func(*behalf.Run, *behalf.Event)
		status int
		body   string
		header map[string]string
	}{
		"the workflow's own answer": {behalf.StateOK, nil, 201, "<p>hello", map[string]string{
			"Content-Type": "text/html", "X-Mine": "1", "Set-Cookie": "", "Content-Security-Policy": "sandbox",
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		}},
		"a step threw": {
			behalf.StateFailed, failed(behalf.FailStep("summary", "no such channel")), 400,
			`{"error":"Step summary failed: no such channel","code":"step_failed"}`,
			map[string]string{"X-Behalf-Error": "step_failed", "X-Behalf-Step": "summary"},
		},
		"still running":                {behalf.StateRunning, nil, 202, `{"run_id":"RUN","state":"running"}`, map[string]string{"Retry-After": "1"}},
		"waiting":                      {behalf.StateWaiting, nil, 202, `{"run_id":"RUN","state":"waiting"}`, nil},
		"no answer, and nobody waited": {behalf.StateOK, nobodyWaits, 200, `{"run_id":"RUN","state":"ok"}`, nil},
		"no answer, and a caller waited for one": {
			behalf.StateOK, silent, 400, `{"error":"No $.respond called in workflow","code":"no_response"}`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.run(c.state)
			if c.change != nil {
				r = w.run(c.state, c.change)
			}
			want := strings.ReplaceAll(c.body, "RUN", string(r.ID))
			for way, a := range map[string]answer{
				"by bearer": w.call(backend, "GET", "/v1/runs/"+string(r.ID)+"/result", ""),
			} {
				if a.status != c.status || strings.TrimSpace(a.body) != want || a.header.Get("X-Behalf-Run-Id") != string(r.ID) {
					t.Errorf("%s: %d %s %v, want %d %s", way, a.status, a.body, a.header, c.status, want)
				}
				for h, want := range c.header {
					if got := a.header.Get(h); got != want {
						t.Errorf("%s: %s = %q, want %q", way, h, got, want)
					}
				}
			}
		})
	}
}

func TestResultIsRenderedByTheIngress(t *testing.T) {
	t.Parallel()
	var told []bool
	w := newWorld(t, func(_ *api.Config, d *api.Deps) {
		d.Render = func(rw http.ResponseWriter, _ *http.Request, result behalf.Result, trusted bool) {
			told = append(told, trusted)
			rw.Header().Set("Set-Cookie", "a=b")
			_, _ = fmt.Fprint(rw, result.Run)
		}
	})
	r := w.run(behalf.StateOK)
	for _, a := range []answer{
		w.call(backend, "GET", "/v1/runs/"+string(r.ID)+"/result", ""),
		w.call("", "GET", "/v1/runs/"+string(r.ID)+"/result?token=secret-of-the-run", ""),
	} {
		if a.status != 200 || a.body != string(r.ID) || a.header.Get("Set-Cookie") != "" || a.header.Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
	}
	if fmt.Sprint(told) != "[true false]" {
		t.Errorf("trusted: %v", told)
	}
}

func TestResultByToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(behalf.StateFailed, failed(behalf.FailStep("summary", "canary of the step")))
	trusted := w.run(behalf.StateFailed, failed(behalf.FailStep("summary", "canary of the step")), func(_ *behalf.Run, e *behalf.Event) { e.Origin.Trusted = true })
	closed := w.run(behalf.StateOK, func(_ *behalf.Run, e *behalf.Event) { e.Origin.ResultHash = "" })
	forgotten := w.run(behalf.StateOK)
	forgotten.Event, forgotten.ResultHash = nil, ""
	w.dev.runs[forgotten.ID] = forgotten
	foreign := w.run(behalf.StateRunning, func(r *behalf.Run, _ *behalf.Event) { r.Project = theirs })

	get := func(id behalf.RunID, token string, headers ...string) answer {
		return w.call("", "GET", "/v1/runs/"+string(id)+"/result?token="+token, "", append([]string{"X-Pd-Environment", ""}, headers...)...)
	}
	if a := get(r.ID, "secret-of-the-run"); a.status != 400 || strings.Contains(a.body, "canary") || !strings.Contains(a.body, "Step summary failed") {
		t.Errorf("a stranger reads %d %s", a.status, a.body)
	}
	if a := get(trusted.ID, "secret-of-the-run"); !strings.Contains(a.body, "canary") {
		t.Errorf("the caller of a protected trigger reads %d %s", a.status, a.body)
	}
	if a := get(foreign.ID, "secret-of-the-run"); a.status != 202 {
		t.Errorf("whose project it is does not matter: %d %s", a.status, a.body)
	}
	if a := get(r.ID, "secret-of-the-run", "X-Pd-Environment", "development"); a.status != 400 {
		t.Errorf("with the environment named: %d %s", a.status, a.body)
	}
	flat(t, get(r.ID, "secret-of-the-run", "X-Pd-Environment", "staging"), 400, "environment_invalid")

	unknown := get(behalf.NewRunID(), "secret-of-the-run")
	flat(t, unknown, 404, "not_found")
	for name, a := range map[string]answer{
		"a wrong token":            get(r.ID, "another"),
		"the hash as token":        get(r.ID, auth.Hash(secret.New("secret-of-the-run"))),
		"a run without a token":    get(closed.ID, "secret-of-the-run"),
		"a run without an event":   get(forgotten.ID, "secret-of-the-run"),
		"another environment":      get(r.ID, "secret-of-the-run", "X-Pd-Environment", "production"),
		"an id that is none":       get("run_x", "secret-of-the-run"),
		"a wildcard":               get("*", "secret-of-the-run"),
		"a wrong token and bearer": get(r.ID, "another", "Authorization", "Bearer "+w.token(ours)),
	} {
		if a.status != 404 || a.body != unknown.body {
			t.Errorf("%s: %d %s, want the bytes of an unknown run", name, a.status, a.body)
		}
	}
	flat(t, get(r.ID, ""), 401, "unauthenticated") // an empty token is none
}

func TestStrangersAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.PerAddress = web.Rate{PerSecond: .001, Burst: 2} })
	for range 2 {
		w.call("", "GET", "/v1/runs/"+string(behalf.NewRunID())+"/result?token=guess", "")
	}
	flat(t, w.call("", "GET", "/v1/runs/"+string(behalf.NewRunID())+"/result?token=guess", ""), 429, "throttled")
	if a := w.call(ours, "GET", "/v1/runs/"+string(w.run(behalf.StateOK).ID)+"/result", ""); a.status != 201 {
		t.Errorf("a bearer is not a stranger: %d", a.status)
	}
}

func TestRunsList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ok := w.run(behalf.StateOK)
	bad := w.run(behalf.StateFailed, failed(behalf.FailStep("summary", "oops")))
	other := w.run(behalf.StateRunning, func(r *behalf.Run, _ *behalf.Event) { r.User, r.Workflow = "xyz-9", "p_other" })
	w.run(behalf.StateOK, func(r *behalf.Run, _ *behalf.Event) { r.Project = theirs })
	for query, want := range map[string][]behalf.RunID{
		"":                              {other.ID, bad.ID, ok.ID},
		"?state=failed":                 {bad.ID},
		"?user=xyz-9":                   {other.ID},
		"?workflow=p_abc&limit=100":     {bad.ID, ok.ID},
		"?workflow=p_nothing":           {},
		"?state=ok&user=abc-123":        {ok.ID},
		"?limit=1":                      {other.ID},
		"?after=" + string(bad.ID):      {ok.ID},
		"?user=" + "%D0%B6%2F%C3%A9":    {},
		"?state=waiting&workflow=p_abc": {},
	} {
		a := w.call(ours, "GET", "/v1/runs"+query, "")
		var got struct {
			Data []struct {
				ID      behalf.RunID    `json:"id"`
				Failure *behalf.Failure `json:"failure"`
			} `json:"data"`
			Info struct {
				Count  int     `json:"count"`
				Cursor *string `json:"end_cursor"`
			} `json:"page_info"`
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
			t.Fatalf("%s: %d %s", query, a.status, a.body)
		}
		ids := []behalf.RunID{}
		for _, d := range got.Data {
			ids = append(ids, d.ID)
			if (d.Failure != nil) != (d.ID == bad.ID) {
				t.Errorf("failure of %s: %v", d.ID, d.Failure)
			}
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) || got.Info.Count != len(want) || (got.Info.Cursor != nil) != (query == "?limit=1") {
			t.Errorf("%q: %s, want %v", query, a.body, want)
		}
		if strings.Contains(a.body, "null,") || strings.Contains(a.body, `"data":null`) {
			t.Errorf("%q: %s", query, a.body)
		}
	}
	for _, query := range []string{
		"?limit=0", "?limit=101", "?limit=-1", "?limit=x", "?limit=1e2", "?limit=99999999999999999999", "?limit=", "?state=done", "?state=",
		"?workflow=abc", "?workflow=p_*", "?workflow=", "?user=", "?user=%00", "?user=%ff", "?users=abc", "?state=ok&state=failed",
		"?include_credentials=true", "?%zz", "?a;b", "?user=" + strings.Repeat("x", 251), "?__proto__=1",
	} {
		flat(t, w.call(ours, "GET", "/v1/runs"+query, ""), 400, "invalid")
	}
}

func TestRunShow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(behalf.StateOK)
	a := w.call(ours, "GET", "/v1/runs/"+string(r.ID), "")
	if a.status != 200 || a.field(t, "id") != string(r.ID) || a.field(t, "steps.0.path") != "summary" || a.field(t, "steps.0.exports.a") != 1.0 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestNotYoursLooksLikeNothing asks for what is another project's, in another environment, and for what never was.
func TestNotYoursLooksLikeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(behalf.StateOK)
	w.dev.accounts[key(mine, "apn_mine")] = behalf.Account{ID: "apn_mine", Project: mine, App: "slack", User: "abc-123"}
	w.dev.credentials["apn_mine"] = "kept"
	w.dev.users[key(mine, "abc-123")] = behalf.ExternalUser{ID: "exu_1", Project: mine, External: "abc-123"}
	w.dev.workflows[key(mine, "p_mine")] = behalf.Workflow{ID: "p_mine", Project: mine, Version: "d_1", Endpoint: "en1"}
	for name, c := range map[string]struct{ method, yours, nothing string }{
		"a run":                 {"GET", "/v1/runs/" + string(r.ID), "/v1/runs/" + string(behalf.NewRunID())},
		"a run, malformed":      {"GET", "/v1/runs/" + string(r.ID), "/v1/runs/run_x"},
		"a result":              {"GET", "/v1/runs/" + string(r.ID) + "/result", "/v1/runs/" + string(behalf.NewRunID()) + "/result"},
		"an account":            {"GET", "/v1/accounts/apn_mine", "/v1/accounts/apn_nothing"},
		"an account, malformed": {"GET", "/v1/accounts/apn_mine", "/v1/accounts/x"},
		"an account, deleted":   {"DELETE", "/v1/accounts/apn_mine", "/v1/accounts/apn_nothing"},
		"a user":                {"GET", "/v1/users/abc-123", "/v1/users/nobody"},
		"a user's accounts":     {"GET", "/v1/accounts?user=abc-123", "/v1/accounts?user=nobody"},
		"runs of a user":        {"GET", "/v1/runs?user=abc-123", "/v1/runs?user=nobody"},
		"runs of a workflow":    {"GET", "/v1/runs?workflow=p_abc", "/v1/runs?workflow=p_nothing"},
		"a workflow":            {"GET", "/v1/workflows/p_mine", "/v1/workflows/p_nothing"},
	} {
		nothing := w.call(other, c.method, c.nothing, "")
		for who, yours := range map[string]answer{
			"another project":     w.call(other, c.method, c.yours, ""),
			"another environment": w.call(ours, c.method, c.yours, "", "X-Pd-Environment", "production"),
		} {
			if yours.status != nothing.status || yours.body != nothing.body || fmt.Sprint(yours.header) != fmt.Sprint(nothing.header) {
				t.Errorf("%s of %s: %d %s, of nothing: %d %s", name, who, yours.status, yours.body, nothing.status, nothing.body)
			}
		}
		if strings.Contains(name, "of") {
			continue
		}
		if own := w.call(ours, "GET", c.yours, ""); own.status >= 300 {
			t.Errorf("%s: its owner is answered %d", name, own.status)
		}
	}
	if w.dev.credentials["apn_mine"] == "" {
		t.Error("another project deleted a credential")
	}
}
