package operate_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The embedded server leaves it behind when it is closed while its history has just begun to be sourced; it ends
		// by itself.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"),
	)
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// world is a bus and a journal, and an operator of them. Workers are played by the tests.
type world struct {
	*operate.Operator
	t       *testing.T
	conn    *bus.Conn
	bus     *bus.Bus
	journal *journal.Journal
	source  *bus.Source
	objects *objects
}

// objects keeps what is large in memory.
type objects struct {
	mu  sync.Mutex
	all map[behalf.ObjectID][]byte
}

func (o *objects) PutObject(_ context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{Object: behalf.NewObjectID(project, content), SHA256: hex.EncodeToString(sum[:]), Size: len(content)}
	o.all[ref.Object] = append([]byte(nil), content...)
	return ref, nil
}

func (o *objects) PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	return o.PutObject(ctx, project, content)
}

func (o *objects) Object(_ context.Context, ref behalf.ObjectRef) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	content, ok := o.all[ref.Object]
	if !ok {
		return nil, fault.New(fault.NotFound, "objects", "no such object")
	}
	return content, nil
}

func (o *objects) DropObject(_ context.Context, ref behalf.ObjectRef) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, ref.Object)
	return nil
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b, conn := bustest.New(t)
	w := &world{t: t, conn: conn, bus: b, objects: &objects{all: map[behalf.ObjectID][]byte{}}}
	var err error
	w.journal, err = journal.New(conn.NATS(), bustest.Environment, w.objects, journal.Config{}, zerolog.Nop())
	w.must(err)
	w.Operator = operate.New(operate.Config{Patience: time.Second, Timeout: patience}, b, w.journal, w.objects, zerolog.Nop())
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// takes makes this test the worker of its world.
func (w *world) takes() {
	w.t.Helper()
	w.source = w.bus.Source(4)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	over := make(chan error, 1)
	go func() { over <- w.source.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		w.must(<-over)
	})
	w.must(w.source.Add(w.t.Context(), bustest.Project))
}

// next is the next delivery, opened as a worker opens it.
func (w *world) next() (*bus.Delivery, *journal.Run) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	d, err := w.source.Next(ctx)
	w.must(err)
	w.t.Cleanup(d.Release)
	o := journal.Opening{Event: d.Event, EventSeq: d.Sequence, Raw: d.Raw(), Worker: "worker-1", Seen: d.Seen, Deliveries: d.Deliveries}
	if d.Resume != nil {
		state, err := w.journal.Revive(ctx, d.Resume.State)
		w.must(err)
		o.Event, o.EventSeq, o.Raw, o.Resume, o.Token, o.TimerSeq = state.Event, state.EventSeq, state.Raw, state, d.Resume.Token, d.Sequence
	}
	run, err := w.journal.Open(ctx, o)
	w.must(err)
	return d, run
}

// nothing says that no delivery has come.
func (w *world) nothing() {
	w.t.Helper()
	var s struct {
		State struct {
			Messages int `json:"messages"`
		} `json:"state"`
	}
	for _, stream := range []string{"EVENTS_", "TIMERS_"} {
		m, err := w.conn.NATS().Request("$JS.API.STREAM.INFO."+stream+string(bustest.Environment), nil, patience)
		w.must(err)
		w.must(json.Unmarshal(m.Data, &s))
		if s.State.Messages != 0 {
			w.t.Errorf("%s has %d messages", stream, s.State.Messages)
		}
	}
}

func (w *world) publish() behalf.Event {
	w.t.Helper()
	e := bustest.Event()
	_, err := w.bus.Publish(w.t.Context(), e, "")
	w.must(err)
	return e
}

func (w *world) cancel(e behalf.Event) {
	w.t.Helper()
	run, err := w.Cancel(w.t.Context(), bustest.Project, e.Run)
	w.must(err)
	if run.State != behalf.StateCanceled {
		w.t.Fatalf("the run is %s", run.State)
	}
}

func (w *world) show(run behalf.RunID) behalf.Run {
	w.t.Helper()
	r, err := w.journal.Show(w.t.Context(), bustest.Project, run)
	w.must(err)
	return r
}

func coded(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if !fault.Is(err, kind) || code != "" && fault.CodeOf(err) != code {
		t.Errorf("the error is %v, of code %q; want %s %s", err, fault.CodeOf(err), kind, code)
	}
}

func step(name string) behalf.StepRecord {
	return behalf.StepRecord{Path: behalf.Path(name), Attempt: 1, At: time.Now().UTC(), Exports: json.RawMessage(`{"said":"` + name + `"}`)}
}

// version is one of these steps.
func version(id behalf.VersionID, steps ...behalf.StepName) behalf.Version {
	v := behalf.Version{V: 1, ID: id, Project: bustest.Project, Workflow: bustest.Workflow}
	for _, name := range steps {
		v.Steps = append(v.Steps, behalf.Step{Name: name})
	}
	return v
}

// eventually waits until something holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-late.C:
			w.t.Fatal("it never came that " + what)
		case <-tick.C:
		}
	}
}

