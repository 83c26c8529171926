// Package egress is the one dialer for the outside world: it judges an address, and dials the very address it judged.
// Whatever a user, a workflow or a vendor may name (an action, a webhook, an OAuth endpoint, a step's own request)
// leaves through it.
//
// It never dials a name, only an address it has resolved and judged; never uses a proxy of the process environment;
// never follows a redirect by itself; and never bounds or reads a body, which is its caller's work.
package egress

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// mailPort is denied whatever the Config says: nothing ruins an operator's addresses faster than sent spam.
const mailPort = 25

// maxTries bounds the addresses of one name that are tried, so that a name with a thousand of them is no port scanner.
const maxTries = 4

// minTry is the least time one address gets, as long as there is any left.
const minTry = 2 * time.Second

// Config tunes a Dialer. The zero value reaches the public internet and nothing else.
type Config struct {
	// Allow lists exact exceptions, each one address with one port, whatever else denies them: in `dev` the listener
	// of the practice app.
	//
	// Defaults to none.
	Allow []netip.AddrPort

	// AllowLoopback lets loopback addresses, localhost and *.localhost pass, on ports that are not denied.
	//
	// Defaults to false.
	AllowLoopback bool

	// AllowPrivate lists networks of which private addresses pass, on ports that are not denied. It lifts no other
	// reason: a metadata service inside stays out of reach.
	//
	// Defaults to none.
	AllowPrivate []netip.Prefix

	// Ports are the ports that are denied besides 25, which always is. An empty list that is not nil denies no more.
	//
	// Defaults to 6379 and 11211: their servers take the lines of an HTTP request for commands.
	Ports []uint16

	// DialTimeout is how long it may take to resolve a name and to connect, all its addresses together.
	//
	// Defaults to 10 seconds.
	DialTimeout time.Duration

	// ResponseHeaderTimeout is how long a server of a Client may take from the request to the end of its headers.
	//
	// Defaults to 60 seconds.
	ResponseHeaderTimeout time.Duration

	// Resolver resolves names, which come in lower case and without a final dot.
	//
	// Defaults to the system's resolver, asked for the absolute name, so that no search domain is put behind it.
	Resolver Resolver
}

func (c Config) withDefaults() Config {
	c.Allow = slices.Clone(c.Allow)
	for i, at := range c.Allow { // a net.Listener may say 127.0.0.1 as ::ffff:127.0.0.1
		c.Allow[i] = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	c.AllowPrivate = slices.Clone(c.AllowPrivate)
	if c.Ports == nil {
		c.Ports = []uint16{6379, 11211}
	}
	c.Ports = append(slices.Clone(c.Ports), mailPort)
	c.DialTimeout = cmp.Or(c.DialTimeout, 10*time.Second)
	c.ResponseHeaderTimeout = cmp.Or(c.ResponseHeaderTimeout, time.Minute)
	if c.Resolver == nil {
		c.Resolver = absolute{net.DefaultResolver}
	}
	return c
}

// Resolver finds the addresses of a name. A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// absolute asks for names with their final dot. Without it "vault" may become vault.default.svc.cluster.local.
type absolute struct{ *net.Resolver }

func (a absolute) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return a.Resolver.LookupNetIP(ctx, network, host+".")
}

// Dialer judges addresses and dials those that pass. It is safe for concurrent use.
type Dialer struct {
	cfg       Config
	rules     []rule
	transport *http.Transport
}

// New makes a dialer.
func New(cfg Config) *Dialer {
	d := &Dialer{cfg: cfg.withDefaults(), rules: standardRules()}
	d.transport = d.newTransport()
	return d
}

