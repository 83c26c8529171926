package egress

import (
	"crypto/tls"
	"net/http"
	"time"
)

// defaultTimeout is that of a client whose caller gave none: forever is no answer.
const defaultTimeout = 30 * time.Second

// Client returns an HTTP client whose every connection goes through the dialer. The timeout covers a whole exchange with
// its body; 0 or less means 30 seconds.
//
// It speaks http and https, uses no proxy, keeps no cookies and hands a redirect back instead of following it; a caller
// who sets another CheckRedirect still has each hop judged. Bodies are not bounded: read them through an
// io.LimitReader. Clients of one Dialer share its connections, so they cost nothing to make.
func (d *Dialer) Client(timeout time.Duration) *http.Client {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &http.Client{Transport: d.transport, Timeout: timeout, CheckRedirect: keepRedirect}
}

func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (d *Dialer) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // a proxy would dial in our place, and judge nothing
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  d.cfg.ResponseHeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    10,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true, // our own dialer and TLS settings would turn it off
		// Without pings a connection that died silently keeps its host unreachable for many minutes.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
	}
}
