// Package provision makes all that one environment needs on its NATS: streams, buckets and the consumers of projects.
//
// It never runs beside traffic by itself: `behalf provision`, `behalf dev` and tests call it, and workers never do.
package provision

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Environment makes streams and buckets, or brings them to this layout. It may be repeated at will. Errors: Unavailable;
// Exhausted, where NATS has too little storage.
func Environment(ctx context.Context, conn *bus.Conn, env behalf.Environment, layout bus.Layout) error {
	if err := bus.Provision(ctx, conn, env, layout); err != nil {
		return err
	}
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		return fault.Wrap(fault.Internal, "provision.Environment", err)
	}
	replicas := max(1, layout.Replicas)
	for _, cfg := range store.Buckets(env, replicas) {
		if err := bucket(ctx, js, cfg); err != nil {
			return bus.Refused(ctx, js, env, layout, "bucket "+cfg.Bucket, err)
		}
	}
	if err := objects(ctx, js, store.ObjectStore(env, replicas)); err != nil {
		return bus.Refused(ctx, js, env, layout, "object store "+subject.Objects(env), err)
	}
	return nil
}

// bucket leaves one that is there as it is where the server has less storage than it has reserved already: it refuses
// any change then, and the bucket serves as before.
func bucket(ctx context.Context, js jetstream.JetStream, cfg jetstream.KeyValueConfig) error {
	_, err := js.CreateOrUpdateKeyValue(ctx, cfg)
	if !bus.NoRoom(err) {
		return err
	}
	if _, missing := js.KeyValue(ctx, cfg.Bucket); missing != nil {
		return err
	}
	return nil
}

// objects does the same with an object store.
func objects(ctx context.Context, js jetstream.JetStream, cfg jetstream.ObjectStoreConfig) error {
	_, err := js.CreateOrUpdateObjectStore(ctx, cfg)
	if !bus.NoRoom(err) {
		return err
	}
	if _, missing := js.ObjectStore(ctx, cfg.Bucket); missing != nil {
		return err
	}
	return nil
}

// Project makes a project's consumers, and only then the project: whoever sees it can take its events. It may be
// repeated at will. Errors: Invalid, Unavailable.
func Project(ctx context.Context, conn *bus.Conn, projects *store.Store, env behalf.Environment, id behalf.ProjectID, layout bus.Layout) error {
	if err := bus.ProvisionProject(ctx, conn, env, id, layout); err != nil {
		return err
	}
	_, err := projects.PutProject(ctx, store.Project{ID: id, CreatedAt: time.Now().UTC()}, 0)
	if fault.Is(err, fault.Conflict) {
		return nil // it is there already
	}
	return err
}
