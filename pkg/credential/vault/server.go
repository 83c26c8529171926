package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Server says where Vault is. The names are those of Vault's own variables.
type Server struct {
	// Addr is VAULT_ADDR. Defaults to https://127.0.0.1:8200.
	Addr string
	// Namespace is VAULT_NAMESPACE.
	Namespace string
	// CACert and CAPath are VAULT_CACERT and VAULT_CAPATH: files.
	CACert, CAPath string
	// ClientCert and ClientKey are VAULT_CLIENT_CERT and VAULT_CLIENT_KEY: files, read at each handshake, so that they
	// may be replaced.
	ClientCert, ClientKey string
	// ServerName is VAULT_TLS_SERVER_NAME.
	ServerName string
	// SkipVerify is VAULT_SKIP_VERIFY.
	SkipVerify bool
}

// client makes the client. Reads are tried a second time, writes never: the first may have been stored.
func (s Server) client(timeout time.Duration) (*api.Client, error) {
	cfg := api.DefaultConfig()
	if cfg.Error != nil {
		return nil, invalid("one of Vault's own variables cannot be read", cfg.Error)
	}
	if s.Addr != "" {
		cfg.Address = s.Addr
	}
	cfg.Timeout, cfg.MaxRetries, cfg.CheckRetry = timeout, 1, retryReads
	cfg.MinRetryWait, cfg.MaxRetryWait = 50*time.Millisecond, 250*time.Millisecond
	err := cfg.ConfigureTLS(&api.TLSConfig{
		CACert: s.CACert, CAPath: s.CAPath, ClientCert: s.ClientCert, ClientKey: s.ClientKey, TLSServerName: s.ServerName, Insecure: s.SkipVerify,
	})
	if err != nil {
		return nil, invalid("the TLS files of Vault cannot be used: VAULT_CACERT, VAULT_CLIENT_CERT and VAULT_CLIENT_KEY name them", err)
	}
	s.replaceable(cfg.HttpClient)
	client, err := api.NewClient(cfg)
	if err != nil {
		return nil, invalid("VAULT_ADDR must be a URL such as https://vault.example.com:8200", nil)
	}
	client.ClearToken() // who we are says Login alone
	if s.Namespace != "" {
		client.SetNamespace(s.Namespace)
	}
	return client, nil
}

// replaceable has each handshake read the certificate again: those of machines live hours.
func (s Server) replaceable(client *http.Client) {
	transport, ok := client.Transport.(*http.Transport)
	if !ok || s.ClientCert == "" {
		return
	}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(s.ClientCert, s.ClientKey)
		return &pair, err
	}
}

// retryReads says what may be tried again: a read that Vault did not refuse.
func retryReads(ctx context.Context, response *http.Response, err error) (bool, error) {
	var asked *url.Error
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &asked) && !strings.EqualFold(asked.Op, http.MethodGet):
		return false, nil
	case response != nil && (response.Request == nil || response.Request.Method != http.MethodGet):
		return false, nil
	case response != nil && (response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable):
		return false, nil // sealed, or asked too often: waiting is for the gate
	}
	return api.DefaultRetryPolicy(ctx, response, err)
}

func invalid(message string, cause error) error {
	e := fault.New(fault.Invalid, "vault.New", message)
	if cause != nil {
		e = e.Because(cause)
	}
	return e
}
