// Package provision makes all that one environment needs on its NATS: streams, buckets and the consumers of projects.
//
// It never runs beside traffic by itself: `behalf provision`, `behalf dev` and tests call it, and workers never do.
package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Environment makes streams and buckets, or brings them to this layout. It may be repeated at will. Errors: Unavailable.
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
		if _, err := js.CreateOrUpdateKeyValue(ctx, cfg); err != nil {
			return fault.Wrap(fault.Unavailable, "provision.Environment", fmt.Errorf("bucket %s: %w", cfg.Bucket, err))
		}
	}
	objects := store.ObjectStore(env, replicas)
	if _, err := js.CreateOrUpdateObjectStore(ctx, objects); err != nil {
		return fault.Wrap(fault.Unavailable, "provision.Environment", fmt.Errorf("object store %s: %w", objects.Bucket, err))
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
