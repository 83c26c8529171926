package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/ingress"
	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/pkg/web"
	"github.com/behalf-dev/behalf/worker"
)

// ingressOf puts an ingress together.
func ingressOf(cfg ingress.Config, all byEnvironment, reg prometheus.Registerer, log zerolog.Logger) *ingress.Server {
	verifier := all.verifier()
	envs := make(map[behalf.Environment]ingress.Env, len(all))
	for env, p := range all {
		envs[env] = ingress.Env{
			Bus: publisher{p.bus}, Endpoints: p.store, Users: p.store, Verifier: verifier, Journal: p.journal, Triggers: p.store, Tests: p.bus,
			Files: p.files, Ready: p.store.Ready(),
		}
	}
	return ingress.New(cfg, envs, log, reg)
}

// roleDeps are what an API is put together from.
type roleDeps struct {
	all         byEnvironment
	credentials credential.Store
	signer      api.Signer
	ready       func() []string
	apps        app.Catalog
	reg         prometheus.Registerer
	// shipped are the OAuth clients that come with us.
	shipped map[behalf.AppSlug]oauth.Registration
	// pages are those beside the API.
	pages *connect.Server
}

// apiOf puts an API together.
func apiOf(cfg api.Config, d roleDeps, log zerolog.Logger) (*api.API, error) {
	load, err := loader(d.apps)
	if err != nil {
		return nil, err
	}
	shown, err := newCatalogView(d.apps)
	if err != nil {
		return nil, err
	}
	return api.New(cfg, api.Deps{
		Environments: apiEnvironments(d.all, d.credentials), Verifier: d.all.verifier(), Signer: d.signer, Apps: d.apps,
		Catalog: shown, Load: load, Pages: d.pages, Connector: connector{d.pages}, Render: ingress.Render, Ready: d.ready, Registerer: d.reg, Log: log,
	}), nil
}

func apiEnvironments(all byEnvironment, credentials credential.Store) map[behalf.Environment]api.Env {
	envs := make(map[behalf.Environment]api.Env, len(all))
	for env, p := range all {
		secrets := &accountSecrets{env: env, credentials: credentials, fresh: p.fresh}
		envs[env] = api.Env{
			Workflows: records{p.store}, Endpoints: records{p.store}, Versions: p.store, Users: records{p.store},
			Accounts: records{p.store}, Clients: records{p.store},
			Runs: runs{p.journal}, Credentials: secrets, Secrets: secrets, Eraser: eraser{p.journal},
			Variables: variables{credential.NewVariables(env, credentials, variableNames{p.store})},
			Operator:  operator{p.operator, p.journal}, Letters: p.operator, Events: p.operator,
			ConnectStores: api.ConnectStores{
				ConnectTokens: connectRecords{p.store}, OAuthApps: connectRecords{p.store}, OAuthSecrets: oauthSecrets{env, credentials},
			},
		}
	}
	return envs
}

// runnerOf puts together what runs steps: guests for code, and a client for actions.
func runnerOf(g guests, apps app.Catalog, client *http.Client) (*step.Runner, error) {
	actions, err := action.Standard(apps)
	if err != nil {
		return nil, err
	}
	return step.New(g, actions, client), nil
}

// workerOf puts the worker of one environment together. Its source has to be told of projects: see follow.
func workerOf(cfg worker.Config, p *parts, credentials worker.Credentials, variables worker.Variables, runner worker.Runner, log zerolog.Logger) (*worker.Worker, *bus.Source) {
	cfg.Environment = p.env
	cfg.Name = cmp.Or(cfg.Name, workerName())
	cfg.Points = failpoints()
	source := p.bus.Source(cfg.Slots)
	return worker.New(cfg, worker.Deps{
		Source: source, Bus: p.bus, Journal: p.journal, Store: p.store, Files: p.files, Credentials: credentials, Variables: variables, Runner: runner, Stops: p.bus,
	}, log), source
}

// workerName tells two workers apart, also of one machine.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), string(behalf.NewClientID())[4:10])
}

// metricsServer serves /metrics, profiles, and health where nothing else does.
func metricsServer(ctx context.Context, addr string, gatherer prometheus.Gatherer, ready func() []string, log zerolog.Logger) error {
	ln, err := listen(ctx, addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	mux.Handle("GET /healthz", web.Healthz())
	mux.Handle("GET /readyz", web.Readyz(ready))
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.Handle("GET /debug/pprof/heap", pprof.Handler("heap"))
	mux.Handle("GET /debug/pprof/goroutine", pprof.Handler("goroutine"))
	return web.Serve(ctx, ln, mux, web.ServerConfig{Log: log})
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, hinted{fault.Newf(fault.Unavailable, "cli.listen", "cannot listen at %s", addr).Because(err), "is another Behalf running? BEHALF_ADDR and BEHALF_METRICS_ADDR choose other ports"}
	}
	return ln, nil
}

// newRegistry has the figures of the process and the runtime.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// over drops the error that says no more than that we were told to stop.
func over(err error) error {
	if errors.Is(err, context.Canceled) || fault.Is(err, fault.Canceled) {
		return nil
	}
	return err
}
