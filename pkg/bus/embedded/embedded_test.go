package embedded_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The embedded server leaves it behind when it is closed while its history has just begun to be sourced; it ends
		// by itself.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"),
	)
}

func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *embedded.Server, env behalf.Environment) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.UserCredentialBytes([]byte(s.Creds(env).Reveal())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestEnvironmentsDoNotMeet(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir()})
	dev, prod := connect(t, s, behalf.Development), connect(t, s, behalf.Production)
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}
	if _, err := prod.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := prod.Publish(t.Context(), "s.1", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := dev.Stream(t.Context(), "S"); err == nil {
		t.Fatal("development sees a stream of production")
	}
	if _, err := dev.Publish(t.Context(), "s.1", nil); err == nil {
		t.Fatal("development publishes into a stream of production")
	}
}

func TestPortWantsCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir(), Addr: "127.0.0.1:0"})
	for name, option := range map[string]nats.Option{
		"none":       nats.Name("stranger"),
		"a password": nats.UserInfo("admin", "admin"),
		"a token":    nats.Token("token"),
	} {
		if nc, err := nats.Connect(s.URL(), option); err == nil {
			nc.Close()
			t.Errorf("with %s the server lets in", name)
		}
	}
	nc, err := nats.Connect(s.URL(), nats.UserCredentials(s.CredsFile(behalf.Development)))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestSecondStartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	if s.URL() != "" {
		t.Errorf("it listens at %s", s.URL())
	}
	cfg := jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}
	if _, err := connect(t, s, behalf.Production).CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	old := s.Creds(behalf.Production)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}

	s = start(t, embedded.Config{Dir: dir})
	if _, err := connect(t, s, behalf.Production).Stream(t.Context(), "S"); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.UserCredentialBytes([]byte(old.Reveal())))
	if err != nil {
		t.Fatalf("credentials of the start before are refused: %v", err)
	}
	nc.Close()
}

func TestMaxStorage(t *testing.T) {
	t.Parallel()
	if s := start(t, embedded.Config{Dir: t.TempDir(), MaxStorage: 1 << 20}); s.MaxStorage() != 1<<20 {
		t.Errorf("told 1 MiB, it has %d", s.MaxStorage())
	}
	if s := start(t, embedded.Config{Dir: t.TempDir()}); s.MaxStorage() <= 0 {
		t.Errorf("told nothing, it has %d", s.MaxStorage())
	}
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nats")
	s := start(t, embedded.Config{Dir: dir})
	for file, mode := range map[string]os.FileMode{
		dir: 0o700 | os.ModeDir, filepath.Join(dir, "keys.json"): 0o600,
		s.CredsFile(behalf.Development): 0o600, s.CredsFile(behalf.Production): 0o600,
	} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v", filepath.Base(file), info.Mode())
		}
	}
}

func TestWhatCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	damaged, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	for name, data := range map[string]string{filepath.Join(damaged, "keys.json"): "{}", file: ""} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		cfg  embedded.Config
		kind fault.Kind
		says string
	}{
		"an address without a port": {embedded.Config{Dir: t.TempDir(), Addr: "127.0.0.1"}, fault.Invalid, "host:port"},
		"a port that is no number":  {embedded.Config{Dir: t.TempDir(), Addr: "127.0.0.1:nats"}, fault.Invalid, "number"},
		"a damaged folder":          {embedded.Config{Dir: damaged}, fault.Invalid, "damaged"},
		"a file for a folder":       {embedded.Config{Dir: file}, fault.Invalid, "cannot make"},
		"a port that is taken":      {embedded.Config{Dir: t.TempDir(), Addr: taken.Addr().String()}, fault.Unavailable, taken.Addr().String()},
		"another's address":         {embedded.Config{Dir: t.TempDir(), Addr: "192.0.2.1:4222"}, fault.Unavailable, "192.0.2.1:4222"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			c.cfg.ReadyTimeout = time.Minute
			s, err := embedded.Start(c.cfg)
			if err == nil {
				s.Close()
			}
			if took := time.Since(began); took > c.cfg.ReadyTimeout/2 { // it must not go on trying
				t.Errorf("it took %s", took)
			}
			if !fault.Is(err, c.kind) || !strings.Contains(fault.Safe(err), c.says) {
				t.Fatalf("the error is %v", err)
			}
		})
	}
}
