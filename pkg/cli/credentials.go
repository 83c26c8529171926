package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// credentialFlags say where credentials lie.
type credentialFlags struct {
	kind        string
	allowSealed bool
}

func (f *credentialFlags) add(cmd *cobra.Command, w world) {
	cmd.Flags().StringVar(&f.kind, "credentials", w.env("BEHALF_CREDENTIALS", "vault"), "where credentials lie: vault or sealed")
	cmd.Flags().BoolVar(&f.allowSealed, "allow-sealed", false, "allow the sealed store outside of dev: its key is a file of this machine")
}

// open opens the credential store that the flags name. Errors: Invalid, with what to set.
func (f credentialFlags) open(ctx context.Context, w world, dataDir string, all byEnvironment, reg prometheus.Registerer) (safe, error) {
	switch {
	case f.kind == "sealed" && f.allowSealed:
		store, err := openSealed(ctx, dataDir, all)
		return safe{Store: announced(store, all)}, err
	case f.kind == "sealed":
		return safe{}, hinted{fault.New(fault.Invalid, "cli.credentials", "the sealed store is for development: its key is a file of this machine"), "pass --allow-sealed to use it all the same"}
	case f.kind == "vault":
		store, err := openVault(w, reg)
		if err != nil {
			return safe{}, err
		}
		return safe{Store: announced(store, all), vault: store}, nil
	}
	return safe{}, fault.New(fault.Invalid, "cli.credentials", fmt.Sprintf("credentials must be vault or sealed, not %q", f.kind))
}

// safe is where the credentials lie.
type safe struct {
	credential.Store

	vault *vault.Store // nil for the sealed store, which needs nobody
}

// keep holds the safe open until ctx ends, and waits until it was opened once or found to be away.
func (s safe) keep(ctx context.Context, group *errgroup.Group) {
	if s.vault == nil {
		return
	}
	group.Go(func() error { return s.vault.Run(ctx) })
	select {
	case <-s.vault.Tried():
	case <-ctx.Done():
	}
}

// ready says what speaks against serving.
func (s safe) ready() []string {
	if s.vault == nil {
		return nil
	}
	return s.vault.Ready()
}

// announced has every change told to the workers' memories.
func announced(store credential.Store, all byEnvironment) credential.Store {
	to := make(map[behalf.Environment]credential.Announcer, len(all))
	for env, p := range all {
		to[env] = p.bus
	}
	return credential.NewAnnounced(store, to)
}

// remember puts a memory before the store, and keeps it true until ctx ends.
func (b byEnvironment) remember(ctx context.Context, group *errgroup.Group, store credential.Store) *credential.Cached {
	cached := credential.NewCached(store, credential.CacheConfig{})
	for _, p := range b {
		p.conn.OnReconnect(cached.Reset) // what was told meanwhile was missed
		group.Go(func() error { return p.bus.CredentialChanges(ctx, cached.ForgetName) })
	}
	return cached
}

// openSealed opens the sealed store: the values in each environment's bucket, the key in the data folder.
func openSealed(ctx context.Context, dataDir string, all byEnvironment) (credential.Store, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fault.Newf(fault.Invalid, "cli.credentials", "cannot make the folder %s", dataDir).Because(err)
	}
	buckets := make(map[behalf.Environment]credential.Bucket, len(all))
	for env, p := range all {
		buckets[env] = p.store.Sealed()
	}
	return credential.OpenSealed(ctx, filepath.Join(dataDir, "sealed.key"), buckets)
}
