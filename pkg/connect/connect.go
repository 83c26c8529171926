// Package connect is the pages on which an end user connects an account: a consent at the service, or a form for its keys.
//
// It never takes a word of a browser for who the user is, the connect token alone says that; never sends a browser to an
// address that is not the token's own, and never shows or logs a credential.
package connect

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Config tunes a Server. Only URL must be given.
type Config struct {
	// URL is where browsers find these pages, without a slash at its end.
	URL string
	// Also are more such addresses, as of another scheme. A consent comes back to the one where it began.
	Also []string
	// ConsentTime is how long a user may take at the service.
	//
	// Defaults to 15 minutes.
	ConsentTime time.Duration
	// PerAddress bounds the requests of one address.
	//
	// Defaults to 10 a second, 120 at once.
	PerAddress web.Rate
	// Proxies are the peers whose X-Forwarded headers are believed. The zero value believes nobody.
	Proxies web.Proxies
	// Now tells the time.
	//
	// Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.ConsentTime = cmp.Or(c.ConsentTime, 15*time.Minute)
	c.PerAddress = cmp.Or(c.PerAddress, web.Rate{PerSecond: 10, Burst: 120})
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Deps are what the pages stand on.
type Deps struct {
	// Environments are those that are served: a connect token does not say its own.
	Environments map[behalf.Environment]Env
	Apps         Apps
	Clients      Clients
	// HTTP speaks with services and webhooks. It must go through pkg/egress.
	HTTP       *http.Client
	Registerer prometheus.Registerer
	Log        zerolog.Logger
}

// Env is what the pages stand on in one environment.
type Env struct {
	Tokens      Tokens
	Accounts    Accounts
	Credentials credential.Store
}

// Tokens are connect tokens, and consents under way. Errors: NotFound, also for what has ended; Conflict; Unavailable.
type Tokens interface {
	ConnectToken(ctx context.Context, hash string) (behalf.ConnectToken, uint64, error)
	PutConnectToken(ctx context.Context, t behalf.ConnectToken, revision uint64) (uint64, error)
	PutConsent(ctx context.Context, c behalf.Consent) error
	// TakeConsent reads a consent and removes it: of several who take it, one has it.
	TakeConsent(ctx context.Context, hash string) (behalf.Consent, error)
}

// Accounts are the accounts of users, without their credentials. To put the first one of a user makes the user.
type Accounts interface {
	// User finds whose they are. Errors: NotFound, Unavailable.
	User(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error)
	Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
	FindAccount(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, uint64, error)
	PutAccount(ctx context.Context, a behalf.Account, revision uint64) error
}

// Apps is the catalogue.
type Apps interface {
	App(slug behalf.AppSlug) (app.App, bool)
}

// Clients are OAuth clients at services.
type Clients interface {
	// Client finds the project's own of this id, or for no id the one that is shipped. Errors: NotFound, Unavailable.
	Client(ctx context.Context, project behalf.ProjectID, env behalf.Environment, slug behalf.AppSlug, id behalf.OAuthAppID) (oauth.Registration, error)
	// Own lists the project's own clients.
	Own(ctx context.Context, project behalf.ProjectID, env behalf.Environment) ([]behalf.OAuthApp, error)
}

// The paths of the pages. Where services send browsers back is behalf.CallbackPath.
const (
	entryPath  = "/_static/connect.html"
	startPath  = "/connect/start"
	keysPath   = "/connect/keys"
	statusPath = "/connect/status"
)

// Server serves the pages.
type Server struct {
	cfg     Config
	deps    Deps
	mux     *http.ServeMux
	handler http.Handler
	views   *views
	metrics *metrics
	limiter *web.Limiter
	hooks   errgroup.Group
}

// maxHooks is how many webhooks are told at once. What is above it is not told.
const maxHooks = 32

// New makes the pages. Wait must be called in the end.
func New(cfg Config, deps Deps) *Server {
	cfg = cfg.withDefaults()
	deps.Log = deps.Log.With().Str("component", "connect").Logger()
	s := &Server{
		cfg: cfg, deps: deps, mux: http.NewServeMux(), views: newViews(), metrics: newMetrics(deps.Registerer),
		limiter: web.NewLimiter(cfg.PerAddress),
	}
	s.hooks.SetLimit(maxHooks)
	s.handle("GET "+entryPath, s.entry)
	s.handle("POST "+startPath, s.start)
	s.handle("GET "+behalf.CallbackPath, s.callback)
	s.handle("POST "+keysPath, s.keys)
	s.handle("POST "+statusPath, s.status)
	s.handler = web.Catch(deps.Log, s.fromHere(s.mux))
	return s
}

// fromHere refuses forms of other sites, whatever they know.
func (s *Server) fromHere(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s.fail(w, nil, foreignForm()) }))
	return protection.Handler(next)
}

// handle serves a route: its errors are shown as pages.
func (s *Server) handle(pattern string, serve func(w http.ResponseWriter, r *http.Request) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if wait := s.limiter.Take(web.AddressKey(s.cfg.Proxies.Client(r))); wait > 0 {
			s.fail(w, nil, tooOften())
			return
		}
		if err := serve(w, r); err != nil {
			s.fail(w, nil, err)
		}
	})
}

// maxForm bounds a form, in bytes.
const maxForm = 128 << 10

// Serves says whether a path is that of one of these pages.
func (s *Server) Serves(path string) bool {
	return path == entryPath || strings.HasPrefix(path, "/connect/")
}

// ServeHTTP serves the pages.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Wait waits until every webhook that has to be told is told, or failed. It takes at most webhookTimeout.
func (s *Server) Wait() { _ = s.hooks.Wait() }