func TestCancelQueued(t *testing.T) {
	w := newWorld(t)
	reply, result, release := w.bus.Await()
	defer release()
	for range 30 { // others before it, of a moment ago
		w.publish()
	}
	e := bustest.Event()
	e.Origin.Waits = true
	_, err := w.bus.Publish(t.Context(), e, reply)
	w.must(err)
	w.cancel(e)
	w.cancel(e) // again it is no error
	if r := <-result; r.State != behalf.StateCanceled || r.Failure == nil || r.Failure.Code != behalf.CodeNoResponse {
		t.Errorf("who waits is told %+v", r)
	}
	if run := w.show(e.Run); run.State != behalf.StateCanceled || len(run.Event) == 0 {
		t.Errorf("%+v", run)
	}
	w.takes()
	for range 30 {
		d, run := w.next()
		if run.Event.Run == e.Run {
			t.Error("it is given to a worker")
		}
		w.must(d.Ack(t.Context()))
	}
	w.eventually("all is settled", func() bool {
		_, err := w.bus.Queued(t.Context(), bustest.Project, e.Run, 0, time.Time{})
		return err != nil
	})
}

func TestCancelOfARunThatIsNot(t *testing.T) {
	w := newWorld(t)
	e := w.publish()
	for _, c := range []struct {
		project behalf.ProjectID
		run     behalf.RunID
	}{{bustest.Project, behalf.NewRunID()}, {"proj_other", e.Run}, {bustest.Project, behalf.KeyedRunID("x")}} {
		_, err := w.Cancel(t.Context(), c.project, c.run)
		coded(t, err, fault.NotFound, "")
	}
}

func TestCancelWaiting(t *testing.T) {
	w := newWorld(t)
	w.takes()
	e := w.publish()
	d, run := w.next()
	w.must(run.Record(t.Context(), step("first")))
	w.must(run.Pause(t.Context(), nil, behalf.Wait{Reason: behalf.WaitRetry, Until: time.Now().Add(time.Hour)}))
	state, err := run.Suspend(t.Context())
	w.must(err)
	w.must(w.bus.SetTimer(t.Context(), bus.Timer{
		Run: e.Run, Project: e.Project, Workflow: e.Workflow, Lane: e.Lane, At: time.Now().Add(time.Hour), Token: run.Token(), State: state,
	}))
	w.must(d.Ack(t.Context()))
	w.eventually("the event is settled", func() bool {
		_, err := w.bus.Queued(t.Context(), bustest.Project, e.Run, 0, time.Time{})
		return err != nil
	})
	w.cancel(e)
	w.cancel(e)
	w.nothing()
	shown := w.show(e.Run)
	if shown.State != behalf.StateCanceled || len(shown.Steps) != 1 || len(shown.Event) == 0 {
		t.Errorf("%+v", shown)
	}
	// The run can be repeated from the record that was written for it.
	if _, err := w.Source(t.Context(), bustest.Project, e.Run); err != nil {
		t.Error(err)
	}
}

// A timer that has fired and is held by nobody is found as well.
func TestCancelOfARunWhoseTimerHasFired(t *testing.T) {
	w := newWorld(t)
	w.takes()
	e := w.publish()
	d, run := w.next()
	w.must(run.Pause(t.Context(), nil, behalf.Wait{Reason: behalf.WaitRetry, Until: time.Now()}))
	state, err := run.Suspend(t.Context())
	w.must(err)
	w.must(w.bus.SetTimer(t.Context(), bus.Timer{
		Run: e.Run, Project: e.Project, Workflow: e.Workflow, Lane: e.Lane, At: time.Now(), Token: run.Token(), State: state,
	}))
	w.must(d.Ack(t.Context()))
	fired, again := w.next()
	if again.Event.Run != e.Run || again.Standing != journal.Ready {
		t.Fatalf("%+v", again)
	}
	w.cancel(e) // its worker has not begun it
	coded(t, again.Begin(t.Context()), fault.Conflict, "")
	if shown := w.show(e.Run); len(shown.Event) == 0 {
		t.Error("the event is not kept")
	}
	fired.Release()
}

func TestCancelRunning(t *testing.T) {
	w := newWorld(t)
	w.takes()
	for name, ends := range map[string]bool{"its worker ends it": true, "its worker is dead": false} {
		t.Run(name, func(t *testing.T) {
			e := w.publish()
			d, run := w.next()
			w.must(run.Begin(t.Context()))
			finished := make(chan error, 1)
			deaf, err := w.bus.OnStop(func(id behalf.RunID) bool {
				if id == e.Run && ends {
					go func() { finished <- run.Finish(context.WithoutCancel(t.Context()), nil, behalf.Canceled(e)) }()
				}
				return id == e.Run
			})
			w.must(err)
			defer deaf()
			w.cancel(e)
			if ends {
				w.must(<-finished)
			} else {
				coded(t, run.Record(t.Context(), step("late")), fault.Conflict, "")
			}
			shown := w.show(e.Run)
			if shown.State != behalf.StateCanceled || len(shown.Event) == 0 {
				t.Errorf("%+v", shown)
			}
			w.must(d.Ack(t.Context()))
		})
	}
}

func TestCancelFinished(t *testing.T) {
	w := newWorld(t)
	e := w.finished(behalf.StateOK, step("only"))
	_, err := w.Cancel(t.Context(), bustest.Project, e.Run)
	coded(t, err, fault.Conflict, operate.CodeRunFinished)
}

// finished is a run that is over.
func (w *world) finished(state behalf.RunState, steps ...behalf.StepRecord) behalf.Event {
	w.t.Helper()
	if w.source == nil {
		w.takes()
	}
	e := w.publish()
	d, run := w.next()
	w.must(w.over(run, state, steps...))
	w.must(d.Ack(w.t.Context()))
	return e
}

func (w *world) over(run *journal.Run, state behalf.RunState, steps ...behalf.StepRecord) error {
	for _, s := range steps {
		if err := run.Record(w.t.Context(), s); err != nil {
			return err
		}
	}
	return run.Finish(w.t.Context(), nil, behalf.Result{V: 1, Run: run.Event.Run, State: state})
}
