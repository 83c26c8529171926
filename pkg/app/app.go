// Package app is the catalogue of apps: how each third-party service authenticates, as data.
//
// It never talks to a service and never holds a credential or a client secret: it says which fields a credential has,
// and where consent and tokens are to be had.
package app

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// App is one third-party service.
type App struct {
	Slug behalf.AppSlug
	Name string
	// Docs is where the service's API is described. May be empty.
	Docs string
	// BaseURL is where the API is, without a slash at its end. Empty for an app that has no address until it is given
	// one by Catalog.WithURL.
	BaseURL string
	// Hosts are the host names to which a credential of this app may be sent: that of BaseURL and the file's own.
	Hosts []string
	Auth  Auth
	// Fields is what a step sees as $auth, by name.
	Fields []Field
}

// Auth says how a credential comes about.
type Auth struct {
	Type AuthType
	// AuthorizeURL and TokenURL are for oauth2. Empty as long as BaseURL is, where they are paths below it.
	AuthorizeURL string
	TokenURL     string
	Scopes       []string
	// PKCE says that the service checks the proof of RFC 7636.
	PKCE bool

	authorize, token string // as the file says them
}

// AuthType is a way of authentication.
type AuthType string

// The ways.
const (
	// OAuth2 has the user consent at the service, and gives tokens that expire.
	OAuth2 AuthType = "oauth2"
	// Keys has the user hand over keys, such as an API key.
	Keys AuthType = "keys"
)

// Field is one name of the $auth object.
type Field struct {
	Name string
	From Origin
}

// Origin is where a field's value comes from.
type Origin string

// The origins.
const (
	// FromCredential is a field of the account's credential.
	FromCredential Origin = "credential"
	// FromApp is the app's own base URL, so that a step need not know it.
	FromApp Origin = "app"
)

// StepAuth makes the object that a step sees as $auth: of the credential's fields those that the app names, and the
// app's address. What the credential lacks is left out; what the app does not name, such as a refresh token, never
// reaches a step.
func (a App) StepAuth(credential map[string]secret.String) map[string]secret.String {
	auth := make(map[string]secret.String, len(a.Fields))
	for _, f := range a.Fields {
		switch f.From {
		case FromApp:
			auth[f.Name] = secret.New(a.BaseURL)
		case FromCredential:
			if value, ok := credential[f.Name]; ok {
				auth[f.Name] = value
			}
		}
	}
	return auth
}

// withURL returns the app at another address. Endpoints that are whole URLs move too, with their paths.
func (a App) withURL(base *url.URL) App {
	a.BaseURL = strings.TrimSuffix(base.String(), "/")
	a.Hosts = []string{base.Hostname()}
	a.Auth.AuthorizeURL = moved(a.BaseURL, a.Auth.authorize)
	a.Auth.TokenURL = moved(a.BaseURL, a.Auth.token)
	a.Auth.Scopes = slices.Clone(a.Auth.Scopes)
	a.Fields = slices.Clone(a.Fields)
	return a
}

func moved(base, endpoint string) string {
	if endpoint == "" || strings.HasPrefix(endpoint, "/") {
		return joined(base, endpoint)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "" // Load refused it
	}
	return joined(base, u.EscapedPath())
}

// joined is an endpoint of the file as a whole URL, or empty where a path still has no address to be a path of.
func joined(base, endpoint string) string {
	switch {
	case !strings.HasPrefix(endpoint, "/"):
		return endpoint
	case base == "":
		return ""
	}
	return base + endpoint
}

// Catalog is all apps, by slug.
type Catalog struct{ apps map[behalf.AppSlug]App }

// App returns an app of the catalogue.
func (c Catalog) App(slug behalf.AppSlug) (App, bool) {
	a, ok := c.apps[slug]
	return a, ok
}

// Known says whether the catalogue has the app.
func (c Catalog) Known(slug behalf.AppSlug) bool {
	_, ok := c.apps[slug]
	return ok
}

// Slugs lists the apps in alphabetical order.
func (c Catalog) Slugs() []behalf.AppSlug {
	slugs := make([]behalf.AppSlug, 0, len(c.apps))
	for slug := range c.apps {
		slugs = append(slugs, slug)
	}
	slices.Sort(slugs)
	return slugs
}

// WithURL returns a copy of the catalogue in which one app is at another address, as `--app-url` asks for practice and
// for tests. The URL must be http or https, with a host and without user, query or fragment. Kinds: NotFound for an
// unknown app, Invalid for a bad URL.
func (c Catalog) WithURL(slug behalf.AppSlug, address string) (Catalog, error) {
	a, ok := c.apps[slug]
	if !ok {
		return Catalog{}, fault.Newf(fault.NotFound, "app.WithURL", "there is no app %q; known are %s", slug, c.list())
	}
	base, err := parseBase(address)
	if err != nil {
		return Catalog{}, fault.New(fault.Invalid, "app.WithURL", err.Error())
	}
	apps := maps.Clone(c.apps)
	apps[slug] = a.withURL(base)
	return Catalog{apps}, nil
}

func (c Catalog) list() string {
	words := make([]string, 0, len(c.apps))
	for _, slug := range c.Slugs() {
		words = append(words, string(slug))
	}
	return strings.Join(words, ", ")
}
