//go:build integration

package test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/rs/zerolog"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// vaultImage is the Vault that everything here is tried on.
const vaultImage = "hashicorp/vault:1.21.0"

// vaultConfig keeps everything on disk, so that a Vault that comes back is as it was, and sealed. The second listener
// asks for certificates.
const vaultConfig = `
disable_mlock = true
log_level     = "debug" # why a login is refused it says there only
api_addr      = "http://127.0.0.1:8200"
cluster_addr  = "http://127.0.0.1:8201"
plugin_directory = "/vault/plugins"
storage "raft" {
  path    = "/vault/file"
  node_id = "one"
}
listener "tcp" {
  address     = "0.0.0.0:8200"
  tls_disable = true
}
listener "tcp" {
  address            = "0.0.0.0:8300"
  tls_cert_file      = "/vault/config/server.pem"
  tls_key_file       = "/vault/config/server.key"
}
`

// vaultServer is a Vault in a container: a real one, initialized, and unsealed by its key.
type vaultServer struct {
	t         *testing.T
	container testcontainers.Container
	addr      string // over HTTP
	tlsAddr   string // over TLS, by a certificate of ca
	ca        testCA
	key       string // that unseals it
	root      *api.Client
}

// startVault starts one. Without Docker it fails.
func startVault(t *testing.T) *vaultServer {
	t.Helper()
	v := &vaultServer{t: t, ca: newTestCA(t)}
	plain, secure := freeAddr(t), freeAddr(t)
	v.addr, v.tlsAddr = "http://"+plain, "https://"+secure
	cert, key := v.ca.issue(t, "vault")
	var err error
	v.container, err = testcontainers.Run(t.Context(), vaultImage,
		testcontainers.WithExposedPorts("8200/tcp", "8300/tcp"),
		testcontainers.WithHostConfigModifier(func(cfg *container.HostConfig) { // fixed, so that it comes back where it was
			cfg.PortBindings = network.PortMap{
				network.MustParsePort("8200/tcp"): {bindingOf(plain)}, network.MustParsePort("8300/tcp"): {bindingOf(secure)},
			}
		}),
		testcontainers.WithCmd("server", "-config=/vault/config/vault.hcl"),
		testcontainers.WithFiles(
			testcontainers.ContainerFile{Reader: strings.NewReader(vaultConfig), ContainerFilePath: "/vault/config/vault.hcl", FileMode: 0o644},
			testcontainers.ContainerFile{Reader: strings.NewReader(cert), ContainerFilePath: "/vault/config/server.pem", FileMode: 0o644},
			testcontainers.ContainerFile{Reader: strings.NewReader(key), ContainerFilePath: "/vault/config/server.key", FileMode: 0o600},
		),
		testcontainers.WithWaitStrategy(wait.ForLog("Vault server started!").WithStartupTimeout(2*time.Minute)))
	testcontainers.CleanupContainer(t, v.container)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.showLog)
	v.root = v.client("")
	v.initialize()
	return v
}

func bindingOf(addr string) network.PortBinding {
	at := netip.MustParseAddrPort(addr)
	return network.PortBinding{HostIP: at.Addr(), HostPort: strconv.Itoa(int(at.Port()))}
}

// client is one that is no part of Behalf.
func (v *vaultServer) client(token string) *api.Client {
	v.t.Helper()
	cfg := api.DefaultConfig()
	cfg.Address, cfg.MaxRetries = v.addr, 0
	c := must(api.NewClient(cfg))(v.t)
	c.SetToken(token)
	return c
}

func (v *vaultServer) initialize() {
	v.t.Helper()
	var made *api.InitResponse
	eventually(v.t, asLongAsItTakes, "Vault is not initialized", func() (ok bool) {
		var err error
		made, err = v.root.Sys().Init(&api.InitRequest{SecretShares: 1, SecretThreshold: 1})
		return err == nil
	})
	v.key = made.Keys[0]
	v.root.SetToken(made.RootToken)
	v.unseal()
}

func (v *vaultServer) unseal() {
	v.t.Helper()
	eventually(v.t, asLongAsItTakes, "Vault is not unsealed", func() bool {
		status, err := v.root.Sys().Unseal(v.key)
		if err != nil || status.Sealed {
			return false
		}
		h, err := v.root.Sys().Health()
		return err == nil && !h.Sealed && !h.Standby
	})
}

func (v *vaultServer) seal() {
	v.t.Helper()
	if err := v.root.Sys().Seal(); err != nil {
		v.t.Fatal(err)
	}
}

// showLog shows the last words of Vault where the test has failed.
func (v *vaultServer) showLog() {
	if !v.t.Failed() {
		return
	}
	log, err := v.container.Logs(context.WithoutCancel(v.t.Context()))
	if err != nil {
		v.t.Log(err)
		return
	}
	defer log.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(log)
	v.t.Logf("the end of Vault's log: %v\n%s", err, text[max(0, len(text)-4000):])
}

// stop ends the process of Vault, and start brings it back where it was, sealed.
func (v *vaultServer) stop() {
	v.t.Helper()
	if err := v.container.Stop(v.t.Context(), nil); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vaultServer) start() {
	v.t.Helper()
	if err := v.container.Start(v.t.Context()); err != nil {
		v.t.Fatal(err)
	}
}

// docker does what testcontainers cannot.
func (v *vaultServer) docker(args ...string) string {
	v.t.Helper()
	out, err := exec.CommandContext(v.t.Context(), "docker", append(args, v.container.GetContainerID())...).CombinedOutput()
	if err != nil {
		v.t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// host is how a process in the container reaches this one.
func (v *vaultServer) host() string {
	v.t.Helper()
	gateway := v.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")
	if net.ParseIP(gateway) == nil {
		v.t.Fatalf("the gateway is %q", gateway)
	}
	return gateway
}

// write writes as root.
func (v *vaultServer) write(path string, fields map[string]any) *api.Secret {
	v.t.Helper()
	return must(v.root.Logical().WriteWithContext(v.t.Context(), path, fields))(v.t)
}

// token makes one as root.
func (v *vaultServer) token(request api.TokenCreateRequest) string {
	v.t.Helper()
	return must(v.root.Auth().Token().Create(&request))(v.t).Auth.ClientToken
}

// config is that of a store that logs in by a token.
func (v *vaultServer) config(prefix, token string) vault.Config {
	return vault.Config{
		Server: vault.Server{Addr: v.addr}, Login: vault.Login{Given: secret.New(token)}, Prefix: prefix,
		Probe: 50 * time.Millisecond, RetryLogin: 50 * time.Millisecond,
	}
}

// store runs a store for the time of the test, and waits for its first login.
func (v *vaultServer) store(t *testing.T, cfg vault.Config) *vault.Store {
	t.Helper()
	s := must(vault.New(cfg, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)))(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.Tried():
	case <-time.After(asLongAsItTakes):
		t.Fatal("no login was tried")
	}
	return s
}
