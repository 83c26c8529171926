package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// natsWith starts a server with this TLS, or none, and gives its address.
func natsWith(t *testing.T, config *tls.Config) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSConfig: config, TLSTimeout: 10, NoSigs: true, NoLog: true})
	must(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s.Addr().String()
}

// clientPair writes a client's certificate and its key.
func clientPair(t *testing.T) (bus.ConnTLS, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	files := bus.ConnTLS{Cert: filepath.Join(dir, "client.pem"), Key: filepath.Join(dir, "client.key")}
	must(t, os.WriteFile(files.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return files, cert
}

func TestConnectByTLS(t *testing.T) {
	dir, strange := t.TempDir(), t.TempDir()
	ca, err := localca.Open(localca.Config{Dir: dir})
	must(t, err)
	_, err = localca.Open(localca.Config{Dir: strange})
	must(t, err)
	client, cert := clientPair(t)
	asking := ca.TLS()
	asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	asking.ClientCAs.AddCert(cert)
	open, closed, plain := natsWith(t, ca.TLS()), natsWith(t, asking), natsWith(t, nil)
	ours := bus.ConnTLS{CA: localca.Path(dir)}
	known := client
	known.CA = ours.CA
	for name, c := range map[string]struct {
		url  string
		tls  bus.ConnTLS
		good bool
	}{
		"with its authority":                              {"tls://" + open, ours, true},
		"also where the URL says nothing":                 {"nats://" + open, ours, true},
		"with another's":                                  {"tls://" + open, bus.ConnTLS{CA: localca.Path(strange)}, false},
		"with those of this machine":                      {"tls://" + open, bus.ConnTLS{}, false},
		"a server that asks who we are":                   {"tls://" + closed, known, true},
		"and is not told":                                 {"tls://" + closed, ours, false},
		"a server without":                                {"tls://" + plain, bus.ConnTLS{}, false},
		"a server without, of whom an authority was told": {"nats://" + plain, ours, false},
		"files that are not there":                        {"tls://" + open, bus.ConnTLS{CA: "missing"}, false},
	} {
		conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: c.url, TLS: c.tls}, zerolog.Nop())
		if c.good != (err == nil) || err != nil && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
