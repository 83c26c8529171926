package worker_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/subject"
	"github.com/behalf-dev/behalf/worker"
)

const (
	alice behalf.ExternalUserID = "abc-123"
	bob   behalf.ExternalUserID = "xyz-9"
)

// patience is how long a test waits for what must come. A busy machine takes its time.
const patience = bustest.Patience

// world is all that a worker stands on: a real bus and journal, and a store and credentials in memory.
type world struct {
	t       *testing.T
	conn    *bus.Conn
	bus     *bus.Bus
	journal *journal.Journal
	store   *store
	// told has every answer that a worker gave, in order.
	told   chan telling
	timers chan bus.Timer
	logs   *logs
	reg    *prometheus.Registry
	// What a test may change before it starts a worker.
	credentials credentials
	variables   variables
	runner      runner
	runs        worker.Runner // instead of runner, where it is set
	onTold      func(telling)
}

// telling is one answer of a worker.
type telling struct {
	reply  string
	result behalf.Result
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b, conn := bustest.New(t)
	return onBus(t, b, conn)
}

func onBus(t *testing.T, b *bus.Bus, conn *bus.Conn) *world {
	t.Helper()
	w := &world{
		t: t, conn: conn, bus: b, store: newStore(), told: make(chan telling, 1000), timers: make(chan bus.Timer, 1000),
		logs: &logs{}, reg: prometheus.NewRegistry(), credentials: tokenOf, runner: ok, onTold: func(telling) {},
	}
	j, err := journal.New(conn.NATS(), bustest.Environment, w.store, journal.Config{}, zerolog.Nop())
	w.must(err)
	w.journal = j
	w.store.version(version("only"))
	w.store.connect(alice, "slack")
	w.store.connect(bob, "slack")
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// running is a worker at work.
type running struct {
	*worker.Worker
	stop context.CancelFunc
	over chan struct{}
	err  error
}

func (r *running) left(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case <-r.over:
	case <-time.After(patience):
		t.Fatal("the worker does not leave")
	}
	if r.err != nil {
		t.Error(r.err)
	}
}

// start runs a worker until the end of the test.
func (w *world) start(cfg worker.Config) *running {
	w.t.Helper()
	source := w.bus.Source(cmp.Or(cfg.Slots, 8))
	r := w.startOn(cfg, source)
	w.must(source.Add(w.t.Context(), bustest.Project))
	return r
}

func (w *world) startOn(cfg worker.Config, source worker.Source) *running {
	w.t.Helper()
	cfg.Environment = bustest.Environment
	cfg.Slots = cmp.Or(cfg.Slots, 8)
	cfg.Name = cmp.Or(cfg.Name, "worker-1")
	cfg.AnnounceAfter = cmp.Or(cfg.AnnounceAfter, time.Hour) // the tests say which records there are
	ctx, stop := context.WithCancel(w.t.Context())
	var runs worker.Runner = w.runner
	if w.runs != nil {
		runs = w.runs
	}
	r := &running{Worker: worker.New(cfg, worker.Deps{
		Source: source, Bus: heard{w}, Journal: w.journal, Store: w.store, Files: w.store, Credentials: w.credentials, Variables: w.variables, Runner: runs, Stops: w.bus,
	}, zerolog.New(w.logs)), stop: stop, over: make(chan struct{})}
	go func() {
		defer close(r.over)
		r.err = r.Run(ctx)
	}()
	w.t.Cleanup(func() { r.left(w.t) })
	return r
}

// call publishes an event with a caller who waits, and gives the answer.
func (w *world) call(e behalf.Event) behalf.Result {
	w.t.Helper()
	e.Origin.Waits = true
	reply, result, release := w.bus.Await()
	defer release()
	w.publish(e, reply)
	select {
	case r := <-result:
		return r
	case <-time.After(patience):
		w.t.Fatalf("no answer came; the log says\n%s", w.logs.String())
	}
	return behalf.Result{}
}

func (w *world) publish(e behalf.Event, reply string) {
	w.t.Helper()
	_, err := w.bus.Publish(w.t.Context(), e, reply)
	w.must(err)
}

// next waits for the next answer that a worker gives, to a caller or to nobody.
func (w *world) next() behalf.Result {
	w.t.Helper()
	select {
	case told := <-w.told:
		return told.result
	case <-time.After(patience):
		w.t.Fatalf("nothing was told; the log says\n%s", w.logs.String())
	}
	return behalf.Result{}
}

// ended waits until a run is over.
func (w *world) ended() behalf.Result {
	w.t.Helper()
	for {
		if r := w.next(); r.State.Finished() {
			return r
		}
	}
}

func (w *world) failed(r behalf.Result, code behalf.Code, message string) {
	w.t.Helper()
	if r.State != behalf.StateFailed || r.Failure == nil || r.Failure.Code != code || r.Failure.Message != message {
		w.t.Fatalf("got %s, %+v, want %s: %s", r.State, r.Failure, code, message)
	}
}

