package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Proxies are the peers whose X-Forwarded-… headers are believed. The zero value believes nobody.
type Proxies struct{ trusted []netip.Prefix }

// ParseProxies reads a comma-separated list of CIDRs and addresses. Errors: Invalid.
func ParseProxies(list string) (Proxies, error) {
	var p Proxies
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, addrErr := netip.ParseAddr(item)
			if addrErr != nil {
				return Proxies{}, fault.Newf(fault.Invalid, "web.ParseProxies", "trusted proxies: %q is no CIDR and no address", item)
			}
			prefix = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		}
		p.trusted = append(p.trusted, unmapped(prefix).Masked())
	}
	return p, nil
}

// unmapped is the prefix as peers are compared with it: IPv4 as itself, however it was written.
func unmapped(p netip.Prefix) netip.Prefix {
	const mapped = 96
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p
}

func (p Proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p.trusted, func(t netip.Prefix) bool { return t.Contains(addr) })
}

// Client is the address of whoever sent the request: the peer's, or, where the peer is a trusted proxy, the nearest
// address in X-Forwarded-For that is none. What a client wrote there itself stands further left and is never reached.
// The zero address means that the peer has none.
func (p Proxies) Client(r *http.Request) netip.Addr {
	client := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !p.trusts(client) {
			break
		}
		addr, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break // the proxy's own address is the best we know
		}
		client = addr
	}
	return client
}

// Secure says whether the client came by https: to us, or to the trusted proxy before us.
func (p Proxies) Secure(r *http.Request) bool {
	switch nearest := p.nearest(r, "X-Forwarded-Proto"); {
	case strings.EqualFold(nearest, "https"):
		return true
	case strings.EqualFold(nearest, "http"):
		return false
	}
	return r.TLS != nil
}

// Host is the host that the client asked for, with its port where it named one: ours, or that of the trusted proxy before
// us. What cannot be a host is not believed.
func (p Proxies) Host(r *http.Request) string {
	if host := p.nearest(r, "X-Forwarded-Host"); host != "" && len(host) <= maxHost && !strings.ContainsFunc(host, notOfHost) {
		return host
	}
	return r.Host
}

// maxHost is the longest name that DNS has, and a port.
const maxHost = 253 + len(":65535")

func notOfHost(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("-._:[]", c)
}

// nearest is what the trusted proxy before us says: proxies append, so what its client wrote stands further left.
func (p Proxies) nearest(r *http.Request, header string) string {
	values := r.Header.Values(header)
	if len(values) == 0 || !p.trusts(peer(r)) {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// parseHop reads an address, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	addr, err := netip.ParseAddr(s)
	return addr.Unmap().WithZone(""), err == nil
}
