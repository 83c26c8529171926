// Package oauthtest is a service that users connect to, for tests: a real server with a consent page, an OAuth token
// endpoint, a revocation endpoint and an API that takes its tokens.
//
// Refresh tokens rotate, and a spent one that comes again revokes everything of its consent, as the strict services do.
// What may go wrong on the way is ordered request by request (Fault), and everything is counted.
//
// It is never part of the shipped binary.
package oauthtest

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Slug is the app that Vendor.Catalog knows.
const Slug = "vendor"

// Config tunes a Vendor. The zero value works.
type Config struct {
	// ClientID and ClientSecret are the one client that is registered.
	//
	// Default to client-1 and a secret of its own.
	ClientID     string
	ClientSecret secret.String
	// Lifetime is that of access tokens.
	//
	// Defaults to an hour.
	Lifetime time.Duration
	// Grace is how long a spent refresh token is still taken.
	//
	// Defaults to not at all.
	Grace time.Duration
	// Keeps leaves refresh tokens as they are.
	Keeps bool
	// Plain serves http, for clients that cannot be told of a certificate.
	Plain bool
	// File is the app's file, for another way to speak with the endpoints. Its base_url must be at_start, its slug vendor.
	//
	// Defaults to PKCE and the client's secret in the form.
	File string
	// Now tells the time.
	//
	// Defaults to time.Now.
	Now func() time.Time
}

const defaultFile = `slug: vendor
name: Vendor
base_url: at_start
auth:
  type: oauth2
  authorize: /authorize
  token: /token
  scopes: [read, write]
  pkce: true
  revoke: { url: /revoke }
  tokens: { answer: { oauth_uid: user.id } }
  send: [{ header: Authorization, value: "Bearer {oauth_access_token}" }]
fields:
  oauth_access_token: { from: credential }
  oauth_uid: { from: credential, optional: true, public: true }
  base_url: { from: app }
`

func (c Config) withDefaults() Config {
	c.ClientID = cmp.Or(c.ClientID, "client-1")
	if c.ClientSecret.IsZero() {
		c.ClientSecret = secret.New("client-secret-canary-1")
	}
	c.Lifetime = cmp.Or(c.Lifetime, time.Hour)
	c.File = cmp.Or(c.File, defaultFile)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Vendor is a running service.
type Vendor struct {
	cfg     Config
	server  *httptest.Server
	closing chan struct{}

	mu     sync.Mutex
	grants grants
	faults map[Endpoint]*orders
	counts Counts
	seen   []Seen
}

// New starts a vendor that is closed when the test ends.
func New(tb testing.TB, cfg Config) *Vendor {
	tb.Helper()
	v := Start(cfg)
	tb.Cleanup(v.Close)
	return v
}

// Start starts a vendor. Close it.
func Start(cfg Config) *Vendor {
	v := &Vendor{cfg: cfg.withDefaults(), closing: make(chan struct{}), grants: newGrants(), faults: make(map[Endpoint]*orders)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", v.consentPage)
	mux.HandleFunc("POST /authorize", v.consented)
	mux.HandleFunc("POST /token", v.at(AtToken, v.token))
	mux.HandleFunc("POST /revoke", v.at(AtRevoke, v.revoke))
	mux.HandleFunc("GET /api/me", v.at(AtAPI, v.me))
	v.server = httptest.NewUnstartedServer(mux)
	if v.cfg.Plain {
		v.server.Start()
	} else {
		v.server.EnableHTTP2 = true
		v.server.StartTLS()
	}
	return v
}

// Close ends the service. What is held back is let go.
func (v *Vendor) Close() {
	close(v.closing)
	v.server.CloseClientConnections()
	v.server.Close()
}

// URL is where the service is, without a slash at its end.
func (v *Vendor) URL() string { return v.server.URL }

// HTTP returns a client that trusts the service's certificate. Its connections are closed with the service.
func (v *Vendor) HTTP() *http.Client { return v.server.Client() }

// Client returns the id and the secret of the client that is registered.
func (v *Vendor) Client() (id string, word secret.String) { return v.cfg.ClientID, v.cfg.ClientSecret }

// Catalog is a catalogue with this service as its app.
func (v *Vendor) Catalog(tb testing.TB) app.Catalog {
	tb.Helper()
	apps, err := catalog(v.cfg.File, v.server.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return apps
}

// App is what the catalogue says of this service. It panics where Config.File is wrong.
func (v *Vendor) App() app.App {
	apps, err := catalog(v.cfg.File, v.server.URL)
	if err != nil {
		panic(err)
	}
	a, _ := apps.App(Slug)
	return a
}

// AppAt is what the catalogue would say of a service with this file at another address. An empty file is that of
// Config.
func AppAt(tb testing.TB, file, address string) app.App {
	tb.Helper()
	apps, err := catalog(cmp.Or(file, defaultFile), address)
	if err != nil {
		tb.Fatal(err)
	}
	a, _ := apps.App(Slug)
	return a
}

func catalog(file, address string) (app.Catalog, error) {
	apps, err := app.Load(fstest.MapFS{Slug + ".yaml": {Data: []byte(file)}})
	if err != nil {
		return app.Catalog{}, err
	}
	return apps.WithURL(Slug, address)
}

// Counts is what happened so far.
type Counts struct {
	// Tokens are the requests to the token endpoint, answered or not.
	Tokens int
	// Exchanges and Refreshes are those of them that made tokens, told or not.
	Exchanges int
	Refreshes int
	// Reuses are spent refresh tokens that came again, within their grace or not.
	Reuses int
	// Refused are refresh tokens that were worth nothing.
	Refused int
	// Revocations are requests to the revocation endpoint that were carried out.
	Revocations int
	// Calls are requests to the API, and Unauthorized those of them without a good token.
	Calls        int
	Unauthorized int
}

// Counts says what happened so far.
func (v *Vendor) Counts() Counts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.counts
}

// Seen is one request to the token, revocation or API endpoint, as it came.
type Seen struct {
	At     Endpoint
	Header http.Header
	// Params are those of the form or of the JSON object.
	Params map[string]string
}

// Seen lists the last requests, oldest first; 10,000 at most.
func (v *Vendor) Seen() []Seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Seen(nil), v.seen...)
}

func (v *Vendor) saw(s Seen) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) == 10_000 {
		v.seen = v.seen[1:]
	}
	v.seen = append(v.seen, s)
}

func (v *Vendor) count(add func(*Counts)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	add(&v.counts)
}

// word is a secret that nobody guesses, with its kind in front so that leaks are easy to find.
func word(kind string) string { return kind + "-canary-" + rand.Text() }
