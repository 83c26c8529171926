package web_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// pair writes a certificate for this machine and its key, and gives the certificate.
func pair(t *testing.T, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	ca, err := localca.Open(localca.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	made, err := ca.TLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]})
	for file, data := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return made.Leaf
}

func files(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	return filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
}

// shown is the certificate that a server shows, and what the client and it agreed on.
func shown(t *testing.T, addr string, config *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	config.InsecureSkipVerify = true // which certificate it is, is looked at here
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState(), nil
}

func TestServeSpeaksTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile := files(t)
	leaf := pair(t, certFile, keyFile)
	cert, err := web.LoadCertificate(certFile, keyFile, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, http.NotFoundHandler(), web.ServerConfig{TLS: cert.TLS()})
	state, err := shown(t, s.addr, &tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil || state.NegotiatedProtocol != "h2" || state.Version != tls.VersionTLS13 || !state.PeerCertificates[0].Equal(leaf) {
		t.Errorf("%q, version %x, %v", state.NegotiatedProtocol, state.Version, err)
	}
	if state, err := shown(t, s.addr, &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}); err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("TLS 1.2: %q, %v", state.NegotiatedProtocol, err)
	}
	if _, err := shown(t, s.addr, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// A certificate that is renewed is shown without a restart, and one that cannot be read does not replace it.
func TestACertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	certFile, keyFile := files(t)
	pair(t, certFile, keyFile)
	cert, err := web.LoadCertificate(certFile, keyFile, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, http.NotFoundHandler(), web.ServerConfig{TLS: cert.TLS()})
	shows := func(want *x509.Certificate) {
		t.Helper()
		late := time.After(30 * time.Second)
		for tick := time.Tick(50 * time.Millisecond); ; {
			state, err := shown(t, s.addr, &tls.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if state.PeerCertificates[0].Equal(want) {
				return
			}
			select {
			case <-late:
				t.Fatal("the new certificate is not shown")
			case <-tick:
			}
		}
	}
	second := pair(t, certFile, keyFile)
	shows(second)
	if err := os.WriteFile(keyFile, []byte("scribble"), 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.After(1500 * time.Millisecond) // the files are looked at once a second
	for waiting := true; waiting; {
		shows(second)
		select {
		case <-past:
			waiting = false
		default:
		}
	}
	shows(pair(t, certFile, keyFile))
}

func TestFilesThatAreNoCertificate(t *testing.T) {
	t.Parallel()
	certFile, keyFile := files(t)
	pair(t, certFile, keyFile)
	otherCert, otherKey := files(t)
	pair(t, otherCert, otherKey)
	for name, c := range map[string][2]string{
		"none": {"missing", "missing"}, "no key": {certFile, "missing"}, "another's key": {certFile, otherKey}, "swapped": {keyFile, certFile},
	} {
		if _, err := web.LoadCertificate(c[0], c[1], zerolog.Nop()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
