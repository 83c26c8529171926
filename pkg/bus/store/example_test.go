package store_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func ExampleStore() {
	if err := deployed(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// one at revision 1
	// conflict
	// no such endpoint
}

func deployed(ctx context.Context) error {
	nc, stop, err := freshServer()
	if err != nil {
		return err
	}
	defer stop()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for _, cfg := range store.Buckets(behalf.Production, 1) { // the provisioner's work
		if _, err := js.CreateOrUpdateKeyValue(ctx, cfg); err != nil {
			return err
		}
	}
	if _, err := js.CreateOrUpdateObjectStore(ctx, store.ObjectStore(behalf.Production, 1)); err != nil {
		return err
	}
	for _, cfg := range bus.ObjectStreams(behalf.Production, bus.Layout{}) {
		if _, err := js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	s, err := store.New(ctx, nc, behalf.Production, store.Config{}, zerolog.Nop())
	if err != nil {
		return err
	}

	revision, err := s.PutEndpoint(ctx, behalf.Endpoint{ID: "enabc", Project: "proj_acme", Workflow: "p_one", Name: "one"}, 0)
	if err != nil {
		return err
	}
	e, err := s.Endpoint(ctx, "ENABC")
	fmt.Println(e.Name, "at revision", revision)
	_, conflict := s.PutEndpoint(ctx, e, 0) // somebody made it already
	fmt.Println(fault.KindOf(conflict))
	_, miss := s.Endpoint(ctx, "enxyz")
	fmt.Println(fault.Safe(miss))
	return err
}

func freshServer() (*nats.Conn, func(), error) {
	dir, err := os.MkdirTemp("", "behalf")
	if err != nil {
		return nil, nil, err
	}
	ns, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true})
	if err != nil {
		return nil, nil, err
	}
	ns.Start()
	nc, err := nats.Connect(nats.DefaultURL, nats.InProcessServer(ns))
	return nc, func() {
		nc.Close()
		ns.Shutdown()
		ns.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}, err
}
