package cli

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// elsewhere sends the calls of apps to other addresses, each told as SLUG=URL.
func elsewhere(apps app.Catalog, appURLs []string) (app.Catalog, error) {
	for _, pair := range appURLs {
		slug, address, ok := strings.Cut(pair, "=")
		if !ok {
			return apps, fault.Newf(fault.Invalid, "cli.dev", "--app-url must be SLUG=URL, not %q", pair)
		}
		var err error
		if apps, err = apps.WithURL(behalf.AppSlug(slug), address); err != nil {
			return apps, err
		}
	}
	return apps, nil
}

// reach is where actions may go besides the public internet: to some addresses, and to those of apps that are elsewhere.
func reach(appURLs []string, addresses ...string) egress.Config {
	var cfg egress.Config
	for _, pair := range appURLs {
		_, address, _ := strings.Cut(pair, "=")
		if u, err := url.Parse(address); err == nil {
			addresses = append(addresses, u.Host)
		}
	}
	for _, address := range addresses {
		if at, err := netip.ParseAddrPort(address); err == nil { // a name is judged like any other
			cfg.Allow = append(cfg.Allow, at)
		}
	}
	return cfg
}

// reach is where dev's own calls may go besides the public internet: to the practice app, and, where it was told so, to this
// machine.
func (d *dev) reach() egress.Config {
	cfg := reach(d.flags.appURLs, d.side.Addr().String())
	cfg.AllowLoopback = d.flags.allowLoopback
	return cfg
}
