// Package localca is a certificate authority for the machine it runs on: with it `behalf dev` speaks https, and who
// trusts its one file can check that.
//
// It never signs for a name that is not this machine's, which its own certificate says too: whoever steals its key can
// pretend to be this machine to itself, and nothing else.
package localca

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Config says where the authority lives, and for whom it signs.
type Config struct {
	// Dir holds ca.pem, which anybody may read, and ca-key.pem, which only its owner may.
	Dir string
	// Hosts are names and addresses of this machine that are served, besides localhost, the names below it, and the
	// loopback addresses.
	Hosts []string
	// Now tells the time.
	//
	// Defaults to the clock.
	Now func() time.Time
}

const (
	authorityLasts = 10 * 365 * 24 * time.Hour
	serverLasts    = 90 * 24 * time.Hour
	// nearExpiry is how long before its end a certificate is made anew.
	nearExpiry = 30 * 24 * time.Hour
)

// CA signs the certificate of one server, whose key is never written anywhere.
type CA struct {
	hosts       []string
	now         func() time.Time
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	server      atomic.Pointer[tls.Certificate]
}

// Path is where the certificate of a folder's authority lies.
func Path(dir string) string { return filepath.Join(dir, "ca.pem") }

func keyPath(dir string) string { return filepath.Join(dir, "ca-key.pem") }

// Open opens the authority of a folder. It makes one where there is none, where it is about to expire, and where it may not
// sign for these hosts; whoever trusted the one before must trust the new one. Errors: Invalid, for files that are no
// authority, or cannot be read or written.
func Open(cfg Config) (*CA, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &CA{hosts: hostsOf(cfg.Hosts), now: cfg.Now}
	known, err := c.read(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if !known || !c.fits() {
		if err := c.found(cfg.Dir); err != nil {
			return nil, err
		}
	}
	_, err = c.renew()
	return c, err
}

// TLS is the configuration of a server with a certificate of this authority: TLS 1.2 and newer.
func (c *CA) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if server := c.server.Load(); c.lasts(server.Leaf) {
				return server, nil
			}
			return c.renew()
		},
	}
}

func hostsOf(more []string) []string {
	hosts := []string{"localhost", "*.localhost", "127.0.0.1", "::1"}
	for _, host := range more {
		host = strings.ToLower(host)
		ip := net.ParseIP(host)
		if host == "" || ip != nil && ip.IsUnspecified() || slices.Contains(hosts, host) {
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}

func (c *CA) lasts(cert *x509.Certificate) bool { return cert.NotAfter.Sub(c.now()) > nearExpiry }

// fits says whether the authority may sign for every host, for long enough.
func (c *CA) fits() bool {
	for _, host := range c.hosts {
		ip := net.ParseIP(host)
		allowed := ip != nil && slices.ContainsFunc(c.certificate.PermittedIPRanges, func(n *net.IPNet) bool { return n.Contains(ip) })
		if ip == nil {
			name := strings.TrimPrefix(host, "*.")
			allowed = slices.ContainsFunc(c.certificate.PermittedDNSDomains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
		}
		if !allowed {
			return false
		}
	}
	return c.lasts(c.certificate)
}

// read reads the files. False means that there are none.
func (c *CA) read(dir string) (bool, error) {
	cert, err := os.ReadFile(Path(dir))
	key, keyErr := os.ReadFile(keyPath(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(keyErr, fs.ErrNotExist) {
		return false, nil
	}
	if err := cmp.Or(err, keyErr); err != nil {
		return false, fault.Newf(fault.Invalid, "localca.Open", "cannot read %s", dir).Because(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	signer, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if err != nil || !ok || !pair.Leaf.IsCA {
		return false, fault.Newf(fault.Invalid, "localca.Open", "%s and %s are no certificate authority of ours; delete both for a new one", Path(dir), keyPath(dir)).Because(err)
	}
	c.certificate, c.key = pair.Leaf, signer
	return true, nil
}

// found makes a new authority and writes it. The key comes first: a certificate without it would be believed.
func (c *CA) found(dir string) (err error) {
	if c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return fault.Wrap(fault.Internal, "localca.Open", err)
	}
	template := c.template("Behalf on this machine", authorityLasts)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.PermittedDNSDomainsCritical = true
	for _, host := range c.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.PermittedIPRanges = append(template.PermittedIPRanges, around(ip))
			continue
		}
		if !strings.HasPrefix(host, "*.") { // below a name that is allowed already
			template.PermittedDNSDomains = append(template.PermittedDNSDomains, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.key.Public(), c.key)
	if err != nil {
		return fault.Newf(fault.Invalid, "localca.Open", "no certificate can be made for %s", strings.Join(c.hosts, ", ")).Because(err)
	}
	if c.certificate, err = x509.ParseCertificate(der); err != nil {
		return fault.Wrap(fault.Internal, "localca.Open", err)
	}
	return c.write(dir)
}

// around is the network of the loopback addresses, or one address alone.
func around(ip net.IP) *net.IPNet {
	if v4 := ip.To4(); v4 != nil {
		bits := 32
		if v4.IsLoopback() {
			bits = 8
		}
		mask := net.CIDRMask(bits, 32)
		return &net.IPNet{IP: v4.Mask(mask), Mask: mask}
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(128, 128)}
}

func (c *CA) write(dir string) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return fault.Wrap(fault.Internal, "localca.Open", err)
	}
	for _, file := range []struct {
		path, kind string
		der        []byte
		mode       fs.FileMode
	}{
		{keyPath(dir), "PRIVATE KEY", key, 0o600},
		{Path(dir), "CERTIFICATE", c.certificate.Raw, 0o644},
	} {
		if err := replace(file.path, pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der}), file.mode); err != nil {
			return fault.Newf(fault.Invalid, "localca.Open", "cannot write %s", file.path).Because(err)
		}
	}
	return nil
}

// replace writes a file as a whole.
func replace(path string, data []byte, mode fs.FileMode) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(fresh, data, mode); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// renew makes the certificate of the server.
func (c *CA) renew() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "localca.renew", err)
	}
	template := c.template(c.hosts[0], serverLasts)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range c.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, key.Public(), c.key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "localca.renew", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "localca.renew", err)
	}
	server := &tls.Certificate{Certificate: [][]byte{der, bytes.Clone(c.certificate.Raw)}, PrivateKey: key, Leaf: leaf}
	c.server.Store(server)
	return server, nil
}

func (c *CA) template(name string, lasts time.Duration) *x509.Certificate {
	now := c.now()
	return &x509.Certificate{ // its serial number is made with it
		Subject:   pkix.Name{CommonName: name, Organization: []string{"Behalf development"}},
		NotBefore: now.Add(-time.Hour), // another machine's clock may be behind
		NotAfter:  now.Add(lasts),
	}
}
