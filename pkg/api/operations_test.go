package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// operations are what an operator does to the memory. What each comes to is held where the operator lives; here is only
// who may ask, for what, and how it is told.
type operations struct{ *memory }

func (o operations) Cancel(ctx context.Context, p behalf.ProjectID, id behalf.RunID) (behalf.Run, error) {
	if err := o.fails("Cancel"); err != nil {
		return behalf.Run{}, err
	}
	run, err := o.Show(ctx, p, id)
	switch {
	case err != nil:
		return run, err
	case run.State.Finished() && run.State != behalf.StateCanceled:
		return run, fault.New(fault.Conflict, "memory", "the run is finished already").WithCode(operate.CodeRunFinished)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, "Cancel")
	run.State = behalf.StateCanceled
	o.runs[id] = run
	return run, nil
}

func (o operations) fails(method string) error {
	err := o.enter(method)
	o.mu.Unlock()
	return err
}

func (o operations) Source(ctx context.Context, p behalf.ProjectID, id behalf.RunID) (behalf.Run, error) {
	if err := o.fails("Source"); err != nil {
		return behalf.Run{}, err
	}
	return o.Show(ctx, p, id)
}

func (o operations) Replay(_ context.Context, source behalf.Run, r operate.Replay) (behalf.Event, error) {
	err := o.enter("Replay")
	defer o.mu.Unlock()
	o.log = append(o.log, "Replay")
	run := behalf.NewRunID()
	return behalf.Event{
		ID: run.Event(), Run: run, Project: r.Project, Workflow: source.Workflow, Version: r.Version.ID,
		Origin: behalf.Origin{ReplayOf: source.ID, Client: r.Client},
	}, err
}

func (o operations) Tail(ctx context.Context, q api.RunQuery, wait time.Duration) (api.RunPage, error) {
	if err := o.fails("Tail"); err != nil || wait == 0 || q.After == "" {
		return api.RunPage{Cursor: "1"}, err
	}
	q.After, q.Limit = "", 100
	page, err := o.List(ctx, q)
	return api.RunPage{Runs: page.Runs, Cursor: "2"}, err
}

// has says whether this is where the one letter and the one event are: my project, in development.
func (o operations) has(p behalf.ProjectID) bool { return o.kept && p == mine }

// letter is the one that each memory of ours has.
func letter() bus.Letter {
	at := time.Unix(1, 0)
	return bus.Letter{ID: behalf.NewLetterID(7, at), Project: mine, Workflow: "p_abc", KeptAt: at, DeadLetter: bus.DeadLetter{
		Reason: bus.ReasonVersion, Detail: "gone", At: at, Original: json.RawMessage(`{"canary":"of the event"}`),
	}}
}

func (o operations) Letters(_ context.Context, q bus.LetterQuery) ([]bus.Letter, bool, error) {
	if err := o.fails("Letters"); err != nil || !o.has(q.Project) {
		return nil, false, err
	}
	if q.Before != "" {
		_, err := q.Before.Place()
		return nil, false, err
	}
	return []bus.Letter{letter()}, q.Limit == 1, nil
}

func (o operations) CountLetters(_ context.Context, p behalf.ProjectID, _ behalf.WorkflowID) ([]bus.LetterCount, error) {
	if err := o.fails("CountLetters"); err != nil || !o.has(p) {
		return nil, err
	}
	return []bus.LetterCount{{Workflow: "p_abc", Reason: bus.ReasonVersion, Count: 1}}, nil
}

func (o operations) Letter(_ context.Context, p behalf.ProjectID, id behalf.LetterID) (bus.Letter, error) {
	if err := o.fails("Letter"); err != nil {
		return bus.Letter{}, err
	}
	if !o.has(p) || id != letter().ID {
		return bus.Letter{}, missing()
	}
	return letter(), nil
}

func (o operations) Discard(_ context.Context, p behalf.ProjectID, id behalf.LetterID) (bool, error) {
	err := o.enter("Discard")
	defer o.mu.Unlock()
	there := o.has(p) && id == letter().ID && err == nil
	if there {
		o.log = append(o.log, "Discard")
	}
	return there, err
}

