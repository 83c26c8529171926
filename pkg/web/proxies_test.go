package web_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for list, good := range map[string]bool{
		"": true, "10.0.0.0/8": true, "10.0.0.1": true, " 10.0.0.0/8 , fd00::/8 ,": true, "::1": true,
		"::ffff:10.0.0.0/104": true, "fe80::1%eth0": true, "10.0.0.0/33": false, "proxy.example": false, "10.0.0": false, "10.0.0.0/8;::1": false,
	} {
		_, err := web.ParseProxies(list)
		if good != (err == nil) || !good && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestProxies(t *testing.T) {
	t.Parallel()
	trusted, err := web.ParseProxies("10.0.0.0/8, fd00::/8, 192.0.2.9")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		peer   string
		hops   []string
		proto  []string
		client string
		secure bool
	}{
		"no proxy":                               {"203.0.113.5:4000", nil, nil, "203.0.113.5", false},
		"a stranger's words are not believed":    {"203.0.113.5:4000", []string{"1.2.3.4"}, []string{"https"}, "203.0.113.5", false},
		"a proxy's are":                          {"10.0.0.1:4000", []string{"1.2.3.4"}, []string{"https"}, "1.2.3.4", true},
		"what a client wrote itself is not":      {"10.0.0.1:4000", []string{"6.6.6.6, 1.2.3.4"}, []string{"http"}, "1.2.3.4", false},
		"several proxies":                        {"10.0.0.1:4000", []string{"6.6.6.6, 1.2.3.4, 10.0.0.2", "192.0.2.9"}, []string{"HTTPS"}, "1.2.3.4", true},
		"all of them proxies":                    {"10.0.0.1:4000", []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3", false},
		"a proxy that says nothing":              {"10.0.0.1:4000", nil, nil, "10.0.0.1", false},
		"garbage ends the search":                {"10.0.0.1:4000", []string{"1.2.3.4, unknown, 10.0.0.2"}, []string{"gopher"}, "10.0.0.2", false},
		"an empty header":                        {"10.0.0.1:4000", []string{""}, []string{""}, "10.0.0.1", false},
		"a port behind the address":              {"10.0.0.1:4000", []string{"1.2.3.4:5678"}, nil, "1.2.3.4", false},
		"IPv6":                                   {"[fd00::1]:4000", []string{"2001:db8::7"}, nil, "2001:db8::7", false},
		"IPv6 in brackets":                       {"[fd00::1]:4000", []string{"[2001:db8::7]"}, nil, "2001:db8::7", false},
		"IPv6 with a port":                       {"[fd00::1]:4000", []string{"[2001:db8::7]:80"}, nil, "2001:db8::7", false},
		"a peer of mapped IPv4 is the same":      {"[::ffff:10.0.0.1]:4000", []string{"::ffff:1.2.3.4"}, nil, "1.2.3.4", false},
		"a zone changes nothing":                 {"[fd00::1%eth0]:4000", []string{"1.2.3.4"}, nil, "1.2.3.4", false},
		"the nearest proxy speaks of the scheme": {"10.0.0.1:4000", nil, []string{"https, http"}, "10.0.0.1", false},
		"a peer without an address":              {"@", []string{"1.2.3.4"}, []string{"https"}, "invalid IP", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = c.peer
			r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"] = c.hops, c.proto
			if got := trusted.Client(r).String(); got != c.client {
				t.Errorf("client %s, want %s", got, c.client)
			}
			if got := trusted.Secure(r); got != c.secure {
				t.Errorf("secure %v, want %v", got, c.secure)
			}
			var nobody web.Proxies
			r.TLS = &tls.ConnectionState{}
			if !nobody.Secure(r) {
				t.Error("our own TLS is secure whatever a header says")
			}
		})
	}
}

// However an operator writes an address, its peer is the same one.
func TestProxiesAreTheirAddresses(t *testing.T) {
	t.Parallel()
	for list, peer := range map[string]string{
		"::ffff:10.0.0.0/104": "10.1.2.3:4000", "::ffff:10.1.2.3": "10.1.2.3:4000", "10.0.0.0/8": "[::ffff:10.1.2.3]:4000",
		"fe80::1%eth0": "[fe80::1%eth1]:4000", "FD00::/8": "[fd00:0:0::1]:4000", "0.0.0.0/0": "203.0.113.5:4000",
	} {
		trusted, err := web.ParseProxies(list)
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", "2001:db8::7")
		if got := trusted.Client(r).String(); got != "2001:db8::7" {
			t.Errorf("trusting %s, the client of %s is %s", list, peer, got)
		}
	}
	ipv4, err := web.ParseProxies("0.0.0.0/0")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = "[2001:db8::1]:4000"
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	if got := ipv4.Client(r).String(); got != "2001:db8::1" {
		t.Errorf("trusting all of IPv4, an IPv6 peer is believed: %s", got)
	}
}

func TestProxiesTellTheHost(t *testing.T) {
	t.Parallel()
	trusted, err := web.ParseProxies("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		peer string
		host []string
		want string
	}{
		"nobody says another":        {"10.0.0.1:4000", nil, "inner.example"},
		"a stranger is not believed": {"203.0.113.5:4000", []string{"flows.example"}, "inner.example"},
		"a proxy is":                 {"10.0.0.1:4000", []string{"flows.example:8443"}, "flows.example:8443"},
		"the nearest one":            {"10.0.0.1:4000", []string{"evil.example, flows.example"}, "flows.example"},
		"the nearest of two lines":   {"10.0.0.1:4000", []string{"evil.example", " flows.example "}, "flows.example"},
		"IPv6":                       {"10.0.0.1:4000", []string{"[2001:db8::7]:80"}, "[2001:db8::7]:80"},
		"an empty one":               {"10.0.0.1:4000", []string{""}, "inner.example"},
		"an empty one at the end":    {"10.0.0.1:4000", []string{"flows.example,"}, "inner.example"},
		"what is no host":            {"10.0.0.1:4000", []string{"flows.example/../x"}, "inner.example"},
		"what would break a header":  {"10.0.0.1:4000", []string{"flows.example\r\nx: y"}, "inner.example"},
		"what is longer than any":    {"10.0.0.1:4000", []string{strings.Repeat("a", 300)}, "inner.example"},
		"letters that DNS has not":   {"10.0.0.1:4000", []string{"flöws.example"}, "inner.example"},
		"a user before it":           {"10.0.0.1:4000", []string{"user@flows.example"}, "inner.example"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Host, r.RemoteAddr, r.Header["X-Forwarded-Host"] = "inner.example", c.peer, c.host
		if got := trusted.Host(r); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
