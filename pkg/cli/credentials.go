package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
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

// open opens the credential store that the flags name.
func (f credentialFlags) open(ctx context.Context, dataDir string, all byEnvironment) (credential.Store, error) {
	switch {
	case f.kind == "sealed" && f.allowSealed:
		return openSealed(ctx, dataDir, all)
	case f.kind == "sealed":
		return nil, hinted{fault.New(fault.Invalid, "cli.credentials", "the sealed store is for development: its key is a file of this machine"), "pass --allow-sealed to use it all the same"}
	case f.kind == "vault":
		return nil, hinted{fault.New(fault.Invalid, "cli.credentials", "Vault comes in the next release"), "set BEHALF_CREDENTIALS=sealed and pass --allow-sealed"}
	}
	return nil, fault.New(fault.Invalid, "cli.credentials", fmt.Sprintf("credentials must be vault or sealed, not %q", f.kind))
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
