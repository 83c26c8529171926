package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/migrate"
	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newCredentials(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "credentials", Short: "Move credentials from one store to another", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCredentialsMigrate(w))
	return cmd
}

// migrateFlags are those of `behalf credentials migrate`.
type migrateFlags struct {
	from, to string
	json     bool
	patience time.Duration
	cfg      migrate.Config
}

func newCredentialsMigrate(w world) *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use: "migrate --from sealed --to vault", Short: "Copy everything of the sealed store into Vault", Args: cobra.NoArgs,
		Long: "Migrate copies the credentials of accounts, the secrets of OAuth clients, the values of environment variables and the\n" +
			"key that signs tokens into Vault, and reads each back. It deletes nothing. After a crash or a failure run it again: what\n" +
			"is in Vault already stays as it is.\n\n" +
			"Stop API and workers first, so that nothing changes on its way; the ingress goes on accepting, and events wait. Then start\n" +
			"them with BEHALF_CREDENTIALS=vault.\n\n" +
			"One outcome a credential: moved, same (it was there), replaced (Vault's was older), kept (Vault's is newer, or differs and\n" +
			"nobody can tell), gone (deleted meanwhile) or failed. It shows neither values nor users.\n\n" +
			"NATS, the data folder with sealed.key, Vault and the login are named by the variables of `behalf api`; the login needs the\n" +
			"rights of the API in each environment. Without BEHALF_NATS_URL it moves those of the `behalf dev` that runs here.",
		Example: "  behalf credentials migrate --from sealed --to vault --dry-run\n  behalf credentials migrate --from sealed --to vault --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return migrateCredentials(cmd.Context(), w, f) },
	}
	cmd.Flags().StringVar(&f.from, "from", "", "the store to copy from: sealed")
	cmd.Flags().StringVar(&f.to, "to", "", "the store to copy into: vault")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one outcome a line, as JSON")
	cmd.Flags().BoolVar(&f.cfg.DryRun, "dry-run", false, "say what would become of each, and write nothing")
	cmd.Flags().BoolVar(&f.cfg.Overwrite, "overwrite", false, "put the sealed value in place of Vault's wherever they differ, also where Vault's is newer")
	cmd.Flags().IntVar(&f.cfg.Parallel, "parallel", 8, "so many credentials at the same time, at most 64")
	cmd.Flags().DurationVar(&f.patience, "patience", 30*time.Second, "how long to go on while Vault or NATS is away for a moment")
	return cmd
}

// check refuses what was typed wrong.
func (f *migrateFlags) check() error {
	switch {
	case f.from != "sealed" || f.to != "vault":
		return hinted{fault.New(fault.Invalid, "cli.migrate", "credentials move from the sealed store to Vault, and no other way"), "behalf credentials migrate --from sealed --to vault"}
	case f.cfg.Parallel < 1 || f.cfg.Parallel > 64:
		return fault.New(fault.Invalid, "cli.migrate", "--parallel must be 1 to 64")
	case f.patience <= 0:
		return fault.New(fault.Invalid, "cli.migrate", "--patience must be a duration such as 30s")
	}
	f.cfg.Patience = f.patience
	f.cfg.Hopeless = vault.Refused
	return nil
}

func migrateCredentials(ctx context.Context, w world, f migrateFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	w = orDev(w)
	environments, err := environmentsOf(w)
	if err != nil {
		return err
	}
	s, err := readSettings(w, environments, "")
	if err != nil {
		return err
	}
	log := w.logger().Level(zerolog.WarnLevel) // the rest is for roles, which nobody watches
	all, err := openAll(ctx, s, "migrate", bus.Config{}, log)
	if err != nil {
		return err
	}
	defer all.close()
	keyFile := filepath.Join(s.dataDir, "sealed.key")
	from, err := existingSealed(keyFile, all)
	if err != nil {
		return err
	}
	m := mover{world: w, flags: f, environments: environments, counts: make(map[migrate.Result]int)}
	if err := withVault(ctx, w, log, func(ctx context.Context, store credential.Store) error {
		return m.run(ctx, from, announced(store, all))
	}); err != nil {
		return err
	}
	m.conclude(keyFile)
	return nil
}

// orDev has the file of `behalf dev` say where NATS is, where nothing else does.
func orDev(w world) world {
	file, err := readDevFile(w.env("BEHALF_DATA_DIR", defaultDataDir))
	if err != nil || file.NATSURL == "" || w.env("BEHALF_NATS_URL", "") != "" {
		return w
	}
	values := maps.Clone(w.config.values)
	if values == nil {
		values = map[string]string{}
	}
	values["BEHALF_NATS_URL"] = file.NATSURL
	for env, creds := range file.NATSCreds {
		if w.env(credsVariable(env), "") == "" {
			values[credsVariable(env)] = creds
		}
	}
	w.config.values = values
	return w
}

