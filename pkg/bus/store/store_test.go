package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const (
	project = behalf.ProjectID("proj_test")
	user    = behalf.ExternalUserID("abc-123")
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The embedded server leaves it behind when it is closed while its history has just begun to be sourced; it ends
		// by itself.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"),
	)
}

// lab is an embedded server with the buckets of one environment.
type lab struct {
	ns  *server.Server
	dir string
}

func newLab(tb testing.TB) *lab {
	tb.Helper()
	dir := tb.TempDir()
	ns, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true})
	if err != nil {
		tb.Fatal(err)
	}
	ns.Start()
	tb.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(bustest.Patience) {
		tb.Fatal("the server does not start")
	}
	l := &lab{ns, dir}
	provision(tb, l.connect(tb), behalf.Development)
	return l
}

func provision(tb testing.TB, nc *nats.Conn, env behalf.Environment) {
	tb.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	for _, cfg := range store.Buckets(env, 1) {
		if _, err := js.CreateOrUpdateKeyValue(tb.Context(), cfg); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := js.CreateOrUpdateObjectStore(tb.Context(), store.ObjectStore(env, 1)); err != nil {
		tb.Fatal(err)
	}
	for _, cfg := range bus.ObjectStreams(env, bus.Layout{Storage: bus.MinStorage}) {
		if _, err := js.CreateOrUpdateStream(tb.Context(), cfg); err != nil {
			tb.Fatal(err)
		}
	}
}

func (l *lab) connect(tb testing.TB) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(nats.DefaultURL, nats.InProcessServer(l.ns), nats.ReconnectBufSize(-1))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// store opens a store on a connection of its own, which does not run.
func (l *lab) store(tb testing.TB, cfg store.Config) *store.Store {
	tb.Helper()
	s, err := store.New(tb.Context(), l.connect(tb), behalf.Development, cfg, zerolog.New(zerolog.NewTestWriter(tb)))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// running opens a store whose copies are kept.
func (l *lab) running(tb testing.TB, cfg store.Config) *store.Store {
	tb.Helper()
	s := l.store(tb, cfg)
	ctx, cancel := context.WithCancel(tb.Context())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(bustest.Patience):
		tb.Fatal("the copies are not filled")
	}
	return s
}

func must[T any](tb testing.TB) func(T, error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func wantKind(tb testing.TB, err error, kind fault.Kind) {
	tb.Helper()
	if !fault.Is(err, kind) {
		tb.Fatalf("want %s, got %v", kind, err)
	}
}

func endpoint() behalf.Endpoint {
	return behalf.Endpoint{ID: behalf.NewEndpointID(), Project: project, Workflow: "p_one", Name: "one", Version: "d_one"}
}

func account(u behalf.ExternalUserID) behalf.Account {
	return behalf.Account{ID: behalf.NewAccountID(), Project: project, App: "slack", User: u, CreatedAt: time.Now().UTC()}
}

func TestWhatAnotherConnectionWroteAMomentAgoIsFound(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	reader, writer := l.running(t, store.Config{}), l.store(t, store.Config{})
	for range 200 {
		e := endpoint()
		must[uint64](t)(writer.PutEndpoint(t.Context(), e, 0))
		if got := must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), e.ID)); got.ID != e.ID || got.V != 1 {
			t.Fatalf("got %+v", got)
		}
	}
}

func TestEndpointsAreFoundInAnyCaseOfLetters(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	e := endpoint()
	must[uint64](t)(s.PutEndpoint(t.Context(), e, 0))
	must[behalf.Endpoint](t)(s.Endpoint(t.Context(), behalf.EndpointID(strings.ToUpper(string(e.ID)))))
}

