package egress

import (
	"net/netip"
	"strings"
)

// host is what an address may name: an IP, or else a DNS name in lower case and without its final dot.
type host struct {
	addr netip.Addr
	name string
}

// parseHost takes a plain dotted quad, an IPv6 literal without a zone, or a proper DNS name, and nothing else. It is
// stricter than what lies below it: system resolvers read 2852039166, 0xA9FEA9FE, 0251.0376.0251.0376 and 169.254.43518
// as 169.254.169.254, and none of these must get that far.
func parseHost(text string) (host, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return host{addr: addr}, addr.Zone() == ""
	}
	name := strings.TrimSuffix(text, ".")
	return host{name: strings.ToLower(name)}, isDNSName(name)
}

// isDNSName holds a name against RFC 1123, with the underscore that real hosts have. Other scripts must come as xn--:
// what folds to a digit, a dot or a letter (the Kelvin sign to k) is not for us to know.
func isDNSName(name string) bool {
	if len(name) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return false
		}
		last = label
	}
	// No top-level domain begins with a digit, and what does some resolver reads as a number, in a notation of its own.
	return !isDigit(rune(last[0]))
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.IndexFunc(label, isForeign) < 0
}

func isForeign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !isDigit(r) && r != '-' && r != '_'
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
