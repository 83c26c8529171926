package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const (
	mib = bus.Bytes(1 << 20)
	gib = bus.Bytes(1 << 30)
)

// small starts a server that can store so much, in a folder.
func small(t *testing.T, dir string, storage bus.Bytes) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Config{Dir: dir, MaxStorage: int64(storage)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func provisioned(t *testing.T, conn *bus.Conn, layout bus.Layout) {
	t.Helper()
	if err := bus.Provision(t.Context(), conn, behalf.Development, layout); err != nil {
		t.Fatal(err)
	}
}

func stream(t *testing.T, conn *bus.Conn, name string) *jetstream.StreamInfo {
	t.Helper()
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

// sizes of the streams with a limit: events, dead letters, history, files.
func sizes(t *testing.T, conn *bus.Conn) [4]bus.Bytes {
	t.Helper()
	var all [4]bus.Bytes
	for i, name := range []string{
		subject.Events(behalf.Development), subject.DeadLetters(behalf.Development), subject.History(behalf.Development),
		subject.ObjectStream(subject.Files(behalf.Development)),
	} {
		all[i] = bus.Bytes(stream(t, conn, name).Config.MaxBytes)
	}
	return all
}

func sized(t *testing.T, conn *bus.Conn, want ...bus.Bytes) {
	t.Helper()
	want[2] -= want[0] / 16 // for test events, a 64th of all
	if got := sizes(t, conn); got != [4]bus.Bytes(want) {
		t.Errorf("events, dead letters, history and files reserve %v, not %v", got, want)
	}
}

// What the design says about each stream holds however little storage there is.
func TestStorageIsSplit(t *testing.T) {
	t.Parallel()
	conn := bustest.Connect(t, small(t, t.TempDir(), gib))
	provisioned(t, conn, bus.Layout{Storage: gib})
	sized(t, conn, 256*mib, 256*mib, 384*mib, 128*mib)

	events := stream(t, conn, subject.Events(behalf.Development)).Config
	if events.Discard != jetstream.DiscardNew || !events.DiscardNewPerSubject || events.MaxMsgsPerSubject != 10_000 {
		t.Errorf("events: %+v", events)
	}
	timers := stream(t, conn, subject.Timers(behalf.Development)).Config
	if timers.MaxBytes > 0 || timers.MaxMsgs > 0 || timers.MaxMsgsPerSubject > 0 || timers.MaxAge > 0 || timers.Discard != jetstream.DiscardOld {
		t.Errorf("an evicted timer is a lost run: %+v", timers)
	}
	tests := stream(t, conn, subject.Tests(behalf.Development)).Config
	if tests.MaxBytes != int64(16*mib) || tests.MaxMsgsPerSubject != 100 || tests.MaxAge == 0 || tests.Discard != jetstream.DiscardOld {
		t.Errorf("test events: %+v", tests)
	}
	for _, name := range []string{subject.Runs(behalf.Development), subject.Keyed(behalf.Development)} {
		if journal := stream(t, conn, name).Config; journal.MaxBytes > 0 {
			t.Errorf("%s is bounded in bytes: %+v", name, journal)
		}
	}
	files := stream(t, conn, subject.ObjectStream(subject.Files(behalf.Development))).Config
	if files.MaxAge != 30*time.Minute || files.Discard != jetstream.DiscardNew || files.AllowDirect {
		t.Errorf("files: %+v", files)
	}
	history := stream(t, conn, subject.History(behalf.Development)).Config
	parked := stream(t, conn, subject.ObjectStream(subject.Parked(behalf.Development))).Config
	if parked.MaxAge < history.MaxAge+7*24*time.Hour || parked.MaxBytes > 0 || parked.AllowDirect {
		t.Errorf("what is parked must outlive its run's history: %+v", parked)
	}
}

// The least that may be asked for holds the files of the largest request.
func TestLeastStorage(t *testing.T) {
	t.Parallel()
	conn := bustest.Connect(t, small(t, t.TempDir(), gib))
	provisioned(t, conn, bus.Layout{Storage: bus.MinStorage})
	sized(t, conn, 16*mib, 16*mib, 16*mib, 16*mib)
}

// Both environments fit on a machine with 6 GB free, of which NATS takes three quarters.
func TestDefaultStorageIsModest(t *testing.T) {
	t.Parallel()
	s := small(t, t.TempDir(), 6*1000*1000*1000/4*3)
	for _, env := range behalf.Environments() {
		conn, err := bus.Connect(t.Context(), bus.ConnConfig{InProcess: s, Creds: s.Creds(env)}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		if err := bus.Provision(t.Context(), conn, env, bus.Layout{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTooLittleStorage(t *testing.T) {
	t.Parallel()
	conn := bustest.Connect(t, small(t, t.TempDir(), gib))
	err := bus.Provision(t.Context(), conn, behalf.Development, bus.Layout{})
	if !fault.Is(err, fault.Exhausted) {
		t.Fatalf("the error is %v", err)
	}
	for _, part := range []string{"HIST_development", "development want 2 GiB", "max_file_store", "has reserved 512 MiB"} {
		if !strings.Contains(fault.Safe(err), part) {
			t.Errorf("%q does not say %q", fault.Safe(err), part)
		}
	}
	// What the attempt has made does not stand in the way of a smaller one.
	provisioned(t, conn, bus.Layout{Storage: 256 * mib})
	sized(t, conn, 64*mib, 64*mib, 96*mib, 32*mib)
}

func TestProvisionedAgain(t *testing.T) {
	t.Parallel()
	conn := bustest.Connect(t, small(t, t.TempDir(), 4*gib))
	provisioned(t, conn, bus.Layout{Storage: 512 * mib})
	provisioned(t, conn, bus.Layout{DefaultStorage: 2 * gib})
	sized(t, conn, 128*mib, 128*mib, 192*mib, 64*mib) // nobody has asked for more

	provisioned(t, conn, bus.Layout{Storage: gib})
	sized(t, conn, 256*mib, 256*mib, 384*mib, 128*mib)

	js, err := jetstream.New(conn.NATS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "dead.development.proj_a.p_b", nil); err != nil {
		t.Fatal(err)
	}
	provisioned(t, conn, bus.Layout{Storage: 256 * mib})
	sized(t, conn, 64*mib, 256*mib, 96*mib, 32*mib) // what has held something keeps its size
}

// A server that finds less disk than it has reserved refuses every change. What is there must go on.
func TestDiskHasBecomeSmaller(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := small(t, dir, 4*gib)
	provisioned(t, bustest.Connect(t, s), bus.Layout{Storage: 2 * gib})
	s.Close()

	conn := bustest.Connect(t, small(t, dir, gib))
	provisioned(t, conn, bus.Layout{})
	sized(t, conn, 512*mib, 512*mib, 768*mib, 256*mib)
	if err := bus.Provision(t.Context(), conn, behalf.Development, bus.Layout{Storage: 4 * gib}); !fault.Is(err, fault.Exhausted) {
		t.Errorf("to grow beyond the disk: %v", err)
	}
}

// Of an account with a limit of its own, half is reserved by default.
func TestAccountHasALimit(t *testing.T) {
	t.Parallel()
	conn := limited(t, 4*gib)
	provisioned(t, conn, bus.Layout{})
	sized(t, conn, 512*mib, 512*mib, 768*mib, 256*mib)

	err := bus.Provision(t.Context(), conn, behalf.Development, bus.Layout{Storage: 8 * gib})
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(fault.Safe(err), "may reserve 4 GiB") {
		t.Errorf("the error is %v", err)
	}
}

// limited connects to a server without authentication, whose only account may store so much.
func limited(t *testing.T, storage bus.Bytes) *bus.Conn {
	t.Helper()
	ns, err := server.NewServer(&server.Options{JetStream: true, StoreDir: t.TempDir(), DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(bustest.Patience) {
		t.Fatal("the server does not start")
	}
	limits := server.JetStreamAccountLimits{MaxMemory: -1, MaxStore: int64(storage), MaxStreams: -1, MaxConsumers: -1}
	if err := ns.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.ConnConfig{InProcess: ns}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
