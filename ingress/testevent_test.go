package ingress_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// tests keeps test events in memory, or fails.
type tests struct {
	kept []behalf.Event
	err  error
}

func (t *tests) KeepTest(_ context.Context, e behalf.Event) error {
	if t.err != nil {
		return t.err
	}
	e.Trigger = slices.Clone(e.Trigger)
	t.kept = append(t.kept, e)
	return nil
}

// A request that asks for no run leaves a test event and nothing else, whatever its workflow would need to run.
func TestNoTrigger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode    behalf.RespondMode
		query   string
		headers string
	}{
		"in a header":                {behalf.RespondCustom, "", "x-pd-notrigger: 1"},
		"in the query":               {behalf.RespondImmediate, "?x-pd-notrigger=true", ""},
		"of a user who is not known": {behalf.RespondCustom, "", "x-pd-notrigger: 1\nx-pd-external-user-id: nobody"},
		"with a key":                 {behalf.RespondImmediate, "", "x-pd-notrigger: 1\nidempotency-key: k"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(behalf.AuthNone, c.mode)
			w.tests = &tests{}
			w.endpoint.Needs = []behalf.Need{{Step: "a", App: "slack"}}
			res := w.send(request(http.MethodPost, c.query, c.headers, "hello"))
			if len(w.tests.kept) != 1 || len(w.bus.stored()) > 0 || len(w.keys.taken) > 0 {
				t.Fatalf("%d are kept, %d published; answered %d %s", len(w.tests.kept), len(w.bus.stored()), res.status, res.body)
			}
			e := w.tests.kept[0]
			var body struct {
				Event behalf.EventID `json:"event_id"`
			}
			if err := json.Unmarshal([]byte(res.body), &body); err != nil || res.status != 200 || body.Event != e.ID || res.header.Get("X-Behalf-Event-Id") != string(e.ID) || res.header.Get("X-Behalf-Run-Id") != "" {
				t.Errorf("%d %v %s", res.status, res.header, res.body)
			}
			if !strings.Contains(string(e.Trigger), `"body":"hello"`) || e.Project != project || e.Workflow != workflow {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestNoTriggerOfAStaticWorkflow(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondStatic)
	w.tests = &tests{}
	static := behalf.NewResponse(201, nil, []byte("taken"))
	w.endpoint.Trigger.Respond.Static = &static
	res := w.send(request(http.MethodPost, "", "x-pd-notrigger: 1", "x"))
	if res.status != 201 || res.body != "taken" || len(w.tests.kept) != 1 || res.header.Get("X-Behalf-Event-Id") == "" {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestNoTriggerRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	w.tests = &tests{err: fault.New(fault.Unavailable, "tests", "away")}
	if res := w.send(request(http.MethodPost, "", "x-pd-notrigger: 1", "x")); res.status != 503 || res.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", res.status, res.body)
	}
	w.tests = &tests{}
	check(t, w.send(request(http.MethodPost, "", "x-pd-notrigger: 1\nx-pd-nostore: 1", "x")), row{
		status: 400, code: "request_invalid",
		text: "x-pd-nostore and x-pd-notrigger together leave nothing to do: a test event is one that is stored",
	})
	w = newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	w.tests = &tests{}
	if res := w.send(request(http.MethodPost, "", "x-pd-notrigger: 1", "x")); res.status != 401 || len(w.tests.kept) > 0 {
		t.Errorf("answered %d", res.status)
	}
}
