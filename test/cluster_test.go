//go:build integration

package test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// natsCluster is three servers of the shipped image in containers, which speak TLS with clients.
type natsCluster struct {
	natsServers
	containers map[string]string // the ids, by the server's name
}

// clusterConfig is the same for each server: the name is told on the command line.
const clusterConfig = `port: 4222
jetstream { store_dir: "/data" }
cluster { name: behalf, listen: "0.0.0.0:6222", no_advertise: true, routes: ["nats://n1:6222", "nats://n2:6222", "nats://n3:6222"] }
tls { cert_file: "/server.pem", key_file: "/server.key" }
`

func startCluster(t *testing.T, dir string) *natsCluster {
	t.Helper()
	mesh, err := network.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testcontainers.CleanupNetwork(t, mesh)
	c := &natsCluster{
		natsServers: natsServers{creds: make(map[behalf.Environment]string, 2), ca: localca.Path(dir), replicas: 3},
		containers:  make(map[string]string, 3),
	}
	files := c.files(t, dir)
	var urls []string
	for _, name := range []string{"n1", "n2", "n3"} {
		ctr, err := testcontainers.Run(t.Context(), natsImage, network.WithNetwork([]string{name}, mesh),
			testcontainers.WithFiles(files...), testcontainers.WithCmd("-c", "/nats.conf", "-n", name),
			testcontainers.WithExposedPorts(natsPort), testcontainers.WithWaitStrategy(wait.ForLog("Server is ready")))
		testcontainers.CleanupContainer(t, ctr)
		if err != nil {
			t.Fatal(err)
		}
		urls = append(urls, must(ctr.PortEndpoint(t.Context(), natsPort, "tls"))(t))
		c.containers[name] = ctr.GetContainerID()
	}
	c.urls = strings.Join(urls, ",")
	c.elected(t)
	return c
}

// files are what each server reads: its configuration, a certificate, and its key.
func (c *natsCluster) files(t *testing.T, dir string) []testcontainers.ContainerFile {
	t.Helper()
	ca := must(localca.Open(localca.Config{Dir: dir}))(t)
	cert := must(ca.TLS().GetCertificate(nil))(t)
	key := must(x509.MarshalPKCS8PrivateKey(cert.PrivateKey))(t)
	var files []testcontainers.ContainerFile
	for name, text := range map[string]string{
		"nats.conf":  clusterConfig + c.operator(t, dir),
		"server.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		"server.key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	} {
		write(t, filepath.Join(dir, name), text)
		files = append(files, testcontainers.ContainerFile{HostFilePath: filepath.Join(dir, name), ContainerFilePath: "/" + name, FileMode: 0o644})
	}
	return files
}

// elected waits until the cluster makes streams of three replicas.
func (c *natsCluster) elected(t *testing.T) {
	t.Helper()
	_, js := c.connect(t, production)
	eventually(t, 2*time.Minute, "the cluster makes no streams", func() bool {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "PROBE", Replicas: 3})
		return err == nil && js.DeleteStream(t.Context(), "PROBE") == nil
	})
}

// killLeader kills the server that leads a stream, as kill -9 does, and says which it was.
func (c *natsCluster) killLeader(t *testing.T, js jetstream.JetStream, stream string) string {
	t.Helper()
	s := must(js.Stream(t.Context(), stream))(t)
	leader := must(s.Info(t.Context()))(t).Cluster.Leader
	if out, err := exec.Command("docker", "kill", "--signal", "KILL", c.containers[leader]).CombinedOutput(); err != nil {
		t.Fatalf("kill %s of %v: %v\n%s", leader, c.containers, err, out)
	}
	return fmt.Sprintf("%s, the leader of %s", leader, stream)
}
