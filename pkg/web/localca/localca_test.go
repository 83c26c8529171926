package localca_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// opened opens the authority of a folder at a time, and gives the server's certificate and those who trust it.
func opened(t *testing.T, dir string, now time.Time, hosts ...string) (*x509.Certificate, *x509.CertPool) {
	t.Helper()
	ca, err := localca.Open(localca.Config{Dir: dir, Hosts: hosts, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.TLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return server.Leaf, trusting(t, dir)
}

func trusting(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority(t, dir)) {
		t.Fatal("ca.pem holds no certificate")
	}
	return pool
}

func authority(t *testing.T, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(localca.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheServerIsBelievedUnderItsNames(t *testing.T) {
	t.Parallel()
	now := time.Now()
	leaf, pool := opened(t, t.TempDir(), now, "Behalf.test", "192.0.2.7", "0.0.0.0", "")
	for host, good := range map[string]bool{
		"localhost": true, "endpoint.localhost": true, "127.0.0.1": true, "::1": true, "behalf.test": true, "192.0.2.7": true,
		"192.0.2.8": false, "other.test": false, "0.0.0.0": false,
	} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool, CurrentTime: now})
		if good != (err == nil) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestTheAuthorityMaySignForThisMachineOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opened(t, dir, time.Now())
	block, _ := pem.Decode(authority(t, dir))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.PermittedDNSDomainsCritical || len(ca.PermittedDNSDomains) != 1 || ca.PermittedDNSDomains[0] != "localhost" || len(ca.PermittedIPRanges) != 2 {
		t.Errorf("it may sign for %v and %v", ca.PermittedDNSDomains, ca.PermittedIPRanges)
	}
	if !ca.IsCA || !ca.MaxPathLenZero {
		t.Error("it may make other authorities")
	}
	info, err := os.Stat(filepath.Join(dir, "ca-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its key has mode %v, %v", info.Mode(), err)
	}
}

func TestAnAuthorityStays(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	opened(t, dir, now)
	first := string(authority(t, dir))
	for name, c := range map[string]struct {
		after time.Duration
		hosts []string
		kept  bool
	}{
		"the next day":        {24 * time.Hour, nil, true},
		"a name below its":    {0, []string{"a.localhost"}, true},
		"its other loopbacks": {0, []string{"127.0.0.2"}, true},
		"another host":        {0, []string{"behalf.test"}, false},
		"near its end":        {10*365*24*time.Hour - 24*time.Hour, nil, false},
	} {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		leaf, pool := opened(t, copied, now.Add(c.after), c.hosts...)
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: pool, CurrentTime: now.Add(c.after)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if kept := string(authority(t, copied)) == first; kept != c.kept {
			t.Errorf("%s: the authority was kept: %t", name, kept)
		}
	}
}

// A server that runs for months is given another certificate before its own ends, and nobody notices.
func TestTheServersCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dir := t.TempDir()
	ca, err := localca.Open(localca.Config{Dir: dir, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	config, pool := ca.TLS(), trusting(t, dir)
	serial := func() string {
		cert, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: pool, CurrentTime: now}); err != nil {
			t.Error(err)
		}
		return cert.Leaf.SerialNumber.String()
	}
	first := serial()
	now = now.Add(50 * 24 * time.Hour)
	if serial() != first {
		t.Error("it was renewed although it is good for long")
	}
	now = now.Add(30 * 24 * time.Hour)
	if serial() == first {
		t.Error("it was not renewed near its end")
	}
}

func TestFilesThatAreNoAuthority(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opened(t, dir, time.Now())
	if err := os.WriteFile(filepath.Join(dir, "ca-key.pem"), []byte("scribble"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := localca.Open(localca.Config{Dir: dir}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(localca.Path(dir)); err != nil {
		t.Fatal(err)
	}
	opened(t, dir, time.Now()) // without the half of it there is none
	if _, err := localca.Open(localca.Config{Dir: filepath.Join(dir, "missing")}); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
