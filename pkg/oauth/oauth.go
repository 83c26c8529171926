// Package oauth speaks with the OAuth endpoints of third-party services: it builds the link to their consent page, trades
// the code for tokens, refreshes them and gives them back, and says of every failure what it means.
//
// It never stores a token, never decides when to refresh or whether to try again, never follows a redirect, and never puts
// a token, a code or a client's secret into an error: of what a vendor writes, only its error word gets that far.
package oauth

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// maxAnswer is the most that is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Registration is what a service gave to us, or to a customer of ours, when an OAuth app was registered there.
type Registration struct {
	ID string
	// Secret is empty for a public client, which proves itself by PKCE alone.
	Secret secret.String
	// RedirectURL is where the service sends the user's browser back: https, or http on a loopback address. A client that
	// only refreshes and revokes needs none.
	RedirectURL string
	// Scopes are asked for.
	//
	// Defaults to those of the catalogue.
	Scopes []string
}

// Config tunes a Client. The zero value works.
type Config struct {
	// Timeout covers a whole exchange with a service, its body too.
	//
	// Defaults to 20 seconds.
	Timeout time.Duration
	// Now tells the time.
	//
	// Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 20*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Client speaks with the OAuth endpoints of one app, for one registration. It is safe for concurrent use, and keeps no
// connection of its own.
type Client struct {
	http         *http.Client
	app          app.App
	registration Registration
	cfg          Config
}

// New makes a client on an HTTP client, which must go through pkg/egress. Kind Invalid for an app whose users do not
// connect by OAuth, for one without an address, and for a registration that cannot be.
func New(transport *http.Client, a app.App, registration Registration, cfg Config) (*Client, error) {
	const op = "oauth.New"
	switch {
	case a.Auth.Type != app.OAuth2:
		return nil, fault.Newf(fault.Invalid, op, "accounts of %s hand over keys and are not connected by OAuth", a.Name)
	case a.Auth.AuthorizeURL == "" || a.Auth.TokenURL == "":
		return nil, fault.Newf(fault.Invalid, op, "%s has no address here", a.Name)
	case registration.ID == "":
		return nil, fault.Newf(fault.Invalid, op, "the OAuth client for %s has no id", a.Name)
	case registration.RedirectURL != "" && !validRedirect(registration.RedirectURL):
		return nil, fault.New(fault.Invalid, op, "the redirect URL must be https, or http on a loopback address, without user or fragment")
	}
	if registration.Scopes == nil {
		registration.Scopes = a.Auth.Scopes
	}
	// A redirect would carry a secret to wherever it says.
	own := *transport
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own.Jar = nil
	return &Client{http: &own, app: a, registration: registration, cfg: cfg.withDefaults()}, nil
}

func validRedirect(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
