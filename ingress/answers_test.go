package ingress_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const (
	oauth = "Authorization: Bearer good\n"
	user  = "x-pd-external-user-id: abc-123\n"
)

var timing = behalf.Timing{Queue: 1500 * time.Microsecond, Steps: 20 * time.Millisecond, Journal: 250 * time.Microsecond}

// row is one answer, down to its bytes. {run} in a text stands for the run's id.
type row struct {
	auth    behalf.TriggerAuth
	mode    behalf.RespondMode
	world   func(*world)
	headers string
	body    string

	status   int
	code     string
	step     string
	text     string
	accepted bool
	// location is the answer's Location up to the token.
	location string
	also     map[string]string
}

func failed(f *behalf.Failure) func(*world) {
	return func(w *world) { w.answers(behalf.Result{State: behalf.StateFailed, Failure: f, Timing: timing}) }
}

func refuses(kind fault.Kind) func(*world) {
	return func(w *world) {
		w.bus.publish = func(context.Context, func()) error { return fault.New(kind, "bus.Publish", "no") }
	}
}

func unknown(stored bool) func(*world) {
	return func(w *world) {
		w.bus.publish = func(_ context.Context, store func()) error {
			if stored {
				store()
			}
			return fault.New(fault.Timeout, "bus.Publish", "").WithCode("acceptance_unknown")
		}
	}
}

func needsSlack(w *world) { w.endpoint.Needs = []behalf.Need{{Step: "notify", App: "slack"}} }

