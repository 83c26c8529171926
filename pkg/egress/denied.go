package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Denied says what was refused and why. It is in the chain of every Forbidden error of this package.
type Denied struct { //nolint:errname // reads with its package: egress.Denied
	Reason Reason
	// Addr is the address that was refused. Invalid where the name itself was.
	Addr netip.AddrPort
	// Host is the name that was asked for, as it was written where the name itself was refused. Empty for an address.
	Host string
}

// Error is for the operator. What a stranger wrote is quoted and cut.
func (d Denied) Error() string {
	switch {
	case !d.Addr.IsValid():
		return fmt.Sprintf("%.64q is denied: %s", d.Host, d.Reason)
	case d.Host == "":
		return fmt.Sprintf("%s is denied: %s", d.Addr, d.Reason)
	}
	return fmt.Sprintf("%.64q is %s, which is denied: %s", d.Host, d.Addr, d.Reason)
}

// deny tells the caller the reason, and only the operator's log the address behind a name.
func deny(op string, denied Denied) error {
	return fault.Newf(fault.Forbidden, op, "this address is not allowed (%s)", denied.Reason).Because(denied)
}

// Reason is why an address or a name is denied: a closed set, so that it may label a metric.
type Reason string

// The reasons.
const (
	ReasonLoopback  Reason = "loopback"   // this machine
	ReasonPrivate   Reason = "private"    // a network of somebody's own
	ReasonLinkLocal Reason = "link_local" // this wire, and any address with a zone
	ReasonMetadata  Reason = "metadata"   // where a cloud tells a machine its credentials
	ReasonMulticast Reason = "multicast"  // many at once
	ReasonReserved  Reason = "reserved"   // unspecified, documentation, tunnels that hide another address, unassigned
	ReasonPort      Reason = "port"       // the address passes, the port does not
	ReasonName      Reason = "name"       // no proper DNS name, or one that is internal by definition
)

// Judge says whether an address may be dialled: nil, or Forbidden with a Denied in its chain.
func (d *Dialer) Judge(at netip.AddrPort) error {
	if reason := d.reason(at); reason != "" {
		return deny("egress.Judge", Denied{Reason: reason, Addr: at})
	}
	return nil
}

// reason is why an address is denied, empty if it is not.
func (d *Dialer) reason(at netip.AddrPort) Reason {
	if slices.Contains(d.cfg.Allow, at) {
		return ""
	}
	if reason := d.classify(at.Addr()); reason != "" && !d.lifts(reason, at.Addr()) {
		return reason
	}
	if at.Port() == 0 || slices.Contains(d.cfg.Ports, at.Port()) {
		return ReasonPort
	}
	return ""
}

// lifts says whether the Config lets an address pass in spite of this reason.
func (d *Dialer) lifts(reason Reason, addr netip.Addr) bool {
	if reason == ReasonLoopback {
		return d.cfg.AllowLoopback
	}
	return reason == ReasonPrivate && slices.ContainsFunc(d.cfg.AllowPrivate, contains(addr))
}

func contains(addr netip.Addr) func(netip.Prefix) bool {
	return func(p netip.Prefix) bool { return p.Contains(addr) }
}

// classify says what an address is, empty if it is an ordinary public one. An IPv6 address passes only within 2000::/3,
// all there is of public unicast: the rest holds IPv4 in disguise (::/96, ::ffff:0:0/96, NAT64 in 64:ff9b::/96 and
// 64:ff9b:1::/48), discard-only and what nobody has been given.
func (d *Dialer) classify(addr netip.Addr) Reason {
	if addr.Zone() != "" { // no prefix contains an address with a zone
		return ReasonLinkLocal
	}
	for _, r := range d.rules {
		if r.prefix.Contains(addr) {
			return r.reason
		}
	}
	if addr.Is4() || isGlobalUnicast6(addr) {
		return ""
	}
	return ReasonReserved
}

func isGlobalUnicast6(addr netip.Addr) bool {
	return addr.Is6() && addr.As16()[0]>>5 == 0b001
}

// rule gives the addresses of a prefix their reason.
type rule struct {
	prefix netip.Prefix
	reason Reason
}

// standardRules lists the special addresses of IANA's registries and of the clouds. The first match counts, so the
// metadata services come before the networks they lie in.
func standardRules() []rule {
	return slices.Concat(
		rules(ReasonMetadata,
			"100.100.100.200/32",     // Alibaba
			"168.63.129.16/32",       // Azure's wire server, in the midst of public addresses
			"169.254.42.42/32",       // Scaleway
			"169.254.169.254/32",     // AWS, Azure, Google, Oracle and most others
			"169.254.170.2/32",       // AWS ECS
			"169.254.170.23/32",      // AWS EKS
			"192.0.0.192/32",         // Oracle, classic
			"fd00:42::42/128",        // Scaleway
			"fd00:c1::a9fe:a9fe/128", // Oracle
			"fd00:ec2::/32",          // AWS: ::254, and ::23 of EKS
			"fd20:ce::254/128",       // Google
			"fe80::a9fe:a9fe/128",    // OpenStack
		),
		rules(ReasonLoopback, "127.0.0.0/8", "::1/128"),
		rules(ReasonPrivate,
			"10.0.0.0/8",
			"100.64.0.0/10", // carriers' and clusters' shared space
			"172.16.0.0/12",
			"192.168.0.0/16",
			"fc00::/7",
		),
		rules(ReasonLinkLocal, "169.254.0.0/16", "fe80::/10"),
		rules(ReasonMulticast, "224.0.0.0/4", "ff00::/8"),
		rules(ReasonReserved,
			"0.0.0.0/8",       // "this network"; Linux takes 0.0.0.0 for loopback
			"192.0.0.0/24",    // protocol assignments
			"192.0.2.0/24",    // documentation
			"192.88.99.0/24",  // 6to4 relays
			"198.18.0.0/15",   // benchmarks
			"198.51.100.0/24", // documentation
			"203.0.113.0/24",  // documentation
			"240.0.0.0/4",     // future use, and 255.255.255.255
			"2001::/23",       // protocol assignments, with Teredo (2001::/32) and ORCHID
			"2001:db8::/32",   // documentation
			"2002::/16",       // 6to4
			"3fff::/20",       // documentation
		),
	)
}

func rules(reason Reason, prefixes ...string) []rule {
	list := make([]rule, len(prefixes))
	for i, text := range prefixes {
		list[i] = rule{netip.MustParsePrefix(text), reason}
	}
	return list
}

// deniesName says whether a name is internal by definition. It spares a look-up and gives a clearer reason; what holds
// is the judgement of the addresses.
func (d *Dialer) deniesName(name string) bool {
	if within(name, "localhost") {
		return !d.cfg.AllowLoopback
	}
	return within(name, "internal") || strings.HasPrefix(name+".", "kubernetes.default.")
}

// within says whether a name is a domain or lies below it.
func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}
