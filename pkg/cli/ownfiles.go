package cli

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/egress"
)

// calls is the client of actions, which may go where cfg lets them.
func calls(cfg egress.Config) *http.Client {
	cfg.ResponseHeaderTimeout = behalf.MaxTimeout // the run's own timeout ends a call sooner
	return egress.New(cfg).Client(behalf.MaxTimeout)
}

// callsAt is calls in dev, whose own ingress at this address is on loopback: files of callers may be read there, as they
// may at any ingress that has a public name, and nothing else may be reached.
func callsAt(own net.Addr, cfg egress.Config) *http.Client {
	client := calls(cfg)
	at, err := netip.ParseAddrPort(own.String())
	if err != nil { // it has no address that could be let in
		return client
	}
	cfg.Allow = append(slices.Clip(cfg.Allow), at)
	client.Transport = ownFiles{host: own.String(), files: calls(cfg).Transport, rest: client.Transport}
	return client
}

// ownFiles sends requests for files at one host another way than the rest.
type ownFiles struct {
	host        string
	files, rest http.RoundTripper
}

// RoundTrip sends one request.
func (o ownFiles) RoundTrip(r *http.Request) (*http.Response, error) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	here := r.URL.Scheme == "http" && r.URL.Host == o.host && (r.Host == "" || r.Host == o.host)
	if reads && here && strings.HasPrefix(r.URL.Path, "/e/files/") {
		return o.files.RoundTrip(r)
	}
	return o.rest.RoundTrip(r)
}
