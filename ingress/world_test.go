package ingress_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const (
	endpointID = "enabcdefghijklmnopqrstuvwxyz"
	project    = behalf.ProjectID("proj_1")
	workflow   = behalf.WorkflowID("p_1")
	goodToken  = "good"
	staticText = "static-token-of-this-trigger"
)

// bus is a bus in memory. It stores what publish lets through, and answers what answer says.
type bus struct {
	// publish decides about an event: nil stores it, an error refuses it, stored may be called before an error that says
	// nothing. Nil stores everything.
	publish func(ctx context.Context, stored func()) error
	// answer is what the run answers. Nil answers nothing.
	answer    func(behalf.Event) *behalf.Result
	connected func() bool

	mu         sync.Mutex
	events     []behalf.Event
	waiters    map[string]chan behalf.Result
	reconnects []func()
}

func (b *bus) Publish(ctx context.Context, e behalf.Event, reply string) error {
	store := func() { b.store(e, reply) }
	if b.publish != nil {
		return b.publish(ctx, store)
	}
	store()
	return nil
}

func (b *bus) store(e behalf.Event, reply string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Trigger = bytes.Clone(e.Trigger)
	b.events = append(b.events, e)
	if b.answer == nil {
		return
	}
	if result := b.answer(e); result != nil && b.waiters[reply] != nil {
		b.waiters[reply] <- *result
	}
}

func (b *bus) Await() (string, <-chan behalf.Result, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reply := "rsp.test." + strconv.Itoa(len(b.waiters))
	b.waiters[reply] = make(chan behalf.Result, 1)
	return reply, b.waiters[reply], func() {}
}

func (b *bus) Connected() bool { return b.connected == nil || b.connected() }

func (b *bus) OnReconnect(f func()) { b.reconnects = append(b.reconnects, f) }

func (b *bus) stored() []behalf.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events
}

func (b *bus) reconnect() {
	for _, f := range b.reconnects {
		f()
	}
}

type endpoints func(id behalf.EndpointID) (behalf.Endpoint, error)

func (f endpoints) Endpoint(_ context.Context, id behalf.EndpointID) (behalf.Endpoint, error) {
	return f(id)
}

type verifier func(token string) (behalf.Identity, error)

func (f verifier) Verify(_ context.Context, bearer secret.String) (behalf.Identity, error) {
	return f(bearer.Reveal())
}

type journal func(run behalf.RunID) (behalf.Run, error)

func (f journal) Result(_ context.Context, _ behalf.ProjectID, _ behalf.WorkflowID, run behalf.RunID) (behalf.Run, error) {
	return f(run)
}

// keys are those that were taken, with the hash of their request.
type keys struct {
	mu    sync.Mutex
	taken map[behalf.RunID]string
	fails error
}

// kept is a journal with its keys.
type kept struct {
	journal
	*keys
}

func (k kept) Accept(_ context.Context, e behalf.Event, hash string) (bool, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails != nil {
		return false, "", k.fails
	}
	if was, taken := k.taken[e.Run]; taken {
		return false, was, nil
	}
	k.taken[e.Run] = hash
	return true, "", nil
}

// users is who exists, and which accounts each has.
type users map[behalf.ExternalUserID][]behalf.Account

func (u users) User(_ context.Context, _ behalf.ProjectID, id behalf.ExternalUserID) (behalf.ExternalUser, error) {
	if _, ok := u[id]; !ok {
		return behalf.ExternalUser{}, fault.New(fault.NotFound, "users.User", "no such user")
	}
	return behalf.ExternalUser{External: id, Project: project}, nil
}

func (u users) Accounts(_ context.Context, _ behalf.ProjectID, id behalf.ExternalUserID) ([]behalf.Account, error) {
	return u[id], nil
}

func (u users) AccountsFromLeader(ctx context.Context, p behalf.ProjectID, id behalf.ExternalUserID) ([]behalf.Account, error) {
	return u.Accounts(ctx, p, id)
}

// files keeps files in memory. A put that fails leaves a part, as a store may.
type files struct {
	// put, where it is set, is asked before a file is kept.
	put func(kept int) error
	get error

	mu      sync.Mutex
	puts    int
	content map[string]string
	about   map[string]map[string]string
}

func newFiles() *files {
	return &files{content: map[string]string{}, about: map[string]map[string]string{}}
}

func (f *files) PutFile(_ context.Context, name string, about map[string]string, content io.Reader) error {
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if f.put != nil {
		err = f.put(f.count())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.puts++
	f.content[name], f.about[name] = string(data), about
	return err
}

func (f *files) File(_ context.Context, name string) (map[string]string, io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, ok := f.content[name]
	if f.get != nil {
		return nil, nil, f.get
	}
	if !ok {
		return nil, nil, fault.New(fault.NotFound, "files", "no such file")
	}
	return f.about[name], io.NopCloser(strings.NewReader(content)), nil
}

func (f *files) DropFile(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.content, name)
	return nil
}

func (f *files) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.content)
}

// triggers keeps triggers in memory.
type triggers struct {
	put error // where it is set, nothing is kept

	mu   sync.Mutex
	puts int
	kept map[behalf.ObjectID]string
}

