package worker_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

func TestARunIsRecordedThenAnsweredThenAcked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(using(version("only")))
	var call step.Call
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		call = c
		return ok(ctx, c)
	}
	e := eventOf(alice)
	w.onTold = func(told telling) {
		if r, err := w.journal.Result(t.Context(), bustest.Project, bustest.Workflow, e.Run); err != nil || r.State != behalf.StateOK {
			t.Errorf("at the answer the journal says %s, %v", r.State, err)
		}
		for range 20 { // an ack would take a moment to arrive
			if w.pending() != 1 {
				t.Error("the event was acked before the answer")
			}
		}
	}
	w.start(worker.Config{Registerer: w.reg})
	r := w.call(e)
	if r.V != behalf.FormatVersion || r.Run != e.Run || r.State != behalf.StateOK || r.Failure != nil || r.Response.Text != "only" {
		t.Errorf("the answer is %+v", r)
	}
	if r.Timing.Queue <= 0 || r.Timing.Steps <= 0 || r.Timing.Journal <= 0 {
		t.Errorf("the timing is %+v", r.Timing)
	}
	w.settled()
	records := w.records(e.Run)
	if kinds(records) != "finish" || records[0].Step.Path != "only" || string(records[0].Step.Exports) != `{"said":"only"}` || records[0].Worker != "worker-1" {
		t.Errorf("the journal is %+v", records)
	}
	if call.Code != "code of only" || call.Attempt != 1 || call.Path != "only" || call.Run != e.Run || call.Apps["slack"].Slug != "slack" {
		t.Errorf("the step was called with %+v", call)
	}
	w.onTold = func(telling) {}
}

func TestALongFirstStepIsAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := eventOf(alice)
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		for { // until the journal knows of the run
			r, err := w.journal.Result(ctx, bustest.Project, bustest.Workflow, e.Run)
			if err == nil && r.State == behalf.StateRunning && r.User == alice {
				return ok(ctx, c)
			}
			if ctx.Err() != nil {
				return behalf.Outcome{Cut: true}, nil //nolint:nilerr // the deadline is an outcome
			}
		}
	}
	w.start(worker.Config{AnnounceAfter: time.Millisecond})
	if r := w.call(e); r.State != behalf.StateOK {
		t.Errorf("the answer is %+v", r)
	}
	if got := kinds(w.records(e.Run)); got != "begin finish" {
		t.Errorf("the journal has %s", got)
	}
}

func TestARunWritesOneLineAndItsFigures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(worker.Config{Registerer: w.reg, Slots: 3})
	e := eventOf(alice)
	w.call(e)
	w.settled()
	lines := w.logs.lines(t, "run finished")
	if len(lines) != 1 {
		t.Fatalf("the log is\n%s", w.logs.String())
	}
	for field, want := range map[string]any{
		"level": "info", "component": "worker", "environment": "development", "run": string(e.Run), "event": string(e.ID),
		"workflow": string(e.Workflow), "version": "d_test", "external_user": string(alice), "outcome": "ok", "state": "ok", "attempt": 1.0,
	} {
		if lines[0][field] != want {
			t.Errorf("%s is %v, want %v", field, lines[0][field], want)
		}
	}
	for _, field := range []string{"duration_ms", "queue_ms", "steps_ms"} {
		if _, ok := lines[0][field].(float64); !ok {
			t.Errorf("%s is missing", field)
		}
	}
	for _, f := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"behalf_runs_total", []string{"ok"}, 1},
		{"behalf_runs_total", []string{"waiting"}, 0},
		{"behalf_run_duration_seconds", nil, 1},
		{"behalf_steps_total", []string{"ok", "node"}, 1},
		{"behalf_step_duration_seconds", []string{"node"}, 1},
		{"behalf_worker_slots", nil, 3},
		{"behalf_worker_slots_busy", nil, 0},
		{"behalf_dead_letters_total", []string{"worker_lost"}, 0},
	} {
		w.eventually(f.name+" is right", func() bool { return w.figure(f.name, f.labels...) == f.want })
	}
}

func TestStepsReadTheTriggerAndTheExportsBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := version("one", "two", "three")
	v.Steps[1].Props = json.RawMessage(`{"channel":"C1"}`)
	w.store.version(v)
	var calls []step.Call
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		calls = append(calls, c)
		if c.Step.Name == "two" {
			return behalf.Outcome{}, nil // exports nothing
		}
		return says(string(c.Step.Name)), nil
	}
	w.start(worker.Config{})
	e := eventOf(alice)
	e.Origin.Trusted = true
	if r := w.call(e); r.Response.Text != "one" {
		t.Errorf("the answer is not that of the first step that gave one: %+v", r.Response)
	}
	w.settled()
	if got := kinds(w.records(e.Run)); got != "step "+"step finish" {
		t.Errorf("the journal has %s", got)
	}
	if string(calls[1].Props) != `{"channel":"C1"}` {
		t.Errorf("the props are %s", calls[1].Props)
	}
	var steps struct {
		Trigger struct {
			Event   json.RawMessage `json:"event"`
			Context map[string]any  `json:"context"`
		} `json:"trigger"`
		One map[string]any `json:"one"`
		Two map[string]any `json:"two"`
	}
	w.must(json.Unmarshal(calls[2].Steps, &steps))
	if string(steps.Trigger.Event) != string(e.Trigger) || steps.One["said"] != "one" || steps.Two == nil || len(steps.Two) != 0 {
		t.Errorf("steps is %s", calls[2].Steps)
	}
	for field, want := range map[string]any{
		"id": string(e.ID), "ts": e.At.Format(time.RFC3339Nano), "workflow_id": string(e.Workflow), "workflow_name": "Test",
		"deployment_id": "d_test", "project_id": string(e.Project), "trace_id": string(e.Run), "external_user_id": string(alice),
		"external_user_environment": "development", "verified": true, "attempt": 1.0, "replay": false, "test": false,
	} {
		if steps.Trigger.Context[field] != want {
			t.Errorf("context.%s is %v, want %v", field, steps.Trigger.Context[field], want)
		}
	}
	shown := w.show(e.Run)
	if len(shown.Steps) != 3 || shown.Steps[0].Path != "one" || shown.Steps[2].Path != "three" {
		t.Errorf("the run shows the steps %+v", shown.Steps)
	}
}

func TestAnEndOfTheRunSkipsTheOtherSteps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two"))
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		if c.Step.Name == "two" {
			t.Error("the run went on after its end")
		}
		return behalf.Outcome{Exit: &behalf.Exit{Reason: "nothing to do"}}, nil
	}
	w.start(worker.Config{})
	e := eventOf("")
	w.publish(e, "")
	if r := w.ended(); r.State != behalf.StateOK || r.Failure != nil {
		t.Errorf("the result is %+v", r)
	}
	w.settled()
	records := w.records(e.Run)
	if kinds(records) != "finish" || records[0].Step.Exit.Reason != "nothing to do" {
		t.Errorf("the journal is %+v", records)
	}
}

func TestAnImmediateAnswerComesBeforeTheRunIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two"))
	answered := make(chan struct{})
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		if c.Step.Name == "one" {
			return behalf.Outcome{Response: &behalf.Response{Status: 202, Text: "early", Immediate: true}}, nil
		}
		<-answered
		return behalf.Outcome{Response: &behalf.Response{Text: "late", Immediate: true}}, nil
	}
	w.start(worker.Config{})
	e := eventOf("")
	e.Origin.Waits = true
	reply, result, release := w.bus.Await()
	defer release()
	w.publish(e, reply)
	r := <-result
	if r.Response.Text != "early" || r.State != behalf.StateRunning || r.Run != e.Run {
		t.Errorf("the answer is %+v", r)
	}
	if got := kinds(w.records(e.Run)); got != "step" {
		t.Errorf("at the answer the journal has %s", got)
	}
	close(answered)
	if r := w.ended(); r.Response.Text != "early" {
		t.Errorf("the result has the answer %+v", r.Response)
	}
	w.settled()
	select {
	case r := <-result:
		t.Errorf("the caller is told again: %+v", r)
	default:
	}
}

func TestALaterImmediateAnswerDoesNotOvertakeTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version("one", "two", "three"))
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		return behalf.Outcome{Response: &behalf.Response{Text: string(c.Step.Name), Immediate: c.Step.Name == "two"}}, nil
	}
	w.start(worker.Config{})
	if r := w.call(eventOf("")); r.Response.Text != "one" || r.State != behalf.StateOK {
		t.Errorf("the answer is %+v", r)
	}
}

func TestAVersionWithoutStepsEndsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(version())
	w.start(worker.Config{})
	w.publish(eventOf(""), "")
	if r := w.ended(); r.State != behalf.StateOK || r.Failure != nil {
		t.Errorf("the result is %+v", r)
	}
}

func TestPointsComeInTheirOrder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runner runner
		want   []worker.Point
	}{
		"a run that ends": {ok, []worker.Point{worker.BeforeStep, worker.AfterStep, worker.BeforeRecord, worker.AfterRecord, worker.AfterAnswer}},
		"a run that goes to wait": {
			func(context.Context, step.Call) (behalf.Outcome, error) { return throws("no"), nil },
			[]worker.Point{worker.BeforeStep, worker.AfterStep, worker.BeforeRecord, worker.AfterRecord, worker.AfterTimer, worker.AfterAnswer},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := version("only")
			v.Settings.Retries = new(1)
			w.store.version(v)
			w.runner = c.runner
			var mu sync.Mutex
			var got []worker.Point
			w.start(worker.Config{Points: func(_ context.Context, at worker.Point) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, at)
			}})
			w.publish(eventOf(""), "")
			w.ended()
			w.settled()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got[:len(c.want)], c.want) {
				t.Errorf("the points are %v, want %v", got, c.want)
			}
		})
	}
}

func TestProjectsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	quiet := eventOf("")
	quiet.Project = behalf.NewProjectID()
	quiet.Version = "d_quiet"
	w.must(bus.ProvisionProject(t.Context(), w.conn, bustest.Environment, quiet.Project, bustest.Layout()))
	v := version("only")
	v.ID, v.Project = quiet.Version, quiet.Project
	w.store.version(v)
	var mu sync.Mutex
	before := 0
	first := make(chan int, 1)
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		if c.Project == quiet.Project {
			first <- before
		}
		before++
		return ok(ctx, c)
	}
	for range 300 {
		w.publish(eventOf(""), "")
	}
	w.publish(quiet, "")
	source := w.bus.Source(2)
	w.must(source.Add(t.Context(), bustest.Project))
	w.must(source.Add(t.Context(), quiet.Project))
	w.startOn(worker.Config{Slots: 2}, source)
	if n := <-first; n > 100 {
		t.Errorf("the quiet project came after %d runs of the other", n)
	}
	w.settled()
}

func TestUsersNeverMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store.version(using(version("only")))
	w.credentials = func(_ context.Context, a behalf.Account) (worker.Auth, error) {
		return worker.Auth{Fields: map[string]secret.String{"token": secret.New("of-" + string(a.User))}}, nil
	}
	var global string
	var mu sync.Mutex
	flying, most := 0, 0
	meet := make(chan struct{})
	w.runner = func(_ context.Context, c step.Call) (behalf.Outcome, error) {
		token := c.Apps["slack"].Auth["token"].Reveal()
		mu.Lock()
		global = token
		flying++
		most = max(most, flying)
		mu.Unlock()
		select { // two runs meet here, where there are two
		case meet <- struct{}{}:
		case <-meet:
		case <-time.After(20 * time.Millisecond):
		}
		var steps struct {
			Trigger struct {
				Context struct {
					User string `json:"external_user_id"`
				} `json:"context"`
			} `json:"trigger"`
		}
		if err := json.Unmarshal(c.Steps, &steps); err != nil || token != "of-"+steps.Trigger.Context.User {
			t.Errorf("a run of %s has %s", steps.Trigger.Context.User, token)
		}
		mu.Lock()
		flying--
		mu.Unlock()
		return says(steps.Trigger.Context.User), nil
	}
	w.start(worker.Config{Slots: 16})
	var callers sync.WaitGroup
	users := []behalf.ExternalUserID{alice, bob}
	for i := range 8 {
		callers.Go(func() {
			for n := range 25 {
				user := users[(i+n)%2]
				if r := w.call(eventOf(user)); r.Response == nil || r.Response.Text != string(user) {
					t.Errorf("%s got %+v", user, r)
				}
			}
		})
	}
	callers.Wait()
	if global == "" || most < 2 {
		t.Errorf("at most %d runs were interleaved", most)
	}
}

func TestATriggerThatWasTooLargeForItsEventIsFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	large := `{"method":"POST","body":"` + strings.Repeat("x", 300<<10) + `"}`
	ref, err := w.store.PutObject(t.Context(), bustest.Project, []byte(large))
	w.must(err)
	seen := make(chan string, 1)
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		seen <- string(c.Steps)
		return ok(ctx, c)
	}
	w.start(worker.Config{})
	e := eventOf("")
	e.Trigger, e.TriggerRef = nil, &ref
	if r := w.call(e); r.State != behalf.StateOK {
		t.Fatalf("the answer is %+v", r)
	}
	if got := <-seen; !strings.HasPrefix(got, `{"trigger":{"event":`+large+`,"context":`) {
		t.Errorf("the step is given %.200s", got)
	}
	if event := string(w.records(e.Run)[0].Finish.Event); len(event) > 2<<10 || !strings.Contains(event, string(ref.Object)) {
		t.Errorf("the record keeps %.300s", event)
	}
}

func TestPropsAreFilledIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := version("one", "two")
	v.Steps[1].Props = json.RawMessage(`{"user":"{{steps.trigger.context.external_user_id}}","said":"{{steps.one.said}}!","all":"{{steps.one}}","as":"it is"}`)
	w.store.version(v)
	var props json.RawMessage
	w.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		props = c.Props
		return ok(ctx, c)
	}
	w.start(worker.Config{})
	e := eventOf(alice)
	if r := w.call(e); r.State != behalf.StateOK {
		t.Fatalf("the answer is %+v, %+v", r, r.Failure)
	}
	if want := `{"user":"abc-123","said":"one!","all":{"said":"one"},"as":"it is"}`; string(props) != want {
		t.Errorf("the props are %s, want %s", props, want)
	}
}

func TestAnExpressionThatCannotBeFilledInFailsItsStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := version("one", "two")
	v.Steps[1].Props = json.RawMessage(`{"text":"{{steps.one.missing.name}}"}`)
	w.store.version(v)
	var ran atomic.Int64
	w.runner = func(context.Context, step.Call) (behalf.Outcome, error) {
		ran.Add(1)
		return behalf.Outcome{Exports: json.RawMessage(`{}`)}, nil
	}
	w.start(worker.Config{})
	r := w.call(eventOf(""))
	if r.Failure == nil || r.Failure.Code != behalf.CodeStepFailed || r.Failure.Step != "two" || !strings.Contains(r.Failure.Message, "steps.one.missing is undefined") || ran.Load() != 1 {
		t.Errorf("the answer is %+v, %+v; %d steps ran", r, r.Failure, ran.Load())
	}
}
