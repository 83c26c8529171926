package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/sandbox"
	"github.com/behalf-dev/behalf/worker"
)

// workerFlags are those of `behalf worker`.
type workerFlags struct {
	env           string
	slots         int
	ackWait       time.Duration
	unsafe        bool
	credentials   credentialFlags
	appURLs       []string
	allowLoopback bool
	appsDir       string
}

func newWorker(w world) *cobra.Command {
	var f workerFlags
	cmd := &cobra.Command{
		Use: "worker --env ENVIRONMENT", Short: "Take events of one environment and run their steps", Args: cobra.NoArgs,
		Long: "Worker takes events of one environment, fetches the credentials of each event's user, runs the steps and journals\n" +
			"what happened. Until steps have a network gate of their own, it runs code only when told --unsafe-no-sandbox.",
		RunE: func(cmd *cobra.Command, _ []string) error { return over(serveWorker(cmd.Context(), w, f)) },
	}
	cmd.Flags().StringVar(&f.env, "env", w.env("BEHALF_ENV", ""), "environment, development or production")
	cmd.Flags().IntVar(&f.slots, "slots", 32, "runs executed at once")
	cmd.Flags().DurationVar(&f.ackWait, "ack-wait", 30*time.Second, "how long an event may be held without a sign of life, as provision was told")
	cmd.Flags().BoolVar(&f.unsafe, "unsafe-no-sandbox", false, "run code steps although they share this machine's network")
	cmd.Flags().StringArrayVar(&f.appURLs, "app-url", nil, "SLUG=URL sends an app's calls elsewhere; refused outside of dev")
	cmd.Flags().BoolVar(&f.allowLoopback, "allow-loopback", false, "let actions reach servers of this machine; refused outside of dev")
	addApps(cmd, w, &f.appsDir)
	f.credentials.add(cmd, w)
	envFlag(cmd, w, "slots", "BEHALF_SLOTS")
	envFlag(cmd, w, "ack-wait", "BEHALF_ACK_WAIT")
	return cmd
}

// ofDev refuses what only dev may be told. Errors: Invalid.
func (f workerFlags) ofDev() error {
	switch {
	case len(f.appURLs) > 0:
		return fault.New(fault.Invalid, "cli.worker", "--app-url is for `behalf dev` only")
	case f.allowLoopback:
		return fault.New(fault.Invalid, "cli.worker", "--allow-loopback is for `behalf dev` only")
	}
	return nil
}

func serveWorker(ctx context.Context, w world, f workerFlags) error {
	env, err := behalf.ParseEnvironment(f.env)
	if err != nil {
		return hinted{fault.New(fault.Invalid, "cli.worker", "say which environment this worker serves"), "behalf worker --env development"}
	}
	if err := f.ofDev(); err != nil {
		return err
	}
	s, err := readSettings(w, []behalf.Environment{env}, "")
	if err != nil {
		return err
	}
	apps, err := workerApps(f.appsDir)
	if err != nil {
		return err
	}
	reg, log := newRegistry(), w.logger()
	all, err := openAll(ctx, s, "worker", bus.Config{Registerer: reg, AckWait: f.ackWait}, log)
	if err != nil {
		return err
	}
	defer all.close()
	credentials, err := f.credentials.open(ctx, w, s.dataDir, all, reg)
	if err != nil {
		return err
	}

	// What stands below goes on until every run is settled.
	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	if err := all.keep(ctx, below, group); err != nil {
		return err
	}
	pool := sandbox.New(ctx, sandbox.Config{Node: s.node, Max: f.slots}, log)
	group.Go(func() error { return pool.Run(below) })
	if s.metricsAddr != "" {
		group.Go(func() error {
			return metricsServer(below, s.metricsAddr, reg, both(all.readiness(ctx), credentials.ready), log)
		})
	}
	credentials.keep(below, group)
	runner, err := runnerOf(guests{pool, refusalOf(f.unsafe)}, apps, calls(reach(practiceURLs())))
	if err != nil {
		return err
	}
	cached := all.remember(below, group, credentials)
	fresh := refreshing{credentials, cached, apps, testClients(), calls(reach(practiceURLs())), reg, true}.of(all[env], log)
	group.Go(func() error { return fresh.Run(below) })
	worker, source := workerOf(worker.Config{Slots: f.slots, Registerer: reg}, all[env], stepAuth{fresh, apps}, stepVariables{env, cached}, runner, log)
	group.Go(func() error { return all[env].follow(ctx, source, log) })
	log.Info().Str("environment", string(env)).Str("tier", string(pool.Tier())).Msg("worker takes events")
	group.Go(func() error {
		defer stop()
		return worker.Run(ctx)
	})
	return group.Wait()
}

// workerApps are the catalogue, with the addresses that a test may have given it.
func workerApps(dir string) (app.Catalog, error) {
	apps, err := loadApps(dir)
	if err != nil {
		return apps, err
	}
	return elsewhere(apps, practiceURLs())
}

// refusalOf says why code steps are not run outside of dev.
func refusalOf(unsafe bool) string {
	if unsafe {
		return ""
	}
	return "this worker refuses code steps: they would share its network, which has no gate yet; --unsafe-no-sandbox runs them all the same"
}
