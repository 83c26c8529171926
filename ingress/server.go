// Package ingress turns an HTTP request into one published event, and gives its caller the result.
//
// It never runs user code, never reads a credential and never imports worker. Three things it holds: a 2xx means that
// the event is kept; a 408, 429 or 5xx of its own means that nothing was accepted; and once an event is published, or
// may have been, there is only the run's result, 202 or 409.
package ingress

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Config tunes a Server. The zero Config serves the path form only.
type Config struct {
	// WorkflowDomain is the host below which endpoints answer, without port: https://{endpoint}.{domain}.
	//
	// Defaults to none: then only /e/{endpoint} answers.
	WorkflowDomain string
	// APIURL is the public base of the API, where results are read later.
	//
	// Defaults to none: then a Location is relative.
	APIURL string
	// URL is the public base of the ingress, by which steps read files.
	//
	// Defaults to none: then the URL of a file is relative.
	URL string
	// DefaultEnvironment is that of a request which names none.
	//
	// Defaults to production.
	DefaultEnvironment behalf.Environment
	// Wait is how long a caller waits for the workflow's own answer, at most 55 seconds: clients give up after 60.
	//
	// Defaults to 30 seconds.
	Wait time.Duration
	// PublishTimeout is how long it is tried to find out whether an event was stored. A cluster that has lost a stream's
	// leader needs up to nine seconds for another (minElectionTimeout and maxElectionTimeout of nats-server are 4 and 9 s).
	//
	// Defaults to 15 seconds.
	PublishTimeout time.Duration
	// MaxEvent is how many bytes an encoded event may have. What is larger goes beside it.
	//
	// Defaults to 256 KiB.
	MaxEvent int
	// MaxBody is how many bytes a body may have, as it came and unpacked.
	//
	// Defaults to 10 MiB.
	MaxBody int
	// MaxLarge is how many bodies larger than MaxEvent may be in memory at once. Above it they are told to come again.
	//
	// Defaults to 16.
	MaxLarge int
	// Proxies are believed about the address of a caller, and the scheme and host that it used.
	//
	// Defaults to nobody.
	Proxies web.Proxies
	// Rate bounds the requests of one project in one environment. What is above it is answered 429.
	//
	// Defaults to no limit: the queues are bounded.
	Rate web.Rate
	// PublicRate bounds those of one endpoint without authentication, besides.
	//
	// Defaults to no limit.
	PublicRate web.Rate
	// StrangerRate bounds the requests of one address whose bearer is none, or no good: what is above it is answered 429.
	//
	// Defaults to 10 a second, 120 at once.
	StrangerRate web.Rate
}

const maxWait = 55 * time.Second

func (c Config) withDefaults() Config {
	c.APIURL = strings.TrimRight(c.APIURL, "/")
	c.URL = strings.TrimRight(c.URL, "/")
	c.WorkflowDomain = strings.Trim(c.WorkflowDomain, ".")
	c.DefaultEnvironment = cmp.Or(c.DefaultEnvironment, behalf.Production)
	c.Wait = min(cmp.Or(c.Wait, 30*time.Second), maxWait)
	c.PublishTimeout = cmp.Or(c.PublishTimeout, 15*time.Second)
	c.MaxEvent = cmp.Or(c.MaxEvent, 256<<10)
	c.MaxBody = cmp.Or(c.MaxBody, 10<<20)
	c.MaxLarge = cmp.Or(c.MaxLarge, 16)
	c.StrangerRate = cmp.Or(c.StrangerRate, web.Rate{PerSecond: 10, Burst: 120})
	return c
}

// Server is the HTTP handler of every endpoint.
type Server struct {
	cfg      Config
	envs     map[behalf.Environment]*environment
	log      zerolog.Logger
	metrics  *metrics
	cors     cors
	scratch  scratches
	large    chan struct{} // one for each large body in memory
	throttle throttle
	draining atomic.Bool
	healthz  http.Handler
	readyz   http.Handler
	now      func() time.Time
}