func (o operations) Open(_ context.Context, p behalf.ProjectID, id behalf.LetterID) (operate.Opened, error) {
	if err := o.fails("Open"); err != nil {
		return operate.Opened{}, err
	}
	if !o.has(p) || id != letter().ID {
		return operate.Opened{}, missing()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	opened := operate.Opened{Letter: letter(), Event: behalf.Event{Run: behalf.NewRunID()}}
	for _, w := range o.workflows { // the one that there is
		opened.Event.Workflow = w.ID
	}
	return opened, nil
}

func (o operations) ReplayLetter(ctx context.Context, l operate.Opened, r operate.Replay) (behalf.Event, error) {
	return o.Replay(ctx, behalf.Run{ID: l.Event.Run, Workflow: l.Event.Workflow}, r)
}

// again is a letter that was replayed, and is gone.
var again = behalf.NewLetterID(8, time.Unix(1, 0))

func (o operations) Replayed(_ context.Context, p behalf.ProjectID, id behalf.LetterID) (behalf.RunID, error) {
	err := o.fails("Replayed")
	if err == nil && (!o.has(p) || id != again) {
		err = missing()
	}
	return behalf.KeyedRunID(string(id)), err
}

func (o operations) Events(_ context.Context, q operate.EventQuery) (operate.EventPage, error) {
	if err := o.fails("ReadEvents"); err != nil || !o.has(q.Project) || q.After != "" {
		return operate.EventPage{}, err
	}
	kept := received()
	if q.OnlyRuns {
		return operate.EventPage{}, nil
	}
	kept.Event.Trigger = json.RawMessage(`{"method":"POST","path":"/a","body":{"canary":"of the event"}}`)
	return operate.EventPage{Events: []operate.Received{kept}, Cursor: "3.1"}, nil
}

// received is the one test event of ours.
func received() operate.Received {
	const run = behalf.RunID("run_0198f3a0c1d27e0f8a1b2c3d4e5f6071")
	return operate.Received{Test: true, Event: behalf.Event{
		ID: run.Event(), Run: run, Project: mine, Workflow: "p_abc", User: "abc-123", Trigger: json.RawMessage(`{"method":"POST","path":"/a"}`),
	}}
}

func (o operations) Event(_ context.Context, p behalf.ProjectID, id behalf.EventID) (operate.Received, error) {
	err := o.fails("Event")
	if err == nil && (!o.has(p) || id != received().Event.ID) {
		err = missing()
	}
	return received(), err
}

func (o operations) Trigger(context.Context, behalf.Event) (json.RawMessage, error) {
	body := strings.Repeat("é", 100_000)
	return json.RawMessage(`{"method":"PUT","body":"` + body + `"}`), o.fails("Trigger")
}

func TestCancelRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	going, over := w.run(behalf.StateRunning), w.run(behalf.StateOK)
	flat(t, w.call(other, "POST", "/v1/runs/"+string(going.ID)+"/cancel", ""), 404, "not_found")
	flat(t, w.call(ours, "POST", "/v1/runs/run_x/cancel", ""), 404, "not_found")
	for range 2 { // the second time it is canceled already
		a := w.call(ours, "POST", "/v1/runs/"+string(going.ID)+"/cancel", "")
		if a.status != 200 || a.field(t, "state") != "canceled" || a.field(t, "id") != string(going.ID) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	flat(t, w.call(ours, "POST", "/v1/runs/"+string(over.ID)+"/cancel", ""), 409, operate.CodeRunFinished)
}

func TestReplayRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.run(behalf.StateFailed)
	w.serve(run.Workflow, "d_now", "d_old")
	target := "/v1/runs/" + string(run.ID) + "/replay"
	flat(t, w.call(other, "POST", target, ""), 404, "not_found")
	flat(t, w.call(ours, "POST", target, `{"version":"d_nowhere"}`), 404, "not_found")
	flat(t, w.call(ours, "POST", target, `{"version":"x"}`), 400, "invalid")
	flat(t, w.call(ours, "POST", target, `{"from":"not a name"}`), 400, "invalid")
	flat(t, w.call(ours, "POST", target, `{"step":"a"}`), 400, "invalid")
	for body, version := range map[string]string{"": "d_now", `{"version":"d_old","from":"b"}`: "d_old"} {
		a := w.call(ours, "POST", target, body)
		if a.status != 202 || a.field(t, "version") != version || a.field(t, "replay_of") != string(run.ID) || a.field(t, "run_id") == string(run.ID) {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
}

func TestTailRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(behalf.StateOK)
	if a := w.call(ours, "GET", "/v1/runs/tail", ""); a.status != 200 || !strings.Contains(a.body, `"data":[]`) || !strings.Contains(a.body, `"end_cursor":"1"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.call(ours, "GET", "/v1/runs/tail?after=1&state=ok", ""); a.status != 200 || !strings.Contains(a.body, `"state":"ok"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	flat(t, w.call(ours, "GET", "/v1/runs/tail?state=running", ""), 400, "invalid")
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve("p_abc", "d_now", "d_old")
	id := string(letter().ID)
	list := w.call(ours, "GET", "/v1/deadletters?limit=1&reason=version_unavailable", "")
	if list.status != 200 || strings.Contains(list.body, "canary") || !strings.Contains(list.body, `"end_cursor":"`+id+`"`) {
		t.Errorf("%d %s", list.status, list.body)
	}
	flat(t, w.call(ours, "GET", "/v1/deadletters?after=x", ""), 400, "invalid")
	if a := w.call(ours, "GET", "/v1/deadletters/counts", ""); !strings.Contains(a.body, `"count":1`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.call(ours, "GET", "/v1/deadletters/"+id, ""); a.status != 200 || !strings.Contains(a.body, "canary") {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, foreign := range []answer{
		w.call(other, "GET", "/v1/deadletters/"+id, ""), w.call(other, "POST", "/v1/deadletters/"+id+"/replay", ""),
		w.call(ours, "GET", "/v1/deadletters/x", ""), w.call(ours, "POST", "/v1/deadletters/x/replay", ""), w.call(ours, "DELETE", "/v1/deadletters/x", ""),
	} {
		flat(t, foreign, 404, "not_found")
	}
	flat(t, w.call(other, "DELETE", "/v1/deadletters/"+id, ""), 404, "not_found")
	if a := w.call(ours, "POST", "/v1/deadletters/"+id+"/replay", ""); a.status != 202 || a.field(t, "version") != "d_now" {
		t.Errorf("%d %s", a.status, a.body)
	}
	gone := w.call(ours, "POST", "/v1/deadletters/"+string(again)+"/replay", "")
	if gone.status != 202 || gone.field(t, "run_id") != string(behalf.KeyedRunID(string(again))) {
		t.Errorf("%d %s", gone.status, gone.body)
	}
	if a := w.call(ours, "DELETE", "/v1/deadletters/"+id, ""); a.status != 200 || a.field(t, "discarded") != true {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := string(received().Event.ID)
	list := w.call(ours, "GET", "/v1/events?kind=test&workflow=p_abc", "")
	if list.status != 200 || strings.Contains(list.body, "canary") || !strings.Contains(list.body, `"path":"/a"`) || !strings.Contains(list.body, `"end_cursor":"3.1"`) {
		t.Errorf("%d %s", list.status, list.body)
	}
	flat(t, w.call(ours, "GET", "/v1/events?kind=both", ""), 400, "invalid")
	if a := w.call(ours, "GET", "/v1/events/"+id, ""); a.status != 200 || a.field(t, "test") != true || !strings.Contains(a.body, `"trigger":{"method":"POST"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	flat(t, w.call(other, "GET", "/v1/events/"+id, ""), 404, "not_found")
	flat(t, w.call(ours, "GET", "/v1/events/evt_x", ""), 404, "not_found")
}

// A trigger that lies apart is shown with its run, as far as people read.
func TestShowRunOfALargeEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := w.run(behalf.StateOK)
	run.Event = json.RawMessage(`{"run":"` + string(run.ID) + `","trigger":null,"trigger_ref":{"object":"o","sha256":"s","size":200100}}`)
	w.dev.runs[run.ID] = run
	var shown struct {
		Event struct {
			Trigger struct {
				Method    string `json:"method"`
				Body      string `json:"body"`
				Truncated bool   `json:"body_truncated"`
				Bytes     int    `json:"body_bytes"`
			} `json:"trigger"`
			Ref *behalf.ObjectRef `json:"trigger_ref"`
		} `json:"event"`
	}
	get := func() {
		t.Helper()
		a := w.call(ours, "GET", "/v1/runs/"+string(run.ID), "")
		if err := json.Unmarshal([]byte(a.body), &shown); err != nil || a.status != 200 {
			t.Fatal(a.status, err)
		}
	}
	get()
	trigger := shown.Event.Trigger
	if trigger.Method != http.MethodPut || !trigger.Truncated || trigger.Bytes != 200_002 || !strings.HasPrefix(trigger.Body, `"éé`) || len(trigger.Body) > 64<<10 || shown.Event.Ref == nil {
		t.Errorf("%s, truncated %t, %d bytes, %d shown", trigger.Method, trigger.Truncated, trigger.Bytes, len(trigger.Body))
	}
	w.dev.fail("Trigger", fault.New(fault.Conflict, "memory", "gone").WithCode(operate.CodeEventNotStored))
	shown.Event.Trigger.Method, shown.Event.Ref = "", nil
	get()
	if shown.Event.Trigger.Method != "" || shown.Event.Ref == nil {
		t.Errorf("%+v", shown.Event)
	}
}

// serve gives development a workflow of these versions, of which the first serves.
func (w *world) serve(id behalf.WorkflowID, versions ...behalf.VersionID) {
	w.t.Helper()
	const endpoint = behalf.EndpointID("enabcdefghijklmnopqrstuvwxyz")
	w.dev.workflows[key(mine, id)] = behalf.Workflow{ID: id, Project: mine, Endpoint: endpoint, Version: versions[0]}
	w.dev.endpoints[endpoint] = behalf.Endpoint{ID: endpoint, Project: mine, Workflow: id, Version: versions[0]}
	for _, v := range versions {
		w.dev.versions[key(mine, v)] = behalf.Version{ID: v, Project: mine, Workflow: id}
	}
}
