package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Certificate is a server's own certificate, read from its files again after they have changed, so that one that is
// renewed needs no restart.
type Certificate struct {
	certFile, keyFile string
	log               zerolog.Logger
	current           atomic.Pointer[tls.Certificate]
	seen              atomic.Pointer[[sha256.Size]byte] // the files, as they were looked at last
	started           time.Time
	looked            atomic.Int64 // when, in monotonic nanoseconds since started
}

// lookEvery is how long a handshake takes the files to be as they were. They are small, and handshakes cost more.
const lookEvery = time.Second

// LoadCertificate reads a certificate, with the chain below it, and its key, both in PEM. Errors: Invalid.
func LoadCertificate(certFile, keyFile string, log zerolog.Logger) (*Certificate, error) {
	c := &Certificate{
		certFile: certFile, keyFile: keyFile, started: time.Now(),
		log: log.With().Str("component", "tls").Logger(),
	}
	return c, c.read()
}

// TLS is the configuration of a server with this certificate: TLS 1.2 and newer.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.forHandshake}
}

func (c *Certificate) forHandshake(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	now, last := int64(time.Since(c.started)), c.looked.Load()
	if now-last > int64(lookEvery) && c.looked.CompareAndSwap(last, now) {
		// The one that we have still serves: of two files that are replaced one after the other, the first fits nothing.
		if err := c.read(); err != nil {
			c.log.Error().Err(err).Msg("certificate not read again; the one before goes on")
		}
	}
	return c.current.Load(), nil
}

// read takes the files where they have changed. A change that cannot be used is told once.
func (c *Certificate) read() error {
	cert, err := readPEM(c.certFile)
	if err != nil {
		return err
	}
	key, err := readPEM(c.keyFile)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(bytes.Join([][]byte{cert, key}, []byte{0}))
	if seen := c.seen.Swap(&sum); seen != nil && *seen == sum {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fault.Newf(fault.Invalid, "web.Certificate", "%s and %s are no certificate and its key", c.certFile, c.keyFile).Because(err)
	}
	c.current.Store(&pair)
	c.log.Info().Time("not_after", pair.Leaf.NotAfter).Msg("certificate read")
	return nil
}

func readPEM(file string) ([]byte, error) {
	data, err := os.ReadFile(file) //nolint:gosec // G304: the file that the operator named
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "web.Certificate", "cannot read %s", file).Because(err)
	}
	return data, nil
}