// New makes a server of these environments. A request for another one is answered as for an endpoint that is not
// deployed there. A nil registerer is allowed.
func New(cfg Config, envs map[behalf.Environment]Env, log zerolog.Logger, reg prometheus.Registerer) *Server {
	s := &Server{
		cfg: cfg.withDefaults(), envs: make(map[behalf.Environment]*environment, len(envs)),
		log: log.With().Str("component", "ingress").Logger(), metrics: newMetrics(reg), cors: newCORS(), now: time.Now,
	}
	s.large = make(chan struct{}, s.cfg.MaxLarge)
	s.throttle = newThrottle(s.cfg)
	s.healthz, s.readyz = web.Healthz(), web.Readyz(s.Lacking)
	for name, env := range envs {
		s.envs[name] = newEnvironment(name, env, s.metrics)
	}
	return s
}

// Run serves until ctx ends, then lets every caller who waits have an answer, and closes the listener. Where other
// handlers share the listener, ServeHTTP and Drain are used without it.
func (s *Server) Run(ctx context.Context, ln net.Listener, cfg web.ServerConfig) error {
	// A request that is on its way may last as long as its caller's wait; cut short it would tell nobody that it runs.
	cfg.Grace = cmp.Or(cfg.Grace, s.cfg.Wait+s.cfg.PublishTimeout+journalTimeout)
	cfg.Linger = cmp.Or(cfg.Linger, web.Linger)
	stop := context.AfterFunc(ctx, s.Drain)
	defer stop()
	return web.Serve(ctx, ln, s, cfg)
}

// Drain makes the server take nothing more: what is on its way ends well, everything new is told to come again.
func (s *Server) Drain() { s.draining.Store(true) }

// Serves says whether a request is for an endpoint, by host or by path.
func (s *Server) Serves(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/e/") || hostLabel(s.cfg.Proxies.Host(r), s.cfg.WorkflowDomain) != ""
}

// ServeHTTP serves endpoints, /healthz and /readyz.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.Serves(r):
		s.serve(w, r)
	case r.URL.Path == "/healthz":
		s.healthz.ServeHTTP(w, r)
	case r.URL.Path == "/readyz":
		s.readyz.ServeHTTP(w, r)
	default:
		s.serve(w, r) // which tells that nothing answers here
	}
}

// serve serves one request for an endpoint, and accounts for it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.metrics.inFlight.Inc()
	defer s.metrics.inFlight.Dec()
	c := &call{server: s, w: w, r: r, started: s.now(), scratch: s.scratch.take()}
	defer s.scratch.give(c.scratch)
	defer s.account(c)
	defer c.recovered()
	s.cors.set(w.Header(), r)
	if c.preflight() || c.file(r.Context()) {
		return
	}
	if err := s.invoke(r.Context(), c); err != nil {
		c.fail(err)
	}
}

// account counts and logs a request that is over.
func (s *Server) account(c *call) {
	took := s.now().Sub(c.started)
	s.metrics.request(requestKey{c.environment, c.endpoint.Workflow, cmp.Or(c.outcome, outcomeAborted)}).Inc()
	observer := s.metrics.unplaced
	if c.env != nil {
		observer = c.env.metrics.duration
	}
	observer.Observe(took.Seconds())
	if line := s.log.Debug(); line.Enabled() {
		line.Str("environment", string(c.environment)).Str("workflow", string(c.endpoint.Workflow)).Str("run", string(c.run)).
			Str("outcome", c.outcome).Int64("duration_ms", took.Milliseconds()).Msg("request")
	}
}

// Lacking says why the server does not serve. It is empty when it does.
func (s *Server) Lacking() []string {
	var why []string
	if s.draining.Load() {
		why = append(why, "draining")
	}
	for _, name := range behalf.Environments() {
		if env := s.envs[name]; env != nil && env.lacking() != "" {
			why = append(why, string(name)+": "+env.lacking())
		}
	}
	return why
}