// DialContext connects to host:port over network "tcp", and fits where a net.Dialer's method does.
//
// A name is resolved once; if any of its addresses, of either family, is denied, the name is refused whole. Outcomes:
// Forbidden with a Denied in its chain, Invalid for an address that is none, Timeout, Canceled, and Unavailable for a
// name that does not resolve and a host that does not answer.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fault.Newf(fault.Invalid, "egress.DialContext", "network %.16q is not tcp", network)
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.DialTimeout)
	defer cancel()

	ats, err := d.resolve(ctx, address)
	if err != nil {
		return nil, err
	}
	return d.connect(ctx, ats)
}

// resolve turns host:port into addresses, all of which have been judged and passed.
func (d *Dialer) resolve(ctx context.Context, address string) ([]netip.AddrPort, error) {
	text, port, err := splitHostPort(address)
	if err != nil {
		return nil, err
	}
	h, ok := parseHost(text)
	if !ok || d.deniesName(h.name) {
		return nil, deny("egress.DialContext", Denied{Reason: ReasonName, Host: text})
	}
	addrs, err := d.lookup(ctx, h)
	if err != nil {
		return nil, err
	}

	ats := make([]netip.AddrPort, 0, len(addrs))
	for _, addr := range addrs {
		at := netip.AddrPortFrom(addr, port)
		if reason := d.reason(at); reason != "" {
			return nil, deny("egress.DialContext", Denied{Reason: reason, Addr: at, Host: h.name})
		}
		ats = append(ats, at)
	}
	return ats, nil
}

// lookup returns the addresses of a host: at least one. Resolvers hand A records over as ::ffff:a.b.c.d, hence Unmap;
// in an address the caller spelled out that form stays, and is denied.
func (d *Dialer) lookup(ctx context.Context, h host) ([]netip.Addr, error) {
	switch {
	case h.name == "":
		return []netip.Addr{h.addr}, nil
	case within(h.name, "localhost"): // by RFC 6761 always this machine; a name server has no say in it
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	found, err := d.cfg.Resolver.LookupNetIP(ctx, "ip", h.name)
	if err != nil {
		return nil, fault.Wrap(kindOf(err), "egress.DialContext", err)
	}
	if len(found) == 0 {
		return nil, fault.New(fault.Unavailable, "egress.DialContext", "the host has no address")
	}
	addrs := make([]netip.Addr, len(found))
	for i, addr := range found {
		addrs[i] = addr.Unmap()
	}
	return addrs, nil
}

// connect tries the addresses in turn and gives each a fair share of the time. If none answers, the first error counts:
// the resolver puts the best address first.
func (d *Dialer) connect(ctx context.Context, ats []netip.AddrPort) (net.Conn, error) {
	var first error
	ats = ats[:min(len(ats), maxTries)]
	for i, at := range ats {
		conn, err := d.try(ctx, at, len(ats)-i)
		if err == nil {
			return conn, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, fault.Wrap(kindOf(first), "egress.DialContext", first)
}

func (d *Dialer) try(ctx context.Context, at netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		share := max(time.Until(deadline)/time.Duration(left), minTry)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	dialer := net.Dialer{Control: d.control}
	return dialer.DialContext(ctx, "tcp", at.String())
}

// control is the second judge. The system calls it with the address it is about to connect the socket to, so a mistake
// above, or in what lies between, cannot reach a denied address.
func (d *Dialer) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.Wrap(fault.Internal, "egress.control", err)
	}
	return d.Judge(at)
}

// splitHostPort takes numeric ports only: a service name is looked up in a file that nobody judges.
func splitHostPort(address string) (string, uint16, error) {
	text, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fault.New(fault.Invalid, "egress.DialContext", "the address is not host:port").Because(err)
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fault.New(fault.Invalid, "egress.DialContext", "the port is not a number up to 65535").Because(err)
	}
	return text, uint16(port), nil
}

// kindOf classifies an error of the network.
func kindOf(err error) fault.Kind {
	if kind := fault.KindOf(err); kind != fault.Internal { // our own second judge, or the context
		return kind
	}
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return fault.Timeout
	}
	return fault.Unavailable
}