func rows() map[string]row {
	notFound := "No workflow answers here in production"
	unauthorized := "Unauthorized: send Authorization: Bearer with a valid token for this workflow"
	bearer := map[string]string{"Www-Authenticate": "Bearer"}
	return map[string]row{
		"no bearer":             {auth: "oauth", mode: "custom", status: 401, code: "unauthenticated", text: unauthorized, also: bearer},
		"an empty bearer":       {auth: "oauth", mode: "custom", headers: "Authorization: ", status: 401, code: "unauthenticated", text: unauthorized, also: bearer},
		"a bad bearer":          {auth: "oauth", mode: "custom", headers: "Authorization: Bearer bad", status: 401, code: "unauthenticated", text: unauthorized},
		"two bearers":           {auth: "oauth", mode: "custom", headers: oauth + oauth, status: 401, code: "unauthenticated", text: unauthorized},
		"another project's":     {auth: "oauth", mode: "custom", headers: "Authorization: Bearer other-project", status: 401, code: "unauthenticated", text: unauthorized},
		"no static token":       {auth: "token", mode: "custom", status: 401, code: "unauthenticated", text: unauthorized},
		"a wrong static token":  {auth: "token", mode: "custom", headers: "Authorization: Bearer wrong", status: 401, code: "unauthenticated", text: unauthorized},
		"an oauth token there":  {auth: "token", mode: "custom", headers: oauth, status: 401, code: "unauthenticated", text: unauthorized},
		"an unknown protection": {auth: "mtls", mode: "custom", headers: oauth, status: 401, code: "unauthenticated", text: unauthorized},
		"no scope":              {auth: "oauth", mode: "custom", headers: "Authorization: Bearer no-scope", status: 403, code: "forbidden", text: "Forbidden: this client lacks the scope invoke"},
		"not in this environment": {
			auth: "oauth", mode: "custom", headers: "Authorization: Bearer development-only", status: 403, code: "forbidden",
			text: "Forbidden: this client may not act in production",
		},
		"keys away": {
			auth: "oauth", mode: "custom", headers: "Authorization: Bearer keys-away", status: 503, code: "unavailable",
			text: "Behalf cannot accept events right now; nothing was accepted, send it again later", also: map[string]string{"Retry-After": "1"},
		},
		"unknown endpoint": {auth: "oauth", mode: "custom", headers: oauth, world: func(w *world) { w.endpoint.ID = "enother" }, status: 404, code: "endpoint_not_found", text: notFound},
		"unknown in development": {
			auth: "oauth", mode: "custom", headers: oauth + "x-pd-environment: development", world: func(w *world) { w.endpoint.ID = "enother" },
			status: 404, code: "endpoint_not_found", text: "No workflow answers here in development",
		},
		"public in development": {
			auth: "none", mode: "custom", headers: "x-pd-environment: development", status: 404, code: "endpoint_not_found",
			text: "No workflow answers here in development",
		},
		"endpoint before a bad environment": {
			auth: "oauth", mode: "custom", headers: "x-pd-environment: staging", status: 400, code: "environment_invalid",
			text: "x-pd-environment must be development or production",
		},
		"joined environments": {
			auth: "oauth", mode: "custom", headers: "x-pd-environment: production, development", status: 400, code: "environment_invalid",
			text: "x-pd-environment must be development or production",
		},
		"two environments": {
			auth: "oauth", mode: "custom", headers: "x-pd-environment: production\nx-pd-environment: production", status: 400, code: "environment_invalid",
			text: "x-pd-environment must be development or production",
		},
		"no user": {
			auth: "oauth", mode: "custom", headers: oauth, world: needsSlack, status: 400, code: "external_user_required", step: "notify",
			text: "Connect Error: No external user ID passed, but step notify requires it",
		},
		"unknown user": {
			auth: "oauth", mode: "custom", headers: oauth + "x-pd-external-user-id: nobody", world: needsSlack, status: 404, code: "external_user_not_found",
			text: "Connect Error: No matching external user ID nobody in production",
		},
		"no account": {
			auth: "oauth", mode: "custom", headers: oauth + "x-pd-external-user-id: xyz-9\nx-pd-environment: development", world: needsSlack,
			status: 400, code: "account_required", step: "notify", text: "Connect Error: Required account for slack not found for external user ID xyz-9 in development",
		},
		"another's account named": {
			auth: "oauth", mode: "custom", headers: oauth + user + "x-behalf-accounts: slack=apn_2", world: needsSlack,
			status: 400, code: "account_required", step: "notify", text: "Connect Error: Required account for slack not found for external user ID abc-123 in production",
		},
		"needs to connect again": {
			auth: "oauth", mode: "custom", headers: oauth + "x-pd-external-user-id: stale", world: needsSlack, status: 400, code: "account_needs_reauth", step: "notify",
			text: "Connect Error: Account for slack of external user ID stale in production must be connected again",
		},
		"authentication before size": {auth: "oauth", mode: "custom", body: strings.Repeat("a", 300<<10), status: 401, code: "unauthenticated", text: unauthorized},
		"size before user": {
			auth: "oauth", mode: "custom", headers: oauth, world: needsSlack, body: strings.Repeat("a", 300<<10), status: 413, code: "body_too_large",
			text: "Body too large: an event may have 262144 bytes",
		},
		"an event that grew too large": {
			auth: "oauth", mode: "immediate", headers: oauth, body: strings.Repeat("\x01", 60<<10), status: 413, code: "body_too_large",
			text: "Body too large: an event may have 262144 bytes",
		},
		"too large for the bus": {
			auth: "oauth", mode: "immediate", headers: oauth, world: func(w *world) {
				w.bus.publish = func(context.Context, func()) error {
					return fault.New(fault.Invalid, "bus.Publish", "no").WithCode("body_too_large")
				}
			}, status: 413, code: "body_too_large",
			text: "Body too large: an event may have 262144 bytes",
		},
		"a definition of which no event can be made": {
			auth: "oauth", mode: "immediate", headers: oauth, world: refuses(fault.Invalid), status: 503, code: "unavailable",
			text: "Behalf cannot accept events right now; nothing was accepted, send it again later", also: map[string]string{"Retry-After": "1"},
		},
		"queue full": {
			auth: "oauth", mode: "custom", headers: oauth, world: refuses(fault.Exhausted), status: 503, code: "queue_full",
			text: "The queue of this workflow is full; nothing was accepted, send it again later", also: map[string]string{"Retry-After": "5"},
		},
		"NATS away": {
			auth: "none", mode: "immediate", world: refuses(fault.Unavailable), status: 503, code: "unavailable",
			text: "Behalf cannot accept events right now; nothing was accepted, send it again later", also: map[string]string{"Retry-After": "1"},
		},
		"a key that is none": {
			auth: "oauth", mode: "custom", headers: oauth + "Idempotency-Key: ", status: 400, code: "request_invalid",
			text: "Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters",
		},
		"a key that cannot be taken": {
			auth: "oauth", mode: "custom", headers: oauth + "Idempotency-Key: k", status: 503, code: "unavailable",
			world: func(w *world) { w.keys.fails = fault.New(fault.Unavailable, "journal", "away") },
			text:  "Behalf cannot accept events right now; nothing was accepted, send it again later", also: map[string]string{"Retry-After": "1"},
		},

		"its own answer": {
			auth: "oauth", mode: "custom", headers: oauth + user,
			world: func(w *world) {
				w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Status: 201, Text: `{"sent":true}`}, Timing: timing})
			},
			status: 201, text: `{"sent":true}`, accepted: true,
			also: map[string]string{"Content-Type": "application/json; charset=utf-8", "Server-Timing": "queue;dur=1.5, step;dur=20, journal;dur=0.25", "Content-Length": "13"},
		},
		"a stranger's answer": {
			auth: "none", mode: "custom",
			world: func(w *world) {
				w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "hi"}, Timing: timing})
			},
			status: 200, text: "hi", accepted: true, also: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Server-Timing": ""},
		},
		"a step threw": {
			auth: "oauth", mode: "custom", headers: oauth, world: failed(behalf.FailStep("notify", "channel_not_found")), status: 400, code: "step_failed", step: "notify",
			text: "Step notify failed: channel_not_found", accepted: true, also: map[string]string{"X-Content-Type-Options": "nosniff"},
		},
		"a step threw, told by its token": {
			auth: "token", mode: "custom", headers: "Authorization: Bearer " + staticText, world: failed(behalf.FailStep("notify", "channel_not_found")),
			status: 400, code: "step_failed", step: "notify", text: "Step notify failed: channel_not_found", accepted: true,
		},
		"a step threw before a stranger": {
			auth: "none", mode: "custom", world: failed(behalf.FailStep("notify", "channel_not_found")), status: 400, code: "step_failed", step: "notify",
			text: "Step notify failed", accepted: true, also: map[string]string{"Server-Timing": ""},
		},
		"the run's timeout": {
			auth: "oauth", mode: "custom", headers: oauth, world: failed(behalf.FailRunTimeout("slow", "30s")), status: 400, code: "run_timeout", step: "slow",
			text: "Step slow failed: the run's timeout of 30s passed", accepted: true,
		},
		"no response": {
			auth: "oauth", mode: "custom", headers: oauth, world: func(w *world) { w.answers(behalf.Result{State: behalf.StateOK}) }, status: 400, code: "no_response",
			text: "No $.respond called in workflow", accepted: true,
		},
		"version away": {
			auth: "oauth", mode: "custom", headers: oauth, world: failed(behalf.FailVersionUnavailable("run_x")), status: 400, code: "version_unavailable",
			text: "The version of this workflow could not be loaded for run run_x; deploy it again", accepted: true,
		},
		"the platform failed": {
			auth: "oauth", mode: "custom", headers: oauth, world: failed(behalf.FailPlatform("run_x")), status: 400, code: "platform_error",
			text: "Run run_x failed inside Behalf; its dead letter has the reason", accepted: true,
		},
		"the worker finds the account gone": {
			auth: "oauth", mode: "custom", headers: oauth, world: failed(behalf.FailAccountRequired("slack", "abc-123", "production")), status: 400, code: "account_required",
			text: "Connect Error: Required account for slack not found for external user ID abc-123 in production", accepted: true,
		},
		"it waits": {
			auth: "oauth", mode: "custom", headers: oauth, world: func(w *world) { w.answers(behalf.Result{State: behalf.StateWaiting}) }, status: 202, code: "waiting",
			text: "$.respond() not called for this invocation", accepted: true, location: "https://api.example/v1/runs/{run}/result",
		},
		"it goes on": {
			auth: "oauth", mode: "custom", headers: oauth, status: 202, code: "running", text: "Run {run} goes on; its result will be at Location", accepted: true,
			location: "https://api.example/v1/runs/{run}/result",
		},
		"it goes on for a stranger": {
			auth: "none", mode: "custom", status: 202, code: "running", text: "Run {run} goes on; its result will be at Location", accepted: true,
			location: "https://api.example/v1/runs/{run}/result?token=",
		},
		"acceptance unknown": {
			auth: "oauth", mode: "custom", headers: oauth, world: unknown(false), status: 409, code: "acceptance_unknown",
			text: "It is not known whether run {run} was accepted; its result will tell", accepted: true, location: "https://api.example/v1/runs/{run}/result",
		},
		"acceptance unknown and nobody waits": {
			auth: "token", mode: "immediate", headers: "Authorization: Bearer " + staticText, world: unknown(true), status: 409, code: "acceptance_unknown",
			text: "It is not known whether run {run} was accepted; its result will tell", accepted: true, location: "https://api.example/v1/runs/{run}/result?token=",
		},
		"at once": {
			auth: "oauth", mode: "immediate", headers: oauth, status: 200, text: `{"run_id":"{run}"}`, accepted: true, location: "https://api.example/v1/runs/{run}/result",
			also: map[string]string{"Content-Type": "application/json; charset=utf-8"},
		},
		"over, and not kept": {
			auth: "oauth", mode: "custom", headers: oauth, world: failed(behalf.FailAnswerNotKept("run_x")), status: 410, code: "answer_not_kept",
			text: "Run run_x is over; its answer was not kept, as x-pd-nostore asked", accepted: true,
		},
		"at once, without a user": {auth: "oauth", mode: "immediate", headers: oauth, world: needsSlack, status: 200, text: `{"run_id":"{run}"}`, accepted: true, location: "https://api.example/v1/runs/{run}/result"},
		"as the file says": {
			auth: "none", mode: "static",
			world: func(w *world) {
				w.endpoint.Trigger.Respond.Static = &behalf.Response{Status: 202, Headers: map[string]string{"content-type": "text/html"}, Text: "<p>thanks</p>"}
			},
			status: 202, text: "<p>thanks</p>", accepted: true, also: map[string]string{"Content-Type": "text/html"},
		},
		"public in development, allowed": {
			auth: "none", mode: "immediate", headers: "x-pd-environment: development", world: func(w *world) { w.endpoint.Trigger.PublicDevelopment = true },
			status: 200, text: `{"run_id":"{run}"}`, accepted: true, location: "https://api.example/v1/runs/{run}/result?token=",
		},
	}
}