func (o *triggers) PutUnshared(_ context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.puts++
	if o.put != nil {
		return behalf.ObjectRef{}, o.put
	}
	id := behalf.NewObjectID(project, []byte(strconv.Itoa(o.puts)))
	o.kept[id] = string(content)
	sum := sha256.Sum256(content)
	return behalf.ObjectRef{Object: id, SHA256: hex.EncodeToString(sum[:]), Size: len(content)}, nil
}

func (o *triggers) DropObject(_ context.Context, ref behalf.ObjectRef) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.kept, ref.Object)
	return nil
}

func (o *triggers) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.kept)
}

// world is an ingress with everything around it, of which a test changes what it is about.
type world struct {
	bus      *bus
	endpoint behalf.Endpoint
	users    users
	verify   verifier
	journal  journal
	keys     *keys
	files    *files    // none where nil
	triggers *triggers // none where nil
	tests    *tests    // none where nil
	find     endpoints
	config   ingress.Config
	registry prometheus.Registerer
}

func newWorld(auth behalf.TriggerAuth, mode behalf.RespondMode) *world {
	sum := sha256.Sum256([]byte(staticText))
	w := &world{
		bus: &bus{waiters: map[string]chan behalf.Result{}},
		endpoint: behalf.Endpoint{
			ID: endpointID, Project: project, Workflow: workflow, Version: "d_1", TokenHash: hex.EncodeToString(sum[:]),
			Trigger: behalf.Trigger{Auth: auth, Respond: behalf.Respond{Mode: mode}},
		},
		users: users{
			"abc-123": {account("apn_1", "slack", "abc-123", false)},
			"xyz-9":   {},
			"José":    {account("apn_2", "slack", "José", false)},
			"stale":   {account("apn_3", "slack", "stale", true)},
		},
		keys:   &keys{taken: map[behalf.RunID]string{}},
		config: ingress.Config{WorkflowDomain: "flows.example", APIURL: "https://api.example/", Wait: 20 * time.Millisecond},
	}
	w.find = func(id behalf.EndpointID) (behalf.Endpoint, error) {
		if id != w.endpoint.ID {
			return behalf.Endpoint{}, fault.New(fault.NotFound, "endpoints", "no such endpoint")
		}
		return w.endpoint, nil
	}
	w.verify = func(token string) (behalf.Identity, error) {
		id := behalf.Identity{Client: "oac_1", Project: project, Scopes: []behalf.Scope{behalf.ScopeInvoke}, Environments: behalf.Environments()}
		switch token {
		case goodToken:
		case "other-project":
			id.Project = "proj_2"
		case "no-scope":
			id.Scopes = []behalf.Scope{behalf.ScopeConnect}
		case "development-only":
			id.Environments = []behalf.Environment{behalf.Development}
		case "keys-away":
			return behalf.Identity{}, fault.New(fault.Unavailable, "verifier", "keys away")
		default:
			return behalf.Identity{}, fault.New(fault.Unauthenticated, "verifier", "bad token")
		}
		return id, nil
	}
	w.journal = func(behalf.RunID) (behalf.Run, error) {
		return behalf.Run{}, fault.New(fault.NotFound, "journal", "nothing yet")
	}
	return w
}

func account(id behalf.AccountID, app behalf.AppSlug, user behalf.ExternalUserID, needsReauth bool) behalf.Account {
	a := behalf.Account{ID: id, App: app, User: user, Project: project}
	if needsReauth {
		a.State = behalf.AccountNeedsReauth
	}
	return a
}

func (w *world) answers(result behalf.Result) {
	w.bus.answer = func(e behalf.Event) *behalf.Result {
		result.Run = e.Run
		return &result
	}
}

func (w *world) server() *ingress.Server { return w.serverOn(w.bus) }

func (w *world) serverOn(b ingress.Bus) *ingress.Server {
	env := ingress.Env{
		Bus: b, Users: w.users, Verifier: w.verify, Journal: kept{w.journal, w.keys},
		Endpoints: endpoints(func(id behalf.EndpointID) (behalf.Endpoint, error) { return w.find(id) }),
	}
	if w.files != nil {
		env.Files = w.files
	}
	if w.triggers != nil {
		env.Triggers = w.triggers
	}
	if w.tests != nil {
		env.Tests = w.tests
	}
	return ingress.New(w.config, map[behalf.Environment]ingress.Env{behalf.Production: env, behalf.Development: env}, zerolog.Nop(), w.registry)
}

// send sends one request and returns the answer.
func (w *world) send(r *http.Request) answer { return serve(w.server(), r) }

// answer is what a caller gets.
type answer struct {
	status int
	header http.Header
	body   string
}

func serve(h http.Handler, r *http.Request) answer {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Result().Header, rec.Body.String()}
}

func answerOf(tb testing.TB, res *http.Response) answer {
	tb.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// request makes a request for the endpoint by its path form. Headers are name and value, one a line.
func request(method, path, headers, body string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1/e/"+endpointID+path, strings.NewReader(body))
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	return r
}