func (w *world) show(run behalf.RunID) behalf.Run {
	w.t.Helper()
	r, err := w.journal.Show(w.t.Context(), bustest.Project, run)
	w.must(err)
	return r
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	bustest.Eventually(w.t, what, holds, w.logs.String)
}

// settled waits until the server holds no event and no timer any more.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("all is settled", func() bool {
		return w.count(subject.Events(bustest.Environment)) == 0 && w.count(subject.Timers(bustest.Environment)) == 0
	})
}

// The server's own word, by its API: tests outside of pkg/bus know no types of NATS.

func (w *world) ask(name, question string, into any) {
	w.t.Helper()
	m, err := w.conn.NATS().Request("$JS.API."+name, []byte(question), 5*time.Second)
	w.must(err)
	w.must(json.Unmarshal(m.Data, into))
}

type streamState struct {
	State struct {
		Messages int    `json:"messages"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`
	} `json:"state"`
}

func (w *world) count(stream string) int {
	w.t.Helper()
	var s streamState
	w.ask("STREAM.INFO."+stream, "", &s)
	return s.State.Messages
}

// pending is how many events are delivered and not acked.
func (w *world) pending() int {
	w.t.Helper()
	durable, err := subject.SharedConsumer(bustest.Project)
	w.must(err)
	var c struct {
		Pending int `json:"num_ack_pending"`
	}
	w.ask("CONSUMER.INFO."+subject.Events(bustest.Environment)+"."+durable, "", &c)
	return c.Pending
}

type stored struct {
	Message struct {
		Subject string `json:"subject"`
		Data    []byte `json:"data"`
	} `json:"message"`
}

// messages reads all that lies in a stream.
func (w *world) messages(stream string) []stored {
	w.t.Helper()
	var s streamState
	w.ask("STREAM.INFO."+stream, "", &s)
	var all []stored
	for seq := s.State.First; seq <= s.State.Last && s.State.Messages > 0; seq++ {
		var m stored
		question, err := json.Marshal(map[string]uint64{"seq": seq})
		w.must(err)
		w.ask("STREAM.MSG.GET."+stream, string(question), &m)
		if m.Message.Subject != "" {
			all = append(all, m)
		}
	}
	return all
}

// records reads the journal of a run.
func (w *world) records(run behalf.RunID) []behalf.Record {
	w.t.Helper()
	var all []behalf.Record
	for _, m := range w.messages(subject.Runs(bustest.Environment)) {
		var r behalf.Record
		w.must(json.Unmarshal(m.Message.Data, &r))
		if r.Run == run {
			all = append(all, r)
		}
	}
	return all
}

func kinds(records []behalf.Record) string {
	var words []string
	for _, r := range records {
		words = append(words, string(r.Kind))
	}
	return strings.Join(words, " ")
}

func (w *world) letters() []bus.DeadLetter {
	w.t.Helper()
	var all []bus.DeadLetter
	for _, m := range w.messages(subject.DeadLetters(bustest.Environment)) {
		var l bus.DeadLetter
		w.must(json.Unmarshal(m.Message.Data, &l))
		all = append(all, l)
	}
	return all
}

func (w *world) letter(reason bus.Reason) bus.DeadLetter {
	w.t.Helper()
	w.settled()
	letters := w.letters()
	if len(letters) != 1 || letters[0].Reason != reason {
		w.t.Fatalf("the letters are %+v, want one for %s", letters, reason)
	}
	return letters[0]
}

// figure reads a counter, by its labels in the order of their names.
func (w *world) figure(name string, labels ...string) float64 {
	w.t.Helper()
	families, err := w.reg.Gather()
	w.must(err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				if l.GetName() != "environment" {
					values = append(values, l.GetValue())
				}
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// heard is the bus of a worker under test: what it tells is heard, and timers do not take their time.
type heard struct{ *world }

func (h heard) Answer(ctx context.Context, reply string, result behalf.Result) error {
	h.onTold(telling{reply, result})
	err := h.bus.Answer(ctx, reply, result)
	h.told <- telling{reply, result}
	return err
}

func (h heard) SetTimer(ctx context.Context, t bus.Timer) error {
	h.timers <- t
	t.At = time.Now().Add(100 * time.Millisecond)
	return h.bus.SetTimer(ctx, t)
}

// store holds what was deployed and who has connected what.
type store struct {
	mu       sync.Mutex
	versions map[behalf.VersionID]behalf.Version
	objects  map[behalf.ObjectID][]byte
	accounts map[behalf.ExternalUserID][]behalf.Account
	users    map[behalf.ExternalUserID]bool
	err      error
	letters  []behalf.ObjectRef // what was kept for dead letters
	dropped  []string           // files
	refuses  int                // to drop a file, so often
}

func newStore() *store {
	return &store{
		versions: map[behalf.VersionID]behalf.Version{}, objects: map[behalf.ObjectID][]byte{},
		accounts: map[behalf.ExternalUserID][]behalf.Account{}, users: map[behalf.ExternalUserID]bool{},
	}
}

func (s *store) Version(_ context.Context, _ behalf.ProjectID, id behalf.VersionID) (behalf.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.versions[id]
	if !ok && s.err == nil {
		return v, fault.New(fault.NotFound, "store.Version", "no such version")
	}
	return v, s.err
}

func (s *store) Object(_ context.Context, ref behalf.ObjectRef) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, ok := s.objects[ref.Object]
	if !ok {
		return nil, fault.New(fault.NotFound, "store.Object", "no such object")
	}
	return content, nil
}

func (s *store) PutObject(_ context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{Object: behalf.NewObjectID(project, content), SHA256: hex.EncodeToString(sum[:]), Size: len(content)}
	s.objects[ref.Object] = slices.Clone(content)
	return ref, nil
}

func (s *store) PutUnshared(_ context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{Object: behalf.NewObjectID(project, []byte(rand.Text())), SHA256: hex.EncodeToString(sum[:]), Size: len(content), Parked: true}
	s.objects[ref.Object] = slices.Clone(content)
	return ref, nil
}

func (s *store) DropObject(_ context.Context, ref behalf.ObjectRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ref.Parked {
		delete(s.objects, ref.Object)
	}
	return s.err
}

func (s *store) KeepObject(_ context.Context, ref behalf.ObjectRef) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, ref)
	return s.err
}