func TestEveryRowOfTheTable(t *testing.T) {
	t.Parallel()
	for name, want := range rows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(want.auth, want.mode)
			if want.world != nil {
				want.world(w)
			}
			res := w.send(request(http.MethodPost, "", want.headers, want.body))
			check(t, res, want)
			if !want.accepted && len(w.bus.stored()) > 0 {
				t.Error("an event was stored")
			}
		})
	}
}

func check(t *testing.T, res answer, want row) {
	t.Helper()
	run := res.header.Get("X-Behalf-Run-Id")
	if got := res.body; got != strings.ReplaceAll(want.text, "{run}", run) {
		t.Errorf("body %q, want %q", got, want.text)
	}
	if res.status != want.status {
		t.Errorf("status %d, want %d", res.status, want.status)
	}
	if _, err := behalf.ParseRunID(run); (err == nil) != want.accepted {
		t.Errorf("run id %q, accepted %t", run, want.accepted)
	}
	location, token, _ := strings.Cut(res.header.Get("Location"), "token=")
	if strings.Contains(want.location, "token=") {
		location += "token="
	}
	if location != strings.ReplaceAll(want.location, "{run}", run) || (len(token) == 22) != strings.Contains(want.location, "token=") {
		t.Errorf("location %q with token %q, want %q", location, token, want.location)
	}
	headers := map[string]string{"X-Behalf-Error": want.code, "X-Behalf-Step": want.step}
	maps.Copy(headers, want.also)
	for name, value := range headers {
		if got := res.header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestEveryCodeThatCanArise(t *testing.T) {
	t.Parallel()
	later := []behalf.Code{behalf.CodeIdempotencyConflict, behalf.CodeThrottled}
	seen := map[string]bool{}
	for _, r := range rows() {
		seen[r.code] = true
	}
	for _, code := range behalf.Codes() {
		if !seen[string(code)] && !slices.Contains(later, code) {
			t.Errorf("no row for %s", code)
		}
	}
}

func TestFailuresAsJSONWhereTheCallerNamesIt(t *testing.T) {
	t.Parallel()
	for accept, asJSON := range map[string]bool{
		"application/json": true, "text/html, application/JSON;q=0.9": true, "*/*": false, "application/*": false, "": false,
		"application/json;q=0": false, "application/json; charset=utf-8; q=0.0": false, "application/jsonx": false,
	} {
		w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
		failed(behalf.FailStep("notify", `<"x">`))(w)
		res := w.send(request(http.MethodPost, "", oauth+"Accept: "+accept, ""))
		body := res.body
		want := `Step notify failed: <"x">`
		if asJSON {
			want = `{"error":{"code":"step_failed","message":"Step notify failed: <\"x\">","step":"notify","run_id":"` + res.header.Get("X-Behalf-Run-Id") + `"}}`
		}
		if body != want {
			t.Errorf("Accept %q: %s", accept, body)
		}
		if asJSON != json.Valid([]byte(body)) || asJSON != (res.header.Get("Content-Type") == "application/json; charset=utf-8") {
			t.Errorf("Accept %q: content type %q", accept, res.header.Get("Content-Type"))
		}
	}
}

func TestAnAuthorSetsHeadersButNotOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Status: 301, Text: "moved", Headers: map[string]string{
		"location": "https://elsewhere.example/", "Set-Cookie": "a=b", "X-Own": "1\t2", "Content-Length": "9999", "Transfer-Encoding": "chunked",
		"Connection": "close", "x-behalf-run-id": "run_forged", "X-BEHALF-ERROR": "forged", "X-Split": "a\r\nSet-Cookie: c=d", "Bad Name": "x", "": "x",
		"Trailer:X": "x", "content-type": "text/css",
	}}})
	res := w.send(request(http.MethodPost, "", oauth, ""))
	for name, want := range map[string]string{
		"Location": "https://elsewhere.example/", "Set-Cookie": "a=b", "X-Own": "1\t2", "Content-Length": "5", "Transfer-Encoding": "", "Connection": "",
		"X-Behalf-Run-Id": string(w.bus.stored()[0].Run), "X-Behalf-Error": "", "X-Split": "", "Bad Name": "", "Content-Type": "text/css", "Trailer": "",
	} {
		if got := strings.Join(res.header[name], "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestStatusAndContentTypeOfAWorkflowsAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		response    behalf.Response
		status      int
		contentType string
		body        string
	}{
		"nothing said":        {behalf.Response{}, 200, "", ""},
		"1xx is no answer":    {behalf.Response{Status: 101, Text: "x"}, 200, "text/plain; charset=utf-8", "x"},
		"out of range":        {behalf.Response{Status: 1000, Text: "x"}, 200, "text/plain; charset=utf-8", "x"},
		"negative":            {behalf.Response{Status: -1, Text: "x"}, 200, "text/plain; charset=utf-8", "x"},
		"no content":          {behalf.Response{Status: 204, Text: "x"}, 204, "", ""},
		"not modified":        {behalf.Response{Status: 304, Text: "x"}, 304, "", ""},
		"an author's own 503": {behalf.Response{Status: 503, Text: "later"}, 503, "text/plain; charset=utf-8", "later"},
		"an array":            {behalf.Response{Text: "[1]"}, 200, "application/json; charset=utf-8", "[1]"},
		"nearly an object":    {behalf.Response{Text: "{1}"}, 200, "text/plain; charset=utf-8", "{1}"},
		"a quoted string":     {behalf.Response{Text: `"x"`}, 200, "text/plain; charset=utf-8", `"x"`},
		"bytes":               {behalf.Response{Binary: []byte{0xff}}, 200, "application/octet-stream", "\xff"},
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondCustom)
		w.answers(behalf.Result{State: behalf.StateOK, Response: &c.response})
		res := w.send(request(http.MethodPost, "", "", ""))
		if res.status != c.status || res.header.Get("Content-Type") != c.contentType || res.body != c.body {
			t.Errorf("%s: %d %q", name, res.status, res.header.Get("Content-Type"))
		}
		if res.header.Get("X-Behalf-Run-Id") == "" {
			t.Errorf("%s: no run id", name)
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondCustom)
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "hello"}})
	res := w.send(request(http.MethodHead, "", "", ""))
	if body := res.body; body != "" || res.header.Get("Content-Length") != "5" {
		t.Errorf("body %q, length %s", body, res.header.Get("Content-Length"))
	}
}

