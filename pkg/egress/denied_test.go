package egress_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const passes egress.Reason = ""

// reasonOf reads the reason of an error of this package, and holds it to its promises on the way.
func reasonOf(tb testing.TB, err error) egress.Reason {
	tb.Helper()
	if err == nil {
		return passes
	}
	var denied egress.Denied
	if !errors.As(err, &denied) {
		tb.Fatalf("no Denied in %v", err)
	}
	if !fault.Is(err, fault.Forbidden) {
		tb.Errorf("kind of %v = %v, want forbidden", err, fault.KindOf(err))
	}
	return denied.Reason
}

// TestEveryEdgeOfEveryPrefix judges the first and the last address of each prefix, and its neighbours.
func TestEveryEdgeOfEveryPrefix(t *testing.T) {
	t.Parallel()
	dialer := egress.New(egress.Config{})
	for name, c := range map[string]struct {
		prefix                string
		before, within, after egress.Reason
	}{
		"this network, with 0.0.0.0":            {"0.0.0.0/8", passes, egress.ReasonReserved, passes},
		"private, ten":                          {"10.0.0.0/8", passes, egress.ReasonPrivate, passes},
		"carriers' shared space":                {"100.64.0.0/10", passes, egress.ReasonPrivate, passes},
		"Alibaba's metadata":                    {"100.100.100.200/32", egress.ReasonPrivate, egress.ReasonMetadata, egress.ReasonPrivate},
		"loopback":                              {"127.0.0.0/8", passes, egress.ReasonLoopback, passes},
		"Azure's wire server":                   {"168.63.129.16/32", passes, egress.ReasonMetadata, passes},
		"link-local":                            {"169.254.0.0/16", passes, egress.ReasonLinkLocal, passes},
		"Scaleway's metadata":                   {"169.254.42.42/32", egress.ReasonLinkLocal, egress.ReasonMetadata, egress.ReasonLinkLocal},
		"the metadata of most clouds":           {"169.254.169.254/32", egress.ReasonLinkLocal, egress.ReasonMetadata, egress.ReasonLinkLocal},
		"the metadata of ECS":                   {"169.254.170.2/32", egress.ReasonLinkLocal, egress.ReasonMetadata, egress.ReasonLinkLocal},
		"the metadata of EKS":                   {"169.254.170.23/32", egress.ReasonLinkLocal, egress.ReasonMetadata, egress.ReasonLinkLocal},
		"private, a hundred and seventy-two":    {"172.16.0.0/12", passes, egress.ReasonPrivate, passes},
		"protocol assignments":                  {"192.0.0.0/24", passes, egress.ReasonReserved, passes},
		"Oracle's old metadata":                 {"192.0.0.192/32", egress.ReasonReserved, egress.ReasonMetadata, egress.ReasonReserved},
		"the first documentation network":       {"192.0.2.0/24", passes, egress.ReasonReserved, passes},
		"6to4 relays":                           {"192.88.99.0/24", passes, egress.ReasonReserved, passes},
		"private, a hundred and ninety-two":     {"192.168.0.0/16", passes, egress.ReasonPrivate, passes},
		"benchmarks":                            {"198.18.0.0/15", passes, egress.ReasonReserved, passes},
		"the second documentation network":      {"198.51.100.0/24", passes, egress.ReasonReserved, passes},
		"the third documentation network":       {"203.0.113.0/24", passes, egress.ReasonReserved, passes},
		"multicast":                             {"224.0.0.0/4", passes, egress.ReasonMulticast, egress.ReasonReserved},
		"future use, with the broadcast":        {"240.0.0.0/4", egress.ReasonMulticast, egress.ReasonReserved, passes},
		"IPv6: unspecified":                     {"::/128", passes, egress.ReasonReserved, egress.ReasonLoopback},
		"IPv6: loopback":                        {"::1/128", egress.ReasonReserved, egress.ReasonLoopback, egress.ReasonReserved},
		"IPv6: IPv4-compatible, without ::1":    {"::2:0/111", egress.ReasonReserved, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: IPv4-mapped":                     {"::ffff:0:0/96", egress.ReasonReserved, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: NAT64":                           {"64:ff9b::/96", egress.ReasonReserved, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: local NAT64":                     {"64:ff9b:1::/48", egress.ReasonReserved, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: discard-only":                    {"100::/64", egress.ReasonReserved, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: all below public unicast":        {"1000::/4", egress.ReasonReserved, egress.ReasonReserved, passes},
		"IPv6: all above public unicast":        {"4000::/2", passes, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: Teredo begins its assignments":   {"2001::/32", passes, egress.ReasonReserved, egress.ReasonReserved},
		"IPv6: protocol assignments":            {"2001::/23", passes, egress.ReasonReserved, passes},
		"IPv6: documentation":                   {"2001:db8::/32", passes, egress.ReasonReserved, passes},
		"IPv6: 6to4":                            {"2002::/16", passes, egress.ReasonReserved, passes},
		"IPv6: the new documentation":           {"3fff::/20", passes, egress.ReasonReserved, passes},
		"IPv6: unique local":                    {"fc00::/7", egress.ReasonReserved, egress.ReasonPrivate, egress.ReasonReserved},
		"IPv6: Scaleway's metadata":             {"fd00:42::42/128", egress.ReasonPrivate, egress.ReasonMetadata, egress.ReasonPrivate},
		"IPv6: Oracle's metadata":               {"fd00:c1::a9fe:a9fe/128", egress.ReasonPrivate, egress.ReasonMetadata, egress.ReasonPrivate},
		"IPv6: AWS's services":                  {"fd00:ec2::/32", egress.ReasonPrivate, egress.ReasonMetadata, egress.ReasonPrivate},
		"IPv6: AWS's metadata, among these":     {"fd00:ec2::254/128", egress.ReasonMetadata, egress.ReasonMetadata, egress.ReasonMetadata},
		"IPv6: Google's metadata":               {"fd20:ce::254/128", egress.ReasonPrivate, egress.ReasonMetadata, egress.ReasonPrivate},
		"IPv6: link-local":                      {"fe80::/10", egress.ReasonReserved, egress.ReasonLinkLocal, egress.ReasonReserved},
		"IPv6: OpenStack's metadata":            {"fe80::a9fe:a9fe/128", egress.ReasonLinkLocal, egress.ReasonMetadata, egress.ReasonLinkLocal},
		"IPv6: site-local, which nobody has":    {"fec0::/10", egress.ReasonLinkLocal, egress.ReasonReserved, egress.ReasonMulticast},
		"IPv6: multicast, up to the last there": {"ff00::/8", egress.ReasonReserved, egress.ReasonMulticast, passes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prefix := netip.MustParsePrefix(c.prefix)
			first, last := prefix.Masked().Addr(), lastOf(prefix)
			judge := func(where string, addr netip.Addr, want egress.Reason) {
				if !addr.IsValid() { // there is nothing before 0.0.0.0 and after 255.255.255.255
					return
				}
				if got := reasonOf(t, dialer.Judge(netip.AddrPortFrom(addr, 443))); got != want {
					t.Errorf("%s, %s: %q, want %q", where, addr, got, want)
				}
			}
			judge("one before", first.Prev(), c.before)
			judge("first", first, c.within)
			judge("last", last, c.within)
			judge("one after", last.Next(), c.after)
		})
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

func TestJudge(t *testing.T) {
	t.Parallel()
	everyNetwork := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	allow := []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.1:4000"),
		netip.MustParseAddrPort("10.0.0.1:25"),
		netip.MustParseAddrPort("[::ffff:127.0.0.1]:4001"), // as a listener of both families says it
	}
	for name, c := range map[string]struct {
		cfg  egress.Config
		at   string
		want egress.Reason
	}{
		"a public address passes":                         {egress.Config{}, "1.1.1.1:443", passes},
		"a public IPv6 address passes":                    {egress.Config{}, "[2606:4700:4700::1111]:443", passes},
		"mail is denied":                                  {egress.Config{}, "1.1.1.1:25", egress.ReasonPort},
		"Redis is denied":                                 {egress.Config{}, "1.1.1.1:6379", egress.ReasonPort},
		"memcached is denied":                             {egress.Config{}, "1.1.1.1:11211", egress.ReasonPort},
		"port 0 is denied":                                {egress.Config{}, "1.1.1.1:0", egress.ReasonPort},
		"an own list of ports takes the default's place":  {egress.Config{Ports: []uint16{22}}, "1.1.1.1:6379", passes},
		"an own list of ports is denied":                  {egress.Config{Ports: []uint16{22}}, "1.1.1.1:22", egress.ReasonPort},
		"mail is denied whatever the list":                {egress.Config{Ports: []uint16{}}, "1.1.1.1:25", egress.ReasonPort},
		"a zone is denied, on a public address too":       {egress.Config{}, "[2606:4700:4700::1111%eth0]:443", egress.ReasonLinkLocal},
		"the address tells more than the port":            {egress.Config{}, "169.254.169.254:25", egress.ReasonMetadata},
		"a public address in disguise is denied":          {egress.Config{}, "[::ffff:1.1.1.1]:443", egress.ReasonReserved},
		"an exception passes":                             {egress.Config{Allow: allow}, "127.0.0.1:4000", passes},
		"an exception passes on any port":                 {egress.Config{Allow: allow}, "10.0.0.1:25", passes},
		"an exception given in disguise passes undressed": {egress.Config{Allow: allow}, "127.0.0.1:4001", passes},
		"an exception in disguise is denied":              {egress.Config{Allow: allow}, "[::ffff:127.0.0.1]:4000", egress.ReasonReserved},
		"another port than the exception's":               {egress.Config{Allow: allow}, "127.0.0.1:4002", egress.ReasonLoopback},
		"another address than the exception's":            {egress.Config{Allow: allow}, "127.0.0.2:4000", egress.ReasonLoopback},
		"loopback, if allowed":                            {egress.Config{AllowLoopback: true}, "127.1.2.3:80", passes},
		"loopback in IPv6, if allowed":                    {egress.Config{AllowLoopback: true}, "[::1]:80", passes},
		"loopback allows no port":                         {egress.Config{AllowLoopback: true}, "127.0.0.1:6379", egress.ReasonPort},
		"loopback allows no private":                      {egress.Config{AllowLoopback: true}, "10.0.0.1:80", egress.ReasonPrivate},
		"loopback allows no 0.0.0.0":                      {egress.Config{AllowLoopback: true}, "0.0.0.0:80", egress.ReasonReserved},
		"a private address, if allowed":                   {egress.Config{AllowPrivate: everyNetwork[:1]}, "10.0.0.1:80", passes},
		"a private IPv6 address, if allowed":              {egress.Config{AllowPrivate: everyNetwork}, "[fd12::1]:80", passes},
		"private allows no other family":                  {egress.Config{AllowPrivate: everyNetwork[:1]}, "[fd12::1]:80", egress.ReasonPrivate},
		"private allows no port":                          {egress.Config{AllowPrivate: everyNetwork}, "10.0.0.1:25", egress.ReasonPort},
		"private allows no loopback":                      {egress.Config{AllowPrivate: everyNetwork}, "127.0.0.1:80", egress.ReasonLoopback},
		"private allows no link-local":                    {egress.Config{AllowPrivate: everyNetwork}, "169.254.1.1:80", egress.ReasonLinkLocal},
		"private allows no metadata":                      {egress.Config{AllowPrivate: everyNetwork}, "100.100.100.200:80", egress.ReasonMetadata},
		"private allows no metadata in IPv6":              {egress.Config{AllowPrivate: everyNetwork}, "[fd00:ec2::254]:80", egress.ReasonMetadata},
		"private allows no disguise":                      {egress.Config{AllowPrivate: everyNetwork}, "[::ffff:10.0.0.1]:80", egress.ReasonReserved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := reasonOf(t, egress.New(c.cfg).Judge(netip.MustParseAddrPort(c.at))); got != c.want {
				t.Errorf("%s: %q, want %q", c.at, got, c.want)
			}
		})
	}
	t.Run("no address at all", func(t *testing.T) {
		t.Parallel()
		if got := reasonOf(t, egress.New(egress.Config{}).Judge(netip.AddrPort{})); got != egress.ReasonReserved {
			t.Errorf("%q, want reserved", got)
		}
	})
}

func TestDeniedTellsTheOperatorMoreThanTheCaller(t *testing.T) {
	t.Parallel()
	dialer := egress.New(egress.Config{Resolver: answers("10.0.0.7")})
	_, err := dialer.DialContext(t.Context(), "tcp", "Intranet.example:443")
	if err == nil {
		t.Fatal("dialled")
	}
	if got, want := fault.Safe(err), "this address is not allowed (private)"; got != want {
		t.Errorf("to the caller: %q, want %q", got, want)
	}
	if got, want := err.Error(), `"intranet.example" is 10.0.0.7:443, which is denied: private`; !strings.Contains(got, want) {
		t.Errorf("to the operator: %q, want %q in it", got, want)
	}
}

func TestDeniedQuotesAndCutsWhatAStrangerWrote(t *testing.T) {
	t.Parallel()
	_, err := egress.New(egress.Config{}).DialContext(t.Context(), "tcp", "a\nb"+strings.Repeat("x", 1<<16)+":80")
	if reasonOf(t, err) != egress.ReasonName {
		t.Fatalf("got %v", err)
	}
	if text := err.Error(); len(text) > 300 || strings.Contains(text, "\n") {
		t.Errorf("%d bytes: %.300q", len(text), text)
	}
}
