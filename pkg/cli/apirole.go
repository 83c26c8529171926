package cli

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/web"
)

// apiFlags are those of `behalf api`.
type apiFlags struct {
	credentials credentialFlags
	certificate tlsFlags
	appsDir     string
}

func newAPI(w world) *cobra.Command {
	var f apiFlags
	cmd := &cobra.Command{
		Use: "api", Short: "Serve the REST API: tokens, deploys, runs, users, accounts", Args: cobra.NoArgs,
		Long: "API serves at BEHALF_ADDR (127.0.0.1:8090). It alone signs tokens, and it runs no code of users.",
		RunE: func(cmd *cobra.Command, _ []string) error { return over(serveAPI(cmd.Context(), w, f)) },
	}
	addApps(cmd, w, &f.appsDir)
	f.credentials.add(cmd, w)
	f.certificate.add(cmd, w)
	return cmd
}

func serveAPI(ctx context.Context, w world, flags apiFlags) error {
	s, apps, err := readAPI(w, flags)
	if err != nil {
		return err
	}
	reg, log := newRegistry(), w.logger()
	secure, err := flags.certificate.open(log)
	if err != nil {
		return err
	}
	all, err := openAll(ctx, s, "api", bus.Config{Registerer: reg}, log)
	if err != nil {
		return err
	}
	defer all.close()
	credentials, err := flags.credentials.open(ctx, w, s.dataDir, all, reg)
	if err != nil {
		return err
	}

	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	if err := all.keep(ctx, below, group); err != nil {
		return err
	}
	credentials.keep(below, group)
	signing, err := keepSigning(ctx, group, all, credentials, log)
	if err != nil {
		return err
	}
	if err := all.refresh(below, group, refreshing{
		credentials: credentials, cached: all.remember(below, group, credentials), apps: apps, shipped: testClients(), client: calls(reach(practiceURLs())), reg: reg,
	}, log); err != nil {
		return err
	}
	server, pages, err := apiWithPages(s, web.ServerConfig{TLS: secure}, roleDeps{
		all: all, credentials: credentials, signer: signing, ready: both(all.ready, signing.ready), apps: apps, reg: reg,
	}, log)
	if err != nil {
		return err
	}
	defer pages.Wait()
	ln, err := listen(ctx, s.addr)
	if err != nil {
		return err
	}
	log.Info().Str("addr", ln.Addr().String()).Msg("api serves")
	group.Go(func() error {
		return apiMetrics(below, s.metricsAddr, reg, both(all.readiness(ctx), signing.ready), log)
	})
	group.Go(func() error {
		defer stop()
		return server.Run(ctx, ln)
	})
	return group.Wait()
}

// readAPI reads what an API is told, and the catalogue.
func readAPI(w world, flags apiFlags) (roleSettings, app.Catalog, error) {
	environments, err := environmentsOf(w)
	if err != nil {
		return roleSettings{}, app.Catalog{}, err
	}
	s, err := readSettings(w, environments, "127.0.0.1:8090")
	if err != nil {
		return roleSettings{}, app.Catalog{}, err
	}
	apps, err := loadApps(flags.appsDir)
	return s, apps, err
}

// apiMetrics serves metrics where an address is given, and else nothing.
func apiMetrics(ctx context.Context, addr string, reg *prometheus.Registry, ready func() []string, log zerolog.Logger) error {
	if addr == "" {
		return nil
	}
	return metricsServer(ctx, addr, reg, ready, log)
}

// apiWithPages puts the API together, with the pages beside it on which users connect accounts.
func apiWithPages(s roleSettings, server web.ServerConfig, deps roleDeps, log zerolog.Logger) (*api.API, *connect.Server, error) {
	pages := pagesOf(connect.Config{URL: s.apiURL, Proxies: s.proxies}, deps, egress.Config{}, log)
	deps.pages = pages
	made, err := apiOf(api.Config{
		URL: strings.TrimRight(s.apiURL, "/"), Links: api.Links{IngressURL: s.ingressURL, WorkflowDomain: s.workflowDomain}, Proxies: s.proxies,
		Server: server,
	}, deps, log)
	return made, pages, err
}