func TestDraining(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	s := w.server()
	s.Drain()
	res := serve(s, request(http.MethodPost, "", "", ""))
	check(t, res, row{
		status: 503, code: "unavailable", text: "Behalf cannot accept events right now; nothing was accepted, send it again later",
		also: map[string]string{"Retry-After": "1", "Connection": "close"},
	})
	if got := s.Lacking(); !slices.Equal(got, []string{"draining"}) {
		t.Errorf("lacks %v", got)
	}
	if len(w.bus.stored()) > 0 {
		t.Error("an event was stored")
	}
}

// Also the last answers of a server that leaves end their connections: none is there for a next request when it closes.
func TestAnswersWhileDrainingPart(t *testing.T) {
	t.Parallel()
	for _, mode := range []behalf.RespondMode{behalf.RespondImmediate, behalf.RespondCustom} {
		w := newWorld(behalf.AuthNone, mode)
		w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Status: 200, Headers: map[string]string{"Connection": "keep-alive"}}})
		s := w.server()
		w.bus.publish = func(_ context.Context, stored func()) error {
			s.Drain() // it was on its way
			stored()
			return nil
		}
		if res := serve(s, request(http.MethodPost, "", "", "")); res.status != 200 || res.header.Get("Connection") != "close" {
			t.Errorf("%s: answered %d, Connection %q", mode, res.status, res.header.Get("Connection"))
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	connected := false
	w.bus.connected = func() bool { return connected }
	s := w.server()
	ready, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/readyz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if res := serve(s, ready); res.status != 503 || !strings.Contains(res.body, "production: not connected to NATS") {
		t.Errorf("answered %d", res.status)
	}
	connected = true
	if res := serve(s, ready); res.status != 200 {
		t.Errorf("answered %d", res.status)
	}
}

// The API serves results by the same renderer.
var _ func(http.ResponseWriter, *http.Request, behalf.Result, bool) = ingress.Render