func (s *store) DropFile(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses > 0 {
		s.refuses--
		return fault.New(fault.Unavailable, "store.DropFile", "away")
	}
	s.dropped = append(s.dropped, name)
	return s.err
}

func (s *store) User(_ context.Context, _ behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.users[user] {
		return behalf.ExternalUser{}, fault.New(fault.NotFound, "store.User", "no such user")
	}
	return behalf.ExternalUser{External: user}, nil
}

func (s *store) Accounts(_ context.Context, _ behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accounts[user]), s.err
}

func (s *store) forget(object behalf.ObjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, object)
}

func (s *store) version(v behalf.Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, each := range v.Steps {
		if each.Source == nil {
			continue
		}
		code := []byte("code of " + string(each.Name))
		sum := sha256.Sum256(code)
		v.Steps[i].Source.Object, v.Steps[i].Source.SHA256 = behalf.NewObjectID(v.Project, code), hex.EncodeToString(sum[:])
		s.objects[v.Steps[i].Source.Object] = code
	}
	s.versions[v.ID] = v
}

// connect gives a user, or the project itself, an account more.
func (s *store) connect(user behalf.ExternalUserID, app behalf.AppSlug, change ...func(*behalf.Account)) behalf.Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := behalf.Account{ID: behalf.NewAccountID(), Project: bustest.Project, App: app, User: user, CreatedAt: time.Now()}
	for _, f := range change {
		f(&a)
	}
	s.users[user] = true
	s.accounts[user] = append(s.accounts[user], a)
	return a
}

type credentials func(ctx context.Context, account behalf.Account) (worker.Auth, error)

func (f credentials) Auth(ctx context.Context, account behalf.Account) (worker.Auth, error) {
	return f(ctx, account)
}

// tokenOf gives every account a token that names it.
func tokenOf(_ context.Context, a behalf.Account) (worker.Auth, error) {
	token := secret.New("token-" + string(a.ID))
	return worker.Auth{Fields: map[string]secret.String{"oauth_access_token": token}, Secrets: []secret.String{token}}, nil
}

type runner func(ctx context.Context, c step.Call) (behalf.Outcome, error)

func (f runner) Run(ctx context.Context, c step.Call) (behalf.Outcome, error) {
	if err := c.Begin(ctx); err != nil {
		return behalf.Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return f(ctx, c)
}

// ok answers with the step's name.
func ok(_ context.Context, c step.Call) (behalf.Outcome, error) {
	return says(string(c.Step.Name)), nil
}

func says(text string) behalf.Outcome {
	return behalf.Outcome{Exports: json.RawMessage(`{"said":"` + text + `"}`), Response: &behalf.Response{Status: 200, Text: text}}
}

func throws(text string) behalf.Outcome {
	return behalf.Outcome{Err: &behalf.StepError{Name: "Error", Message: text, Stack: "Error: " + text + "\n    at only.mjs:3"}}
}

// version is the one that events of bustest name, with these steps of code.
func version(steps ...behalf.StepName) behalf.Version {
	v := behalf.Version{V: 1, ID: "d_test", Project: bustest.Project, Workflow: bustest.Workflow, Name: "Test"}
	for _, name := range steps {
		v.Steps = append(v.Steps, behalf.Step{Name: name, Source: &behalf.Source{File: string(name) + ".mjs", Runtime: behalf.RuntimeNode}})
	}
	return v
}

// using gives the first step an account of the end user's.
func using(v behalf.Version) behalf.Version {
	v.Steps[0].Accounts = map[string]behalf.AccountRef{"slack": {App: "slack"}}
	return v
}

func eventOf(user behalf.ExternalUserID) behalf.Event {
	e := bustest.Event()
	e.User = user
	return e
}

// logs is a log that may be read while it is written.
type logs struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// lines are those of one message.
func (l *logs) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["message"] == message {
			all = append(all, fields)
		}
	}
	return all
}
