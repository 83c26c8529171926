//go:build integration

package test

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

// natsImage is the server that is shipped beside Behalf.
const natsImage = "nats:2.15.2"

const natsPort = "4222/tcp"

// natsServer starts one server in a container and gives its URL. Without Docker it fails.
func natsServer(t *testing.T, options ...testcontainers.ContainerCustomizer) string {
	t.Helper()
	options = append(options,
		testcontainers.WithExposedPorts(natsPort),
		testcontainers.WithWaitStrategy(wait.ForLog("Server is ready"))) // the port alone says nothing: a proxy of Docker listens there
	c, err := testcontainers.Run(t.Context(), natsImage, options...)
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	url, err := c.PortEndpoint(t.Context(), natsPort, "nats")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// dialer opens connections to one of these servers, whichever the client picks.
func dialer(urls ...string) func(*testing.T) *bus.Conn {
	return func(t *testing.T) *bus.Conn {
		t.Helper()
		conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: strings.Join(urls, ",")}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return conn
	}
}

// The suites of the bus and of the journal, on the image that is shipped.
func TestBusOnTheImage(t *testing.T) {
	open := dialer(natsServer(t, testcontainers.WithCmd("-js", "-sd", "/data")))
	t.Run("bus", func(t *testing.T) { bustest.Exercise(t, open) })
	t.Run("journal", func(t *testing.T) { bustest.ExerciseJournal(t, open) })
}

// The same on three servers, where every stream has three replicas and a conflict has another code.
func TestBusOnACluster(t *testing.T) {
	mesh, err := network.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testcontainers.CleanupNetwork(t, mesh)
	var urls []string
	for _, name := range []string{"n1", "n2", "n3"} {
		urls = append(urls, natsServer(t,
			network.WithNetwork([]string{name}, mesh),
			testcontainers.WithCmd("-js", "-sd", "/data", "-n", name, "--cluster_name", "behalf", "--cluster", "nats://0.0.0.0:6222",
				"--no_advertise", "--routes", "nats://n1:6222,nats://n2:6222,nats://n3:6222")))
	}
	open := dialer(urls...)
	elected(t, open(t))
	t.Run("bus", func(t *testing.T) { bustest.Exercise(t, open) })
	t.Run("journal", func(t *testing.T) { bustest.ExerciseJournal(t, open) })
}

// elected waits until the cluster has a leader that makes streams.
func elected(t *testing.T, conn *bus.Conn) {
	t.Helper()
	late, tick := time.NewTimer(time.Minute), time.NewTicker(100*time.Millisecond)
	defer late.Stop()
	defer tick.Stop()
	layout := bustest.Layout()
	layout.Replicas = 3
	for {
		err := bus.Provision(t.Context(), conn, bustest.Environment, layout)
		if err == nil {
			return
		}
		select {
		case <-late.C:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}
