package store_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func serve(tb testing.TB, dir string, port int) *server.Server {
	tb.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true})
	if err != nil {
		tb.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(bustest.Patience) {
		tb.Fatal("the server does not start")
	}
	return ns
}

func tcpPort(tb testing.TB, ns *server.Server) int {
	tb.Helper()
	addr, ok := ns.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("listens on %v", ns.Addr())
	}
	return addr.Port
}

func dial(tb testing.TB, url string, again func()) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url, nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectHandler(func(*nats.Conn) { again() }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func open(tb testing.TB, nc *nats.Conn) *store.Store {
	tb.Helper()
	s, err := store.New(tb.Context(), nc, behalf.Development, store.Config{MissFor: time.Millisecond, ReadTimeout: time.Second}, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestWhatChangedBehindARestartIsSeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ns := serve(t, dir, server.RANDOM_PORT)
	url, port := ns.ClientURL(), tcpPort(t, ns)

	again := make(chan struct{}, 10)
	var reader *store.Store
	nc := dial(t, url, func() {
		reader.Reset()
		again <- struct{}{}
	})
	provision(t, nc, behalf.Development)
	reader = open(t, nc)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- reader.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}()
	<-reader.Ready()

	writer := open(t, dial(t, url, func() {}))
	kept, gone := endpoint(), endpoint()
	must[uint64](t)(writer.PutEndpoint(t.Context(), kept, 0))
	must[uint64](t)(writer.PutEndpoint(t.Context(), gone, 0))
	must[uint64](t)(writer.PutAccount(t.Context(), account(user), 0))
	must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), kept.ID))
	must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), gone.ID))
	must[[]behalf.Account](t)(reader.Accounts(t.Context(), project, user))

	for range 3 {
		ns.Shutdown()
		ns.WaitForShutdown()
		must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), kept.ID)) // the copy says yes meanwhile
		ns = serve(t, dir, port)
		// The reader may come back later than this writer, and hears of nothing until then.
		late := open(t, dial(t, url, func() {}))
		if _, err := late.EndpointFromLeader(t.Context(), gone.ID); err == nil {
			if err := late.DeleteEndpoint(t.Context(), gone.ID); err != nil {
				t.Fatal(err)
			}
		}
		must[uint64](t)(late.PutAccount(t.Context(), account(user), 0))
		want := len(must[[]behalf.Account](t)(late.AccountsFromLeader(t.Context(), project, user)))
		<-again
		bustest.Eventually(t, "the deleted endpoint is gone", func() bool {
			_, err := reader.Endpoint(t.Context(), gone.ID)
			return fault.Is(err, fault.NotFound)
		})
		bustest.Eventually(t, "the new account is there", func() bool {
			got, err := reader.Accounts(t.Context(), project, user)
			return err == nil && len(got) == want
		})
		fresh := endpoint()
		must[uint64](t)(late.PutEndpoint(t.Context(), fresh, 0))
		must[behalf.Endpoint](t)(reader.Endpoint(t.Context(), fresh.ID))
	}
	ns.Shutdown()
	ns.WaitForShutdown()
}