func TestADeletedOneDisappearsFromTheCopy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	reader, writer := l.running(t, store.Config{MissFor: time.Millisecond}), l.store(t, store.Config{})
	for range 50 {
		e := endpoint()
		must[uint64](t)(writer.PutEndpoint(t.Context(), e, 0))
		must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), e.ID))
		if err := writer.DeleteEndpoint(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, "the endpoint is gone", func() bool {
			_, err := reader.Endpoint(t.Context(), e.ID)
			return fault.Is(err, fault.NotFound)
		})
	}
}

func TestARevokedClientIsKnownByEveryCopy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	reader, writer := l.running(t, store.Config{}), l.running(t, store.Config{})
	c := behalf.Client{ID: behalf.NewClientID(), Project: project, Generation: 1}
	rev := must[uint64](t)(writer.PutClient(t.Context(), c, 0))
	must[behalf.Client](t)(reader.Client(t.Context(), c.ID))
	c.Revoked, c.Generation = true, 2
	must[uint64](t)(writer.PutClient(t.Context(), c, rev))
	if !must[behalf.Client](t)(writer.Client(t.Context(), c.ID)).Revoked {
		t.Error("the writer's own copy is behind its write")
	}
	bustest.Eventually(t, "the reader knows of the revocation", func() bool {
		return must[behalf.Client](t)(reader.Client(t.Context(), c.ID)).Revoked
	})
	if got := must[[]behalf.Client](t)(reader.Clients(t.Context(), project)); len(got) != 1 {
		t.Errorf("listed %v", got)
	}
}

func TestAMissIsBelievedForItsTimeUnlessTheWatchKnowsBetter(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	e := endpoint()
	for name, s := range map[string]*store.Store{"running": l.running(t, store.Config{MissFor: time.Hour}), "not running": l.store(t, store.Config{MissFor: time.Hour})} {
		if _, err := s.Endpoint(t.Context(), e.ID); !fault.Is(err, fault.NotFound) || fault.Safe(err) != "no such endpoint" {
			t.Fatalf("%s: %v", name, err)
		}
	}
	// A store that does not run has nobody to tell it, so its hour holds.
	deaf := l.store(t, store.Config{MissFor: time.Hour})
	short := l.store(t, store.Config{MissFor: 300 * time.Millisecond})
	for _, s := range []*store.Store{deaf, short} {
		_, err := s.Endpoint(t.Context(), e.ID)
		wantKind(t, err, fault.NotFound)
	}
	running := l.running(t, store.Config{MissFor: time.Hour})
	_, err := running.Endpoint(t.Context(), e.ID)
	wantKind(t, err, fault.NotFound)

	must[uint64](t)(l.store(t, store.Config{}).PutEndpoint(t.Context(), e, 0))
	_, err = deaf.Endpoint(t.Context(), e.ID)
	wantKind(t, err, fault.NotFound)
	bustest.Eventually(t, "the watch corrects the miss", func() bool {
		_, err := running.Endpoint(t.Context(), e.ID)
		return err == nil
	})
	bustest.Eventually(t, "the miss is over", func() bool {
		_, err := short.Endpoint(t.Context(), e.ID)
		return err == nil
	})
}

func TestWhoeverGuessesIDsIsHeldBack(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{MissRate: 5})
	known := endpoint()
	must[uint64](t)(s.PutEndpoint(t.Context(), known, 0))
	kinds := make(map[fault.Kind]int)
	for range 50 {
		_, err := s.Endpoint(t.Context(), behalf.NewEndpointID())
		kinds[fault.KindOf(err)]++
	}
	if kinds[fault.NotFound] == 0 || kinds[fault.Exhausted] < 30 || len(kinds) != 2 {
		t.Errorf("got %v", kinds)
	}
	must[behalf.Endpoint](t)(s.Endpoint(t.Context(), known.ID))
}

func TestTheLeaderAlwaysSeesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a, b := l.store(t, store.Config{}), l.store(t, store.Config{})
	c := behalf.Client{ID: behalf.NewClientID(), Project: project}
	var rev uint64
	for i := range 500 {
		c.Generation = i
		rev = must[uint64](t)(a.PutClient(t.Context(), c, rev))
		got := must[store.Versioned[behalf.Client]](t)(b.ClientForChange(t.Context(), c.ID))
		if got.Value.Generation != i || got.Revision != rev {
			t.Fatalf("read %d at %d after writing %d at %d", got.Value.Generation, got.Revision, i, rev)
		}
	}
}

func TestOfTwoWritersOneWins(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	e := endpoint()
	rev := must[uint64](t)(l.store(t, store.Config{}).PutEndpoint(t.Context(), e, 0))
	for _, at := range []uint64{0, rev} {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			s := l.store(t, store.Config{})
			wg.Go(func() {
				fresh := e
				if at == 0 {
					fresh.ID = "enfresh"
				}
				fresh.Name = fmt.Sprint(i)
				_, errs[i] = s.PutEndpoint(t.Context(), fresh, at)
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !fault.Is(err, fault.Conflict):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("at revision %d %d writers won", at, won)
		}
	}
}

func TestADeletedKeyCanBeMadeAgain(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	e := endpoint()
	for range 3 {
		must[uint64](t)(s.PutEndpoint(t.Context(), e, 0))
		must[behalf.Endpoint](t)(s.Endpoint(t.Context(), e.ID))
		if err := s.DeleteEndpoint(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
		_, err := s.EndpointFromLeader(t.Context(), e.ID)
		wantKind(t, err, fault.NotFound)
	}
}

func TestResetFillsAnewWhileOldEntriesAnswer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	reader, writer := l.running(t, store.Config{MissFor: time.Millisecond}), l.store(t, store.Config{})
	kept, gone := endpoint(), endpoint()
	must[uint64](t)(writer.PutEndpoint(t.Context(), kept, 0))
	must[uint64](t)(writer.PutEndpoint(t.Context(), gone, 0))
	must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), gone.ID))
	if err := writer.DeleteEndpoint(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		reader.Reset()
		must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), kept.ID))
	}
	bustest.Eventually(t, "the deleted one is gone", func() bool {
		_, err := reader.Endpoint(t.Context(), gone.ID)
		return fault.Is(err, fault.NotFound)
	})
	fresh := endpoint()
	must[uint64](t)(writer.PutEndpoint(t.Context(), fresh, 0))
	must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), fresh.ID))
}

func TestProjectsAndTheirWatch(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, writer := l.running(t, store.Config{}), l.store(t, store.Config{})
	must[uint64](t)(writer.PutProject(t.Context(), store.Project{ID: "proj_a", Name: "a"}, 0))
	ctx, cancel := context.WithCancel(t.Context())
	added, over := make(chan behalf.ProjectID, 10), make(chan error, 1)
	go func() {
		over <- s.WatchProjects(ctx, func(ids []behalf.ProjectID) {
			for _, id := range ids {
				added <- id
			}
		})
	}()
	must[uint64](t)(writer.PutProject(t.Context(), store.Project{ID: "proj_b"}, 0))
	if a, b := <-added, <-added; a+b != "proj_aproj_b" && a+b != "proj_bproj_a" {
		t.Errorf("told of %s and %s", a, b)
	}
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if got := must[[]store.Project](t)(writer.Projects(t.Context())); len(got) != 2 || got[0].Name != "a" {
		t.Errorf("listed %v", got)
	}
	must[store.Project](t)(s.Project(t.Context(), "proj_a"))
}

