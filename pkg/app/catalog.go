package app

import (
	"maps"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

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
