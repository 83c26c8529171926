package egress_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// resolver is a fake: a function that answers for a name.
type resolver func(ctx context.Context, name string) ([]netip.Addr, error)

func (r resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if network != "ip" {
		return nil, errors.New("asked for one family only: " + network)
	}
	return r(ctx, host)
}

// answers gives every name these addresses.
func answers(texts ...string) resolver {
	return func(context.Context, string) ([]netip.Addr, error) { return addrs(texts...), nil }
}

func addrs(texts ...string) []netip.Addr {
	list := make([]netip.Addr, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParseAddr(text)
	}
	return list
}

// sink is a listener on loopback that should see nobody.
type sink struct {
	net.Listener
	at netip.AddrPort
}

func newSink(tb testing.TB, address string) sink {
	tb.Helper()
	ln, err := new(net.ListenConfig).Listen(tb.Context(), "tcp4", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	return sink{ln, netip.MustParseAddrPort(ln.Addr().String())}
}

func (s sink) port() string {
	_, port, _ := net.SplitHostPort(s.Addr().String())
	return port
}

// sawNobody knocks itself: connections wait in order, so the first to be accepted must be the knock.
func (s sink) sawNobody(tb testing.TB) {
	tb.Helper()
	knock, err := new(net.Dialer).DialContext(tb.Context(), "tcp4", s.at.String())
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = knock.Close() }()
	if got := s.accept(tb); got != knock.LocalAddr().String() {
		tb.Errorf("%s reached the sink", got)
	}
}

func (s sink) accept(tb testing.TB) string {
	tb.Helper()
	conn, err := s.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.RemoteAddr().String()
}

