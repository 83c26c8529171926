package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
	"github.com/behalf-dev/behalf/pkg/web/localca"
)

// tlsFlags name the certificate of a role that speaks https itself.
type tlsFlags struct{ cert, key string }

func (f *tlsFlags) add(cmd *cobra.Command, w world) {
	cmd.Flags().StringVar(&f.cert, "tls-cert", w.env("BEHALF_TLS_CERT", ""), "serve https with this certificate and its chain, PEM; read again when it changes")
	cmd.Flags().StringVar(&f.key, "tls-key", w.env("BEHALF_TLS_KEY", ""), "the certificate's key, PEM")
}

// open reads the certificate. Nothing was named: plain http. Errors: Invalid.
func (f tlsFlags) open(log zerolog.Logger) (*tls.Config, error) {
	switch {
	case f.cert == "" && f.key == "":
		return nil, nil
	case f.cert == "" || f.key == "":
		return nil, hinted{fault.New(fault.Invalid, "cli.tls", "a certificate needs its key, and a key its certificate"), "--tls-cert and --tls-key, or BEHALF_TLS_CERT and BEHALF_TLS_KEY, go together"}
	}
	cert, err := web.LoadCertificate(f.cert, f.key, log)
	if err != nil {
		return nil, err
	}
	return cert.TLS(), nil
}

// natsTLS reads which files TLS to NATS needs, and looks whether they are there. Errors: Invalid.
func natsTLS(w world) (bus.ConnTLS, error) {
	t := bus.ConnTLS{CA: w.env("BEHALF_NATS_CA", ""), Cert: w.env("BEHALF_NATS_CERT", ""), Key: w.env("BEHALF_NATS_KEY", "")}
	if t.CA != "" {
		if _, err := authorities(t.CA); err != nil {
			return t, hinted{err, "BEHALF_NATS_CA names the certificates, PEM, that sign those of NATS"}
		}
	}
	if t.Cert == "" && t.Key == "" {
		return t, nil
	}
	if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
		return t, hinted{fault.New(fault.Invalid, "cli.tls", "the client certificate for NATS cannot be read").Because(err), "set both BEHALF_NATS_CERT and BEHALF_NATS_KEY, or none"}
	}
	return t, nil
}

// authorities are those of this machine and of a file. Errors: Invalid.
func authorities(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "cli.tls", "cannot read the certificates in %s", file).Because(err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without any
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fault.Newf(fault.Invalid, "cli.tls", "%s holds no certificate", file)
	}
	return pool, nil
}

// transport believes the authority of BEHALF_API_CA, else that of a dev with this data folder, and those of this machine.
func (w world) transport() (http.RoundTripper, error) {
	file, dev := w.env("BEHALF_API_CA", ""), localca.Path(w.env("BEHALF_DATA_DIR", defaultDataDir))
	if _, err := os.Stat(dev); file == "" && errors.Is(err, fs.ErrNotExist) {
		return http.DefaultTransport, nil
	}
	pool, err := authorities(cmp.Or(file, dev))
	if err != nil {
		return nil, err
	}
	ours, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, fault.New(fault.Internal, "cli.tls", "")
	}
	ours = ours.Clone()
	ours.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return ours, nil
}

// noAnswer says why the server at an address did not answer.
func noAnswer(base string, err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return hinted{fault.Newf(fault.Unavailable, "cli.call", "the certificate of %s is not to be believed", base).Because(err), "BEHALF_API_CA names the authority that has signed it"}
	}
	return hinted{fault.Newf(fault.Unavailable, "cli.call", "no Behalf answers at %s", base), "is `behalf dev` running? BEHALF_API_URL says where"}
}

// openTLS listens for https with a certificate of this machine's own authority, where dev was told to.
func (d *dev) openTLS(ctx context.Context) error {
	if d.flags.tlsAddr == "" {
		return nil
	}
	ln, err := listen(ctx, d.flags.tlsAddr)
	if err != nil {
		return otherPort(err, "--tls-addr or BEHALF_TLS_ADDR names another port")
	}
	d.secure = ln
	host, _, _ := net.SplitHostPort(d.flags.tlsAddr)
	ca, err := localca.Open(localca.Config{Dir: d.flags.dataDir, Hosts: []string{host}})
	if err != nil {
		return err
	}
	d.tls = ca.TLS()
	return nil
}
