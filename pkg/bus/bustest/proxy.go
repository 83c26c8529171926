package bustest

import (
	"errors"
	"net"
	"sync"
	"testing"
)

// Mode is what a Proxy does to the bytes that pass it.
type Mode int

// The modes.
const (
	// Pass lets everything through.
	Pass Mode = iota
	// HoldAnswers keeps what the server says until another mode comes, and then hands it over.
	HoldAnswers
	// DropAnswers throws away what the server says. Cut before Pass: a stream with a hole in it is of no use.
	DropAnswers
	// DropRequests throws away what the client says. Cut before Pass.
	DropRequests
	// Refuse closes every connection as soon as it comes. Those that are open pass.
	Refuse
)

// Proxy stands between clients and a server and loses what it is told to lose. It understands nothing of what it
// carries.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	mode    Mode
	changed chan struct{} // closed at each change of the mode
	open    map[net.Conn]struct{}
	closed  bool
}

// NewProxy listens on a port of this machine, in front of a target host:port, until the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	p.running.Go(p.serve)
	tb.Cleanup(p.close)
	return p
}

// Addr is where clients connect, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the mode, for the connections that are open and those to come.
func (p *Proxy) Set(mode Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = mode
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut closes every connection, with all that it holds, and goes on in this mode. Nothing that is on its way gets
// through.
func (p *Proxy) Cut(then Mode) {
	p.mu.Lock()
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
	p.mu.Unlock()
	p.Set(then)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut(Refuse)
	p.running.Wait()
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.join(client) })
	}
}

// join carries one connection until either side, or Cut, ends it.
func (p *Proxy) join(client net.Conn) {
	defer client.Close() //nolint:errcheck // nothing is left to be told
	if p.now() == Refuse {
		return
	}
	server, err := net.Dial("tcp", p.target) //nolint:noctx // Cut closes it
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // nothing is left to be told
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	var up sync.WaitGroup
	up.Go(func() {
		p.carry(server, client, DropRequests)
		_ = server.Close()
	})
	p.carry(client, server, DropAnswers)
	_ = client.Close()
	up.Wait()
}

// carry copies until an end. What comes in the mode drop is thrown away.
func (p *Proxy) carry(to, from net.Conn, drop Mode) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if err := p.write(to, buffer[:n], drop); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errGone = errors.New("the connection was cut")

func (p *Proxy) write(to net.Conn, data []byte, drop Mode) error {
	for {
		mode, changed, alive := p.look(to)
		switch {
		case !alive:
			return errGone
		case mode == drop:
			return nil
		case mode == HoldAnswers && drop == DropAnswers:
			<-changed
			continue
		}
		_, err := to.Write(data)
		return err
	}
}

func (p *Proxy) look(c net.Conn) (Mode, <-chan struct{}, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, alive := p.open[c]
	return p.mode, p.changed, alive
}

func (p *Proxy) now() Mode {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
	}
}