// deniedHosts are all the ways of writing 127.0.0.1, the clouds' metadata and internal names that we know of.
func deniedHosts() map[string]egress.Reason {
	return map[string]egress.Reason{
		"":                          egress.ReasonName, // net.Dial takes it for this machine
		"0":                         egress.ReasonName,
		"127.0.0.1":                 egress.ReasonLoopback,
		"127.255.255.254":           egress.ReasonLoopback,
		"127.0.0.1.":                egress.ReasonName,
		"127.1":                     egress.ReasonName,
		"127.0.1":                   egress.ReasonName,
		"2130706433":                egress.ReasonName,
		"017700000001":              egress.ReasonName,
		"0x7f000001":                egress.ReasonName,
		"0X7F000001":                egress.ReasonName,
		"0x7f.1":                    egress.ReasonName,
		"0x7f.0x0.0x0.0x1":          egress.ReasonName,
		"0x":                        egress.ReasonName,
		"0177.0.0.1":                egress.ReasonName,
		"127.0.0.01":                egress.ReasonName,
		"127.0.0.1.0x1":             egress.ReasonName,
		"127.0.0.1 ":                egress.ReasonName,
		" 127.0.0.1":                egress.ReasonName,
		"127.0.0.1\x00.example.com": egress.ReasonName,
		"127.0.0.1%2f.example.com":  egress.ReasonName,
		"\uff11\uff12\uff17.\uff10.\uff10.\uff11": egress.ReasonName, // full-width digits
		"127。0。0。1":                               egress.ReasonName,
		"①②⑦.⓪.⓪.①":                               egress.ReasonName,
		"0.0.0.0":                                 egress.ReasonReserved,
		"[::]":                                    egress.ReasonReserved,
		"[::1]":                                   egress.ReasonLoopback,
		"[0:0:0:0:0:0:0:1]":                       egress.ReasonLoopback,
		"[::1%lo]":                                egress.ReasonName,
		"[fe80::1%eth0]":                          egress.ReasonName,
		"[2606:4700:4700::1111%25x]":              egress.ReasonName,
		"[127.0.0.1]":                             egress.ReasonLoopback,
		"[::127.0.0.1]":                           egress.ReasonReserved,
		"[::ffff:127.0.0.1]":                      egress.ReasonReserved,
		"[::ffff:7f00:1]":                         egress.ReasonReserved,
		"[::ffff:0:127.0.0.1]":                    egress.ReasonReserved,
		"[64:ff9b::127.0.0.1]":                    egress.ReasonReserved,
		"[2002:7f00:1::]":                         egress.ReasonReserved,
		"[2001:0:7f00:1::]":                       egress.ReasonReserved,

		"169.254.169.254":      egress.ReasonMetadata,
		"2852039166":           egress.ReasonName,
		"0xA9FEA9FE":           egress.ReasonName,
		"0251.0376.0251.0376":  egress.ReasonName,
		"169.254.43518":        egress.ReasonName,
		"169.16689662":         egress.ReasonName,
		"425.510.425.510":      egress.ReasonName,
		"169.254.169.254.":     egress.ReasonName,
		"[::ffff:a9fe:a9fe]":   egress.ReasonReserved,
		"[fd00:ec2::254]":      egress.ReasonMetadata,
		"100.100.100.200":      egress.ReasonMetadata,
		"169.254.170.2":        egress.ReasonMetadata,
		"good@169.254.169.254": egress.ReasonName,

		"localhost":                            egress.ReasonName,
		"LocalHost":                            egress.ReasonName,
		"localhost.":                           egress.ReasonName,
		"localhost..":                          egress.ReasonName,
		"app.localhost":                        egress.ReasonName,
		"App.Localhost.":                       egress.ReasonName,
		"metadata.google.internal":             egress.ReasonName,
		"metadata.google.internal.":            egress.ReasonName,
		"METADATA.GOOGLE.INTERNAL":             egress.ReasonName,
		"ip-10-0-0-1.ec2.internal":             egress.ReasonName,
		"internal":                             egress.ReasonName,
		"host.docker.internal":                 egress.ReasonName,
		"kubernetes.default":                   egress.ReasonName,
		"kubernetes.default.svc":               egress.ReasonName,
		"kubernetes.default.svc.":              egress.ReasonName,
		"kubernetes.default.svc.cluster.local": egress.ReasonName,
		"\u212aubernetes.default.svc":          egress.ReasonName, // the Kelvin sign folds to k

		"-a.example.com":                     egress.ReasonName,
		"a-.example.com":                     egress.ReasonName,
		"a..example.com":                     egress.ReasonName,
		".example.com":                       egress.ReasonName,
		"exa mple.com":                       egress.ReasonName,
		"example.com/path":                   egress.ReasonName,
		"example.com\r\n":                    egress.ReasonName,
		"münchen.example":                    egress.ReasonName,
		"0b1111111.1":                        egress.ReasonName,
		"127.0.0.0o1":                        egress.ReasonName,
		"1.example.7f":                       egress.ReasonName,
		strings.Repeat("a.", 126) + "aa":     egress.ReasonName,     // 254 bytes
		strings.Repeat("a.", 126) + "a":      egress.ReasonLoopback, // 253, a good name
		strings.Repeat("a", 64) + ".example": egress.ReasonName,
		"example.123":                        egress.ReasonName,
		"example.0x7f":                       egress.ReasonName,
		"notlocalhost":                       egress.ReasonLoopback,
		"app.notinternal":                    egress.ReasonLoopback,
		"localtest.me":                       egress.ReasonLoopback, // a public name of a private address
		"127.0.0.1.nip.io":                   egress.ReasonLoopback,
		"7f000001.nip.io":                    egress.ReasonLoopback,
		"xn--mnchen-3ya.com":                 egress.ReasonLoopback,
		"my_app.example.com":                 egress.ReasonLoopback,
	}
}

