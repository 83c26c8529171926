package cli

import (
	"context"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/web"
)

func newIngress(w world) *cobra.Command {
	var rates rateFlags
	var certificate tlsFlags
	cmd := &cobra.Command{
		Use: "ingress", Short: "Take requests, publish events, answer with results", Args: cobra.NoArgs,
		Long: "Ingress serves the endpoints of workflows at BEHALF_ADDR (127.0.0.1:8080). It needs NATS and nothing else:\n" +
			"it runs no code and reads no credential.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return over(serveIngress(cmd.Context(), w, rates, certificate))
		},
	}
	rates.add(cmd.Flags(), w)
	certificate.add(cmd, w)
	return cmd
}

func serveIngress(ctx context.Context, w world, rates rateFlags, certificate tlsFlags) error {
	environments, err := environmentsOf(w)
	if err != nil {
		return err
	}
	s, err := readSettings(w, environments, "127.0.0.1:8080")
	if err != nil {
		return err
	}
	cfg := ingress.Config{WorkflowDomain: s.workflowDomain, APIURL: s.apiURL, URL: s.ingressURL, Proxies: s.proxies}
	if err := rates.set(&cfg); err != nil {
		return err
	}
	reg, log := newRegistry(), w.logger()
	secure, err := certificate.open(log)
	if err != nil {
		return err
	}
	all, err := openAll(ctx, s, "ingress", bus.Config{Registerer: reg}, log)
	if err != nil {
		return err
	}
	defer all.close()
	server := ingressOf(cfg, all, reg, log)
	ln, err := listen(ctx, s.addr)
	if err != nil {
		return err
	}
	log.Info().Str("addr", ln.Addr().String()).Msg("ingress serves")

	// What stands below goes on until every caller who waits has an answer.
	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	if err := all.keep(ctx, below, group); err != nil {
		return err
	}
	if s.metricsAddr != "" {
		group.Go(func() error { return metricsServer(below, s.metricsAddr, reg, all.readiness(ctx), log) })
	}
	group.Go(func() error {
		defer stop()
		return server.Run(ctx, ln, web.ServerConfig{Log: log, TLS: secure})
	})
	return group.Wait()
}
