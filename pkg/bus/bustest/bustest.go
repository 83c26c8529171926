// Package bustest gives tests a real bus on an embedded JetStream server, and the one suite that every bus passes.
//
// It is never part of the shipped binary.
package bustest

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
)

// Project is the project whose consumers exist on a test's bus.
const Project behalf.ProjectID = "proj_test"

// Workflow is a workflow of that project.
const Workflow behalf.WorkflowID = "p_test"

// Environment of a test's bus.
const Environment = behalf.Development

// Layout has short times and queues, so that redeliveries and full queues come while a test waits.
func Layout() bus.Layout { return bus.Layout{AckWait: time.Second, MaxQueued: 600} }

// Config fits Layout.
func Config() bus.Config {
	return bus.Config{AckWait: time.Second, Heartbeat: 500 * time.Millisecond, PubAckTimeout: time.Second}
}

// Server starts an embedded server without a port, in a folder of the test.
func Server(tb testing.TB) *embedded.Server {
	tb.Helper()
	s, err := embedded.Start(embedded.Config{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Listening is Server with a port, for a Proxy in front.
func Listening(tb testing.TB) *embedded.Server {
	tb.Helper()
	s, err := embedded.Start(embedded.Config{Dir: tb.TempDir(), Addr: "127.0.0.1:0"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Through connects to a listening server's environment by way of a proxy.
func Through(tb testing.TB, p *Proxy, s *embedded.Server) *bus.Conn {
	tb.Helper()
	conn, err := bus.Connect(tb.Context(), bus.ConnConfig{URL: "nats://" + p.Addr(), Creds: s.Creds(Environment)}, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	return conn
}

// Connect connects to a server's environment.
func Connect(tb testing.TB, s *embedded.Server) *bus.Conn {
	tb.Helper()
	conn, err := bus.Connect(tb.Context(), bus.ConnConfig{InProcess: s, Creds: s.Creds(Environment)}, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	return conn
}

// Provisioned makes the streams and the consumers of Project.
func Provisioned(tb testing.TB, conn *bus.Conn) {
	tb.Helper()
	if err := bus.Provision(tb.Context(), conn, Environment, Layout()); err != nil {
		tb.Fatal(err)
	}
	if err := bus.ProvisionProject(tb.Context(), conn, Environment, Project, Layout()); err != nil {
		tb.Fatal(err)
	}
}

// On makes the bus on a connection.
func On(tb testing.TB, conn *bus.Conn) *bus.Bus {
	tb.Helper()
	b, err := bus.New(tb.Context(), conn, Environment, Config(), zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// New gives a provisioned bus on a server of its own, and its connection.
func New(tb testing.TB) (*bus.Bus, *bus.Conn) {
	tb.Helper()
	conn := Connect(tb, Server(tb))
	Provisioned(tb, conn)
	return On(tb, conn), conn
}

// Event makes a fresh event of Project.
func Event() behalf.Event {
	run := behalf.NewRunID()
	return behalf.Event{
		V: behalf.FormatVersion, ID: run.Event(), Run: run, Project: Project, Environment: Environment, Workflow: Workflow,
		Version: "d_test", Lane: behalf.Shared, At: time.Now().UTC(), Trigger: []byte(`{"method":"POST","path":"/"}`),
	}
}