func existingSealed(keyFile string, all byEnvironment) (*credential.Sealed, error) {
	buckets := make(map[behalf.Environment]credential.Bucket, len(all))
	for env, p := range all {
		buckets[env] = p.store.Sealed()
	}
	from, err := credential.ExistingSealed(keyFile, buckets)
	if err != nil {
		return nil, hinted{err, "BEHALF_DATA_DIR names the data folder whose sealed.key the credentials were sealed with"}
	}
	return from, nil
}

// withVault does something while it is logged in to Vault. Errors: Unavailable, with why there is no login.
func withVault(ctx context.Context, w world, log zerolog.Logger, do func(context.Context, credential.Store) error) error {
	cfg, err := readVault(w)
	if err != nil {
		return err
	}
	if cfg.Login.Method == vault.Token && cfg.Login.File == "" && cfg.Login.Given.IsZero() {
		cfg.Login.File = loggedIn(w)
	}
	store, err := vault.New(cfg, log.Level(zerolog.Disabled)) // what is wrong is told by the error
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return store.Run(ctx) })
	defer func() {
		stop()
		_ = group.Wait() // it ends because it was told to
	}()
	select {
	case <-store.Tried():
	case <-ctx.Done():
		return fault.Wrap(fault.Canceled, "cli.migrate", ctx.Err())
	}
	if why := store.Ready(); why != nil {
		return hinted{fault.New(fault.Unavailable, "cli.migrate", strings.Join(why, "; ")), "VAULT_ADDR says where Vault is, VAULT_TOKEN or BEHALF_VAULT_AUTH who we are; run the same again when it works"}
	}
	return do(ctx, store)
}

// mover tells of a migration.
type mover struct {
	world        world
	flags        migrateFlags
	environments []behalf.Environment
	counts       map[migrate.Result]int
	undecided    int
	said         time.Time
}

func (m *mover) run(ctx context.Context, from migrate.Source, to credential.Store) error {
	migration := migrate.New(m.flags.cfg, from, to)
	for _, env := range m.environments {
		if err := migration.Environment(ctx, env, m.report); err != nil {
			return m.broken(err)
		}
	}
	m.summary()
	if n := m.counts[migrate.Failed]; n > 0 {
		return hinted{fault.Newf(fault.Conflict, "cli.migrate", "%d credentials were not moved", n), "mend those and run the same again: what is in Vault stays as it is"}
	}
	return nil
}

// broken says of a migration that was cut off how far it came, and what to do.
func (m *mover) broken(err error) error {
	m.summary()
	switch {
	case fault.Is(err, fault.Invalid):
		return hinted{err, "BEHALF_DATA_DIR names the data folder whose sealed.key the credentials were sealed with"}
	case vault.Refused(err):
		return hinted{err, "the login needs the rights of the API in each environment: the policies api-development and api-production"}
	case fault.Is(err, fault.Canceled) && errors.Is(err, context.Canceled):
		err = fault.New(fault.Canceled, "cli.migrate", "interrupted before everything was moved")
	}
	return hinted{err, "run the same again: what is in Vault stays as it is"}
}

func (m *mover) report(o migrate.Outcome, done, total int) {
	m.counts[o.Result]++
	if o.Result == migrate.Kept && o.Reason != "newer" {
		m.undecided++
	}
	switch {
	case m.flags.json:
		_ = printJSON(m.world, o) // strings: there is nothing that cannot be encoded
	case o.Result != migrate.Moved && o.Result != migrate.Same:
		m.world.printf("%s\t%s\t%s\n", o.Result, o.Path, o.Reason+o.Error)
	}
	if now := time.Now(); done == total || now.Sub(m.said) >= time.Second {
		m.said = now
		m.tell("%s: %d of %d\n", o.Environment, done, total)
	}
}

// tell says something beside the data.
func (m *mover) tell(format string, args ...any) { _, _ = fmt.Fprintf(m.world.stderr, format, args...) }

// summary counts what became of everything so far.
func (m *mover) summary() {
	var parts []string
	for _, r := range []migrate.Result{migrate.Moved, migrate.Replaced, migrate.Same, migrate.Kept, migrate.Gone, migrate.Failed} {
		parts = append(parts, fmt.Sprintf("%d %s", m.counts[r], r))
	}
	text := strings.Join(parts, ", ")
	if m.flags.cfg.DryRun {
		text += "; nothing was written, for --dry-run"
	}
	if m.flags.json {
		m.tell("%s\n", text)
		return
	}
	m.world.printf("%s\n", text)
}

// conclude says what there is left to do.
func (m *mover) conclude(keyFile string) {
	if m.undecided > 0 {
		m.tell("%d are another in Vault, and nobody can tell which is newer: Vault's stay; --overwrite puts the sealed ones in their place\n", m.undecided)
	}
	if !m.flags.cfg.DryRun {
		m.tell("now start API and workers with BEHALF_CREDENTIALS=vault; once they serve, delete %s, and nobody can open what is left in NATS\n", keyFile)
	}
}
