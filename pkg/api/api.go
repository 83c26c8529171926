// Package api is the REST API: tokens for backends, deploys, runs and their results, users and their accounts.
//
// It never runs user code, never hands a credential out, and takes the project of a call from its token alone, so that
// what is not the caller's looks like what does not exist.
package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Config tunes the API.
type Config struct {
	// DefaultEnvironment is that of a call without the header x-pd-environment.
	//
	// Defaults to production.
	DefaultEnvironment behalf.Environment
	// Links says where workflows answer.
	Links Links
	// URL is where browsers find this API and the pages beside it, without a slash at its end.
	//
	// Defaults to none: then links to the pages have no host.
	URL string
	// Proxies are the peers whose X-Forwarded-For is believed. The zero value believes nobody.
	Proxies web.Proxies
	// PerAddress bounds the requests of one address that carry no proof yet: for tokens, and for results by a result
	// token.
	//
	// Defaults to 10 a second, 120 at once.
	PerAddress web.Rate
	// PerClient bounds the tokens that one client is given.
	//
	// Defaults to 5 a second, 60 at once.
	PerClient web.Rate
	// PerUser bounds the connect tokens that are made for one user.
	//
	// Defaults to 100 a minute.
	PerUser web.Rate
	// PerStranger bounds the requests of one address whose bearer is none, or no good: what is above it is answered 429.
	// A good bearer is not counted.
	//
	// Defaults to 10 a second, 120 at once.
	PerStranger web.Rate
	// Server bounds what a client may take of the server.
	Server web.ServerConfig
}

func (c Config) withDefaults() Config {
	c.DefaultEnvironment = cmp.Or(c.DefaultEnvironment, behalf.Production)
	c.PerAddress = cmp.Or(c.PerAddress, web.Rate{PerSecond: 10, Burst: 120})
	c.PerClient = cmp.Or(c.PerClient, web.Rate{PerSecond: 5, Burst: 60})
	c.PerUser = cmp.Or(c.PerUser, web.Rate{PerSecond: 100. / 60, Burst: 100})
	c.PerStranger = cmp.Or(c.PerStranger, web.Rate{PerSecond: 10, Burst: 120})
	return c
}

// Deps are what the API stands on.
type Deps struct {
	// Environments are those that this API serves.
	Environments map[behalf.Environment]Env
	Verifier     Verifier
	Signer       Signer
	Apps         Apps
	// Catalog shows the apps and actions.
	Catalog Catalog
	// Load reads a folder of workflow files.
	Load Loader
	// Pages are those on which users connect accounts. Nil means that there are none here.
	Pages Pages
	// Connector keeps what users hand over without a page.
	Connector Connector
	// Render writes a run's result as the ingress would. Nil writes it plainly.
	Render Renderer
	// Ready tells what speaks against serving. Nil means nothing ever does.
	Ready      func() []string
	Registerer prometheus.Registerer
	Log        zerolog.Logger
}

// Verifier tells who a bearer is.
type Verifier interface {
	Verify(ctx context.Context, bearer secret.String) (behalf.Identity, error)
}

// Signer signs the token of an identity.
type Signer interface {
	Sign(id behalf.Identity) (auth.Token, error)
}

// Apps is the catalogue of services that accounts can be of.
type Apps interface {
	Known(app behalf.AppSlug) bool
}

// Pages are HTML beside the API, for browsers.
type Pages interface {
	http.Handler
	// Serves says whether a path is that of a page.
	Serves(path string) bool
}

// API serves the routes of Routes.
type API struct {
	cfg      Config
	deps     Deps
	deployer *Deployer
	metrics  *metrics
	mux      *http.ServeMux
	// byUser has the patterns of the routes for which a connect token will do.
	byUser   map[string]bool
	document func() (json.RawMessage, error)

	addresses *web.Limiter
	clients   *web.Limiter
	strangers *web.Limiter
	perUser   *web.Limiter
	draining  atomic.Bool
}

// New makes an API.
func New(cfg Config, deps Deps) *API {
	cfg = cfg.withDefaults()
	deps.Log = deps.Log.With().Str("component", "api").Logger()
	if deps.Render == nil {
		deps.Render = renderPlainly
	}
	a := &API{
		cfg: cfg, deps: deps, mux: http.NewServeMux(), byUser: map[string]bool{},
		deployer:  NewDeployer(cfg.Links, deps.Environments, deps.Load),
		metrics:   newMetrics(deps.Registerer),
		document:  sync.OnceValues(Document),
		addresses: web.NewLimiter(cfg.PerAddress),
		clients:   web.NewLimiter(cfg.PerClient),
		strangers: web.NewLimiter(cfg.PerStranger),
		perUser:   web.NewLimiter(cfg.PerUser),
	}
	for _, route := range a.routes() {
		pattern := route.Method + " " + route.Pattern
		a.mux.Handle(pattern, a.handler(route))
		a.byUser[pattern] = route.ByUser
	}
	return a
}

// Run serves until ctx ends, and lets what is under way finish, while whoever comes then is told to come again. It closes
// the listener. Where other handlers share the listener, ServeHTTP and Drain are used without it.
func (a *API) Run(ctx context.Context, ln net.Listener) error {
	cfg := a.cfg.Server
	cfg.Log = a.deps.Log
	cfg.Linger = cmp.Or(cfg.Linger, web.Linger)
	stop := context.AfterFunc(ctx, a.Drain)
	defer stop()
	return web.Serve(ctx, ln, a, cfg)
}