func TestWorkflowsAndVersions(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	w := behalf.Workflow{ID: "p_one", Project: project, Name: "one"}
	must[uint64](t)(s.PutWorkflow(t.Context(), w, 0))
	read := must[store.Versioned[behalf.Workflow]](t)(s.WorkflowFromLeader(t.Context(), project, w.ID))
	read.Value.Version = "d_two"
	must[uint64](t)(s.PutWorkflow(t.Context(), read.Value, read.Revision))
	_, err := s.PutWorkflow(t.Context(), w, read.Revision)
	wantKind(t, err, fault.Conflict)
	must[uint64](t)(s.PutWorkflow(t.Context(), behalf.Workflow{ID: "p_one", Project: "proj_other"}, 0))
	if got := must[[]behalf.Workflow](t)(s.Workflows(t.Context(), project)); len(got) != 1 || got[0].Version != "d_two" {
		t.Errorf("listed %+v", got)
	}
	if got := must[behalf.Workflow](t)(s.Workflow(t.Context(), project, w.ID)); got.Version != "d_two" {
		t.Errorf("got %+v", got)
	}

	v := behalf.Version{ID: "d_one", Project: project, Workflow: w.ID, Name: "one"}
	_, err = s.Version(t.Context(), project, v.ID)
	wantKind(t, err, fault.NotFound)
	for range 2 { // the second changes nothing
		if err := s.PutVersion(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	must[behalf.Version](t)(s.Version(t.Context(), project, v.ID))
	v.Name = "another"
	wantKind(t, s.PutVersion(t.Context(), v), fault.Conflict)
	v.ID, v.Name = "d_big", strings.Repeat("x", 800<<10)
	wantKind(t, s.PutVersion(t.Context(), v), fault.Invalid)
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{MissFor: time.Millisecond})
	key, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.PutPublicKey(t.Context(), "k1", key); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, s.PutPublicKey(t.Context(), "k1", other), fault.Conflict)
	if got := must[ed25519.PublicKey](t)(s.PublicKey(t.Context(), "k1")); !got.Equal(key) {
		t.Error("another key came back")
	}
	for _, kid := range []string{"", "a.b", ">", "*", "a b", strings.Repeat("k", 65)} {
		_, err := s.PublicKey(t.Context(), kid)
		wantKind(t, err, fault.Invalid)
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, reader := l.store(t, store.Config{}), l.store(t, store.Config{RememberObjects: 1 << 10})
	for _, content := range []string{"", "export default 1", strings.Repeat("0123456789", 60_000)} {
		ref := must[behalf.ObjectRef](t)(s.PutObject(t.Context(), project, []byte(content)))
		again := must[behalf.ObjectRef](t)(s.PutObject(t.Context(), project, []byte(content)))
		theirs := must[behalf.ObjectRef](t)(s.PutObject(t.Context(), "proj_other", []byte(content)))
		if ref != again || ref.Object == theirs.Object {
			t.Errorf("names %v %v %v", ref, again, theirs)
		}
		for range 2 {
			if got := must[[]byte](t)(reader.Object(t.Context(), ref)); string(got) != content {
				t.Errorf("got %d bytes, want %d", len(got), len(content))
			}
		}
		ref.SHA256 = theirs.SHA256[1:] + "0"
		_, err := reader.Object(t.Context(), ref)
		wantKind(t, err, fault.Internal)
	}
	_, err := reader.Object(t.Context(), behalf.ObjectRef{Object: "none"})
	wantKind(t, err, fault.NotFound)
}

func TestObjectsOfOneOwner(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, reader := l.store(t, store.Config{}), l.store(t, store.Config{})
	content := []byte(strings.Repeat("0123456789", 60_000))
	mine := must[behalf.ObjectRef](t)(s.PutUnshared(t.Context(), project, content))
	other := must[behalf.ObjectRef](t)(s.PutUnshared(t.Context(), project, content))
	shared := must[behalf.ObjectRef](t)(s.PutObject(t.Context(), project, content))
	if mine.Object == other.Object || mine.Object == shared.Object || mine.SHA256 != shared.SHA256 || mine.Size != len(content) {
		t.Errorf("names %v %v %v", mine, other, shared)
	}
	for range 2 { // the second changes nothing
		if err := s.DropObject(t.Context(), mine); err != nil {
			t.Error(err)
		}
	}
	_, err := reader.Object(t.Context(), mine)
	wantKind(t, err, fault.NotFound)
	for _, ref := range []behalf.ObjectRef{other, shared} {
		if got := must[[]byte](t)(reader.Object(t.Context(), ref)); !bytes.Equal(got, content) {
			t.Errorf("got %d bytes", len(got))
		}
	}
	if _, err := s.PutUnshared(t.Context(), "no project", content); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestSealedBucket(t *testing.T) {
	t.Parallel()
	b := newLab(t).store(t, store.Config{}).Sealed()
	_, _, err := b.Get(t.Context(), "a/b")
	wantKind(t, err, fault.NotFound)
	rev := must[uint64](t)(b.Put(t.Context(), "a/b", []byte("1"), 0))
	_, err = b.Put(t.Context(), "a/b", []byte("2"), 0)
	wantKind(t, err, fault.Conflict)
	must[uint64](t)(b.Put(t.Context(), "a/c", []byte("2"), 0))
	must[uint64](t)(b.Put(t.Context(), "b/c", []byte("2"), 0))
	if keys := must[[]string](t)(b.Keys(t.Context(), "a/")); fmt.Sprint(keys) != "[a/b a/c]" {
		t.Errorf("keys %v", keys)
	}
	wantKind(t, b.Delete(t.Context(), "a/b", rev+100), fault.Conflict)
	for range 2 {
		if err := b.Delete(t.Context(), "a/b", 0); err != nil {
			t.Fatal(err)
		}
	}
	must[uint64](t)(b.Put(t.Context(), "a/b", []byte("3"), 0))
	for _, key := range []string{"", ">", "a.b", "a b", "*"} {
		_, _, err := b.Get(t.Context(), key)
		wantKind(t, err, fault.Invalid)
	}
}

func TestWithoutItsBucketsThereIsNoStore(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, err := store.New(t.Context(), l.connect(t), behalf.Production, store.Config{}, zerolog.Nop())
	wantKind(t, err, fault.Unavailable)
	if !strings.Contains(fault.Safe(err), "behalf provision") {
		t.Errorf("no word of what to do: %v", err)
	}
}

func TestWithoutAServerEverythingIsUnavailable(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.running(t, store.Config{ReadTimeout: 200 * time.Millisecond})
	e := endpoint()
	must[uint64](t)(s.PutEndpoint(t.Context(), e, 0))
	l.ns.Shutdown()
	_, err := s.EndpointFromLeader(t.Context(), e.ID)
	wantKind(t, err, fault.Unavailable)
	// A write whose connection breaks under it ends by its time: then nobody knows whether it was stored.
	if _, err = s.PutEndpoint(t.Context(), endpoint(), 0); !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Timeout) {
		t.Errorf("got %v", err)
	}
	_, err = s.User(t.Context(), project, user)
	wantKind(t, err, fault.Unavailable)
	must[behalf.Endpoint](t)(s.Endpoint(t.Context(), e.ID)) // the copy may say yes
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Endpoint(ctx, behalf.NewEndpointID())
	wantKind(t, err, fault.Canceled)
}

func BenchmarkEndpoint(b *testing.B) {
	s := newLab(b).running(b, store.Config{})
	e := endpoint()
	must[uint64](b)(s.PutEndpoint(b.Context(), e, 0))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Endpoint(b.Context(), e.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAccounts(b *testing.B) {
	s := newLab(b).running(b, store.Config{})
	must[uint64](b)(s.PutAccount(b.Context(), account(user), 0))
	b.Run("from memory", func(b *testing.B) {
		for b.Loop() {
			must[[]behalf.Account](b)(s.Accounts(b.Context(), project, user))
		}
	})
	b.Run("from the leader", func(b *testing.B) {
		for b.Loop() {
			must[[]behalf.Account](b)(s.AccountsFromLeader(b.Context(), project, user))
		}
	})
}
