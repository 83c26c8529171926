// Package app is the catalogue of apps: how each third-party service authenticates and where its credential goes, as
// data.
//
// It never talks to a service and never keeps a credential or a client secret: it says which fields a credential has and
// where consent and tokens are to be had, and puts a credential into a request to a host of its own app, into no other.
package app

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// App is one third-party service.
type App struct {
	Slug behalf.AppSlug
	Name string
	// Description says in a line what the service is. May be empty.
	Description string
	// Docs is where the service's API is described. May be empty.
	Docs string
	// BaseURL is where the API is, without a slash at its end. In it {field} stands for a field of the account's
	// credential; Base fills it in. Empty for an app without an HTTP API, and for one that has no address until it is
	// given one by Catalog.WithURL.
	BaseURL string
	// Hosts are the host names to which a credential of this app may be sent by https: that of BaseURL, where no field is
	// in it, and the file's own. What Base returns is always among the places.
	Hosts []string
	// Within are the domains in which an address must lie that the account gives by itself, where the service has one for
	// each customer. Empty for any address, as of custom.
	Within []string
	Auth   Auth
	// Test shows whether a credential works.
	Test Test
	// Evidence says from where all this is known.
	Evidence Evidence
	// Fields is what a step sees as $auth, by name.
	Fields []Field
	// Own says that the app is of a folder after the first that Load was given: a team's own.
	Own bool
}

// StepAuth makes the object that a step sees as $auth: of the credential's fields those that the app names, and the
// app's address. What the credential lacks is left out, or has the default that the app names; what the app does not
// name, such as a refresh token, never reaches a step.
func (a App) StepAuth(credential map[string]secret.String) map[string]secret.String {
	auth := make(map[string]secret.String, len(a.Fields))
	for _, f := range a.Fields {
		switch f.From {
		case FromApp:
			if base, err := a.Base(credential); err == nil {
				auth[f.Name] = secret.New(base.String())
			}
		case FromCredential:
			if value, ok := credential[f.Name]; ok {
				auth[f.Name] = value
			} else if f.Default != "" {
				auth[f.Name] = secret.New(f.Default)
			}
		}
	}
	return auth
}

// Secrets lists what of a credential must be seen nowhere: all of it but the fields that the app calls public, such as
// a host or a user's name, which would take innocent text out of logs.
func (a App) Secrets(credential map[string]secret.String) []secret.String {
	var secrets []secret.String
	for name, value := range credential {
		i := slices.IndexFunc(a.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 || a.Fields[i].secret() {
			secrets = append(secrets, value)
		}
	}
	return secrets
}

// value is a field of a credential, or its default, or empty.
func (a App) value(credential map[string]secret.String, name string) string {
	value := credential[name].Reveal()
	for _, f := range a.Fields {
		if f.Name == name {
			value = cmp.Or(value, f.Default)
		}
	}
	return value
}

// withURL returns the app at another address. Endpoints that are whole URLs move too, with their paths.
func (a App) withURL(base *url.URL) App {
	a.BaseURL = strings.TrimSuffix(base.String(), "/")
	a.Hosts = []string{base.Hostname()}
	a.Within = nil
	a.Auth = a.Auth.movedTo(a.BaseURL)
	a.Test = a.Test.movedTo(a.BaseURL)
	a.Fields = slices.Clone(a.Fields)
	return a
}