func TestNoDeniedFormReachesTheSink(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	dialer := egress.New(egress.Config{Resolver: answers("127.0.0.1")})
	for host, want := range deniedHosts() {
		conn, err := dialer.DialContext(t.Context(), "tcp", host+":"+s.port())
		if err == nil {
			_ = conn.Close()
		}
		if got := reasonOf(t, err); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	s.sawNobody(t)
}

func TestOneDeniedAddressRefusesTheName(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	for name, c := range map[string]struct {
		answers []string
		want    egress.Reason
	}{
		"AAAA private, A allowed":            {[]string{"127.0.0.1", "fd12::1"}, egress.ReasonPrivate},
		"A private, AAAA public":             {[]string{"2606:4700:4700::1111", "10.0.0.1"}, egress.ReasonPrivate},
		"metadata behind many":               {[]string{"127.0.0.1", "1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "169.254.169.254"}, egress.ReasonMetadata},
		"a record in disguise":               {[]string{"127.0.0.1", "::ffff:10.0.0.1"}, egress.ReasonPrivate},
		"a public address with a zone":       {[]string{"127.0.0.1", "2606:4700:4700::1111%eth0"}, egress.ReasonLinkLocal},
		"NAT64 of a private address":         {[]string{"127.0.0.1", "64:ff9b::10.0.0.1"}, egress.ReasonReserved},
		"the same address, another loopback": {[]string{"127.0.0.1", "::1"}, egress.ReasonLoopback},
	} {
		dialer := egress.New(egress.Config{Allow: []netip.AddrPort{s.at}, Resolver: answers(c.answers...)})
		_, err := dialer.DialContext(t.Context(), "tcp", "two.example:"+s.port())
		if got := reasonOf(t, err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	s.sawNobody(t)
}

func TestRebindingMeetsTheJudgedAddress(t *testing.T) {
	t.Parallel()
	good := newSink(t, "127.0.0.1:0")
	bad := newSink(t, "127.0.0.2:"+good.port())
	var asked atomic.Int32
	dialer := egress.New(egress.Config{
		Allow: []netip.AddrPort{good.at},
		Resolver: resolver(func(context.Context, string) ([]netip.Addr, error) {
			if asked.Add(1) == 1 {
				return addrs("127.0.0.1"), nil
			}
			return addrs("127.0.0.2"), nil
		}),
	})

	conn, err := dialer.DialContext(t.Context(), "tcp", "rebind.example:"+good.port())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := asked.Load(); got != 1 {
		t.Errorf("the name was resolved %d times for one dial", got)
	}
	if got := good.accept(t); got != conn.LocalAddr().String() {
		t.Errorf("the listener saw %s", got)
	}

	_, err = dialer.DialContext(t.Context(), "tcp", "rebind.example:"+good.port())
	if got := reasonOf(t, err); got != egress.ReasonLoopback {
		t.Errorf("the second answer: %q, want loopback", got)
	}
	bad.sawNobody(t)
}

func TestExceptionReachesItsListenerOnly(t *testing.T) {
	t.Parallel()
	mine, other := newSink(t, "127.0.0.1:0"), newSink(t, "127.0.0.1:0")
	dialer := egress.New(egress.Config{Allow: []netip.AddrPort{mine.at}})

	conn, err := dialer.DialContext(t.Context(), "tcp", mine.at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got := mine.accept(t); got != conn.LocalAddr().String() {
		t.Errorf("the listener saw %s", got)
	}

	_, err = dialer.DialContext(t.Context(), "tcp", other.at.String())
	if got := reasonOf(t, err); got != egress.ReasonLoopback {
		t.Errorf("another port: %q, want loopback", got)
	}
	other.sawNobody(t)
}

func TestLocalhostIsThisMachineAndAsksNobody(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	dialer := egress.New(egress.Config{AllowLoopback: true, Resolver: answers("1.1.1.1")})
	for _, host := range []string{"localhost", "LocalHost.", "app.localhost"} {
		conn, err := dialer.DialContext(t.Context(), "tcp", host+":"+s.port())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.accept(t); got != conn.LocalAddr().String() {
			t.Errorf("%s: the listener saw %s", host, got)
		}
		_ = conn.Close()
	}
}

func TestNextAddressIsTriedWhenOneDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	dialer := egress.New(egress.Config{AllowLoopback: true, Resolver: answers("127.0.0.9", "127.0.0.1")})
	conn, err := dialer.DialContext(t.Context(), "tcp", "two.example:"+s.port())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	dialer := egress.New(egress.Config{
		AllowLoopback: true,
		Resolver:      answers("127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.1"),
	})
	_, err := dialer.DialContext(t.Context(), "tcp", "many.example:"+s.port())
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	s.sawNobody(t)
}

func TestResolverGetsAPlainName(t *testing.T) {
	t.Parallel()
	var got string
	dialer := egress.New(egress.Config{Resolver: resolver(func(_ context.Context, name string) ([]netip.Addr, error) {
		got = name
		return addrs("10.0.0.1"), nil
	})})
	_, _ = dialer.DialContext(t.Context(), "tcp", "API.Example.COM.:443")
	if got != "api.example.com" {
		t.Errorf("asked for %q", got)
	}
}

func TestDialKinds(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	fails := func(err error) resolver {
		return func(context.Context, string) ([]netip.Addr, error) { return nil, err }
	}
	hangs := resolver(func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	nobody := netip.MustParseAddrPort("127.0.0.1:1")

	for name, c := range map[string]struct {
		ctx     context.Context //nolint:containedctx // a row of a table
		cfg     egress.Config
		network string
		address string
		want    fault.Kind
	}{
		"udp":                       {t.Context(), egress.Config{}, "udp", "1.1.1.1:53", fault.Invalid},
		"one family only":           {t.Context(), egress.Config{Allow: []netip.AddrPort{nobody}}, "tcp4", nobody.String(), fault.Invalid},
		"a unix socket":             {t.Context(), egress.Config{}, "unix", "/var/run/docker.sock", fault.Invalid},
		"no port":                   {t.Context(), egress.Config{}, "tcp", "1.1.1.1", fault.Invalid},
		"a port by name":            {t.Context(), egress.Config{}, "tcp", "1.1.1.1:http", fault.Invalid},
		"a port too high":           {t.Context(), egress.Config{}, "tcp", "1.1.1.1:65536", fault.Invalid},
		"a port that wraps to mail": {t.Context(), egress.Config{}, "tcp", "1.1.1.1:65561", fault.Invalid},
		"a port with zeros":         {t.Context(), egress.Config{}, "tcp", "1.1.1.1:0025", fault.Forbidden},
		"bare IPv6":                 {t.Context(), egress.Config{}, "tcp", "::1:80", fault.Invalid},
		"nobody listens":            {t.Context(), egress.Config{Allow: []netip.AddrPort{nobody}}, "tcp", nobody.String(), fault.Unavailable},
		"no such name":              {t.Context(), egress.Config{Resolver: fails(&net.DNSError{IsNotFound: true})}, "tcp", "x.example:80", fault.Unavailable},
		"the name server is slow":   {t.Context(), egress.Config{Resolver: fails(&net.DNSError{IsTimeout: true})}, "tcp", "x.example:80", fault.Timeout},
		"the name server hangs":     {t.Context(), egress.Config{Resolver: hangs, DialTimeout: time.Millisecond}, "tcp", "x.example:80", fault.Timeout},
		"the caller left":           {canceled, egress.Config{Resolver: hangs}, "tcp", "x.example:80", fault.Canceled},
		"the caller left earlier":   {canceled, egress.Config{}, "tcp", "1.1.1.1:80", fault.Canceled},
		"a name without address":    {t.Context(), egress.Config{Resolver: answers()}, "tcp", "x.example:80", fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := egress.New(c.cfg).DialContext(c.ctx, c.network, c.address)
			if err == nil {
				_ = conn.Close()
				t.Fatal("dialled")
			}
			if got := fault.KindOf(err); got != c.want {
				t.Errorf("%v: %v, want %v", err, got, c.want)
			}
		})
	}
}
