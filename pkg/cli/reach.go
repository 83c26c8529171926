package cli

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/behalf-dev/behalf/pkg/egress"
)

// reach is where actions may go besides the public internet: to the practice app, and to the addresses that --app-url
// names.
func (d *dev) reach() egress.Config {
	var cfg egress.Config
	addresses := []string{d.side.Addr().String()}
	for _, pair := range d.flags.appURLs {
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
