package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// loose resolves as the most careless of system resolvers does: whatever inet_aton reads is an address to it.
type loose struct{}

func (loose) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, ok := inetAton(host); ok {
		return []netip.Addr{addr}, nil
	}
	return []netip.Addr{netip.MustParseAddr("1.1.1.1")}, nil
}

// inetAton reads IPv4 in the old way: one to four numbers, decimal, octal or hexadecimal, the last of which fills
// what is left.
func inetAton(text string) (netip.Addr, bool) {
	parts := strings.Split(strings.TrimSuffix(text, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(atonDigits(part), 0, 64)
		if err != nil || strings.Contains(part, "_") {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			n = n & 0xff << (24 - 8*i)
		}
		sum |= n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// atonDigits makes the parts that only C reads readable to strconv: a bare 0x is 0.
func atonDigits(part string) string {
	if strings.EqualFold(part, "0x") {
		return "0"
	}
	return part
}

func FuzzHost(f *testing.F) {
	for _, seed := range []string{
		"example.com", "EXAMPLE.com.", "xn--mnchen-3ya.example", "my_app.example.com", "1.1.1.1", "2606:4700:4700::1111",
		"169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "169.254.169.254.",
		"\uff11\uff16\uff19.254.169.254", "::ffff:a9fe:a9fe", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
		"fe80::1%eth0", "fd00:ec2::254", "127.1", "0", "0x", "1.0x", "a.0x7f", "localhost", "a.localhost.", "\u212aubernetes.default.svc",
		"metadata.google.internal", "", ".", "..", "-", "a..b", "[::1]", "a:b", "127.0.0.1\x00.example.com",
	} {
		f.Add(seed)
	}
	dialer := New(Config{Resolver: loose{}})
	f.Fuzz(func(t *testing.T, text string) {
		checkHost(t, text)
		ats, err := dialer.resolve(t.Context(), net.JoinHostPort(text, "443"))
		if err != nil {
			return
		}
		for _, at := range ats {
			if err := dialer.Judge(at); err != nil {
				t.Errorf("%q was accepted, and is %v", text, err)
			}
		}
	})
}

// checkHost holds the parser to its word: what it accepts is exactly an address or exactly a name, in one form.
func checkHost(t *testing.T, text string) {
	t.Helper()
	h, ok := parseHost(text)
	if !ok {
		return
	}
	if h.addr.IsValid() == (h.name != "") {
		t.Fatalf("%q is both or neither: %+v", text, h)
	}
	if h.addr.IsValid() && h.addr.Zone() != "" {
		t.Errorf("%q has a zone", text)
	}
	if h.name == "" {
		return
	}
	if again, ok := parseHost(h.name); !ok || again != h {
		t.Errorf("%q became %+v, then %+v", text, h, again)
	}
	if addr, ok := inetAton(h.name); ok {
		t.Errorf("%q passes as a name, but resolvers may read it as %s", text, addr)
	}
	if strings.ToLower(strings.TrimSuffix(text, ".")) != h.name {
		t.Errorf("%q was rewritten to %q", text, h.name)
	}
}

func TestLooseResolverReadsTheEncodings(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "169.16689662", "169.254.169.254."} {
		if addr, ok := inetAton(text); !ok || addr != netip.MustParseAddr("169.254.169.254") {
			t.Errorf("%s is %s, %v", text, addr, ok)
		}
	}
}

func TestControlIsASecondJudge(t *testing.T) {
	t.Parallel()
	dialer := New(Config{})
	for address, passes := range map[string]bool{
		"1.1.1.1:443":                 true,
		"127.0.0.1:443":               false,
		"[fd00:ec2::254]:80":          false,
		"[fe80::1%eth0]:80":           false,
		"1.1.1.1:25":                  false,
		"example.com:443":             false,
		"/var/run/docker.sock":        false,
		"[2606:4700:4700::1111]:443":  true,
		"[::ffff:169.254.169.254]:80": false,
	} {
		if err := dialer.control("tcp", address, nil); (err == nil) != passes {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestConnectAsksTheSecondJudge goes past the first one, as a mistake of ours might.
func TestConnectAsksTheSecondJudge(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	conn, err := New(Config{}).connect(t.Context(), []netip.AddrPort{netip.MustParseAddrPort(ln.Addr().String())})
	if err == nil {
		_ = conn.Close()
	}
	if kindOf(err).String() != "forbidden" {
		t.Errorf("got %v, want forbidden", err)
	}
}

func TestSystemResolverIsAskedForTheAbsoluteName(t *testing.T) {
	t.Parallel()
	offline := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no network in this test")
	}}
	_, err := absolute{offline}.LookupNetIP(t.Context(), "ip", "vault.example")
	var dnsErr *net.DNSError
	if !errors.As(err, &dnsErr) || dnsErr.Name != "vault.example." {
		t.Errorf("got %v, want a look-up of vault.example. with its dot", err)
	}
}
