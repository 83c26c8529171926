package egress_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// serve starts a server on loopback, and returns it with its address.
func serve(tb testing.TB, h http.HandlerFunc) (*httptest.Server, netip.AddrPort) {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return srv, netip.MustParseAddrPort(srv.Listener.Addr().String())
}

type answer struct {
	status int
	body   string
}

func get(tb testing.TB, client *http.Client, address string) (answer, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body)}, err
}

func TestClientReachesAnException(t *testing.T) {
	t.Parallel()
	srv, at := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	client := egress.New(egress.Config{Allow: []netip.AddrPort{at}}).Client(time.Minute)
	resp, err := get(t, client, srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if resp.body != "hello" {
		t.Errorf("body = %q", resp.body)
	}
}

func TestClientHandsARedirectBack(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	srv, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+s.at.String()+"/", http.StatusFound)
	})
	client := egress.New(egress.Config{Allow: []netip.AddrPort{at, s.at}}).Client(time.Minute)
	resp, err := get(t, client, srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if resp.status != http.StatusFound {
		t.Errorf("status = %d, want the redirect itself", resp.status)
	}
	s.sawNobody(t)
}

func TestRedirectThatACallerFollowsIsJudged(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	srv, at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+s.at.String()+"/", http.StatusTemporaryRedirect)
	})
	client := egress.New(egress.Config{Allow: []netip.AddrPort{at}}).Client(time.Minute)
	client.CheckRedirect = nil
	_, err := get(t, client, srv.URL)
	if got := reasonOf(t, err); got != egress.ReasonLoopback {
		t.Errorf("%q, want loopback", got)
	}
	s.sawNobody(t)
}

func TestNoDeniedURLReachesTheSink(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	client := egress.New(egress.Config{Resolver: answers("127.0.0.1")}).Client(time.Minute)
	urls := []string{
		"http://good.example@127.0.0.1:PORT/",
		"http://good.example:80@127.0.0.1:PORT/",
		"http://127.0.0.1:PORT#@good.example/",
		"http://127.0.0.1:PORT\\@good.example/",
		"http://%31%32%37.0.0.1:PORT/",
		"http://[::1%25lo]:PORT/",
		"gopher://127.0.0.1:PORT/_SET",
		"file:///etc/passwd",
		"dict://127.0.0.1:PORT/info",
		"ftp://127.0.0.1:PORT/",
		"unix:///var/run/docker.sock",
		"//127.0.0.1:PORT/",
		"https://127.0.0.1:PORT/",
	}
	for host := range deniedHosts() {
		urls = append(urls, "http://"+host+":PORT/", "http://user:word@"+host+":PORT/")
	}
	for _, u := range urls {
		u = strings.ReplaceAll(u, "PORT", s.port())
		if resp, err := get(t, client, u); err == nil {
			t.Errorf("%q answered %d", u, resp.status)
		}
	}
	s.sawNobody(t)
}

// TestFullWidthDigitsAreFoldedBeforeTheJudge shows what net/http makes of such a host, and that it helps nobody.
func TestFullWidthDigitsAreFoldedBeforeTheJudge(t *testing.T) {
	t.Parallel()
	client := egress.New(egress.Config{}).Client(time.Minute)
	_, err := get(t, client, "http://\uff11\uff16\uff19.\uff12\uff15\uff14.\uff11\uff16\uff19.\uff12\uff15\uff14/")
	if got := reasonOf(t, err); got != egress.ReasonMetadata {
		t.Errorf("%q, want metadata", got)
	}
}

//nolint:paralleltest // t.Setenv: the environment is the whole process's
func TestClientUsesNoProxyOfTheEnvironment(t *testing.T) {
	s := newSink(t, "127.0.0.1:0")
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://"+s.at.String())
	}
	srv, at := serve(t, func(http.ResponseWriter, *http.Request) {})
	dialer := egress.New(egress.Config{Allow: []netip.AddrPort{at, s.at}, Resolver: answers("127.0.0.1")})
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, dialer.Client(time.Minute), "http://practice.example:"+u.Port()); err != nil {
		t.Fatal(err)
	}
	s.sawNobody(t)
}

func TestClientOffersTLSFrom12(t *testing.T) {
	t.Parallel()
	s := newSink(t, "127.0.0.1:0")
	client := egress.New(egress.Config{Allow: []netip.AddrPort{s.at}}).Client(time.Minute)
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = get(t, client, "https://"+s.at.String()) })
	defer asking.Wait()

	conn, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var offered []uint16
	_ = tls.Server(conn, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		offered = hello.SupportedVersions
		return nil, errors.New("that is all we wanted to know")
	}}).HandshakeContext(t.Context())
	if len(offered) == 0 || slices.Min(offered) != tls.VersionTLS12 {
		t.Errorf("offered %x, want 0303 for the least", offered)
	}
}

func TestClientLimits(t *testing.T) {
	t.Parallel()
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	hang := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-held:
		}
	}
	flood := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Flood", strings.Repeat("x", 1<<20)) }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		cfg     egress.Config
		timeout time.Duration
		want    string
	}{
		"the whole exchange":  {hang, egress.Config{}, 20 * time.Millisecond, "Client.Timeout exceeded"},
		"the time of headers": {hang, egress.Config{ResponseHeaderTimeout: 20 * time.Millisecond}, time.Minute, "timeout awaiting response headers"},
		"the size of headers": {flood, egress.Config{}, time.Minute, "exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, at := serve(t, c.handler)
			c.cfg.Allow = []netip.AddrPort{at}
			_, err := get(t, egress.New(c.cfg).Client(c.timeout), srv.URL)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestClientWithoutTimeoutGetsOne(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, -time.Second} {
		if got := egress.New(egress.Config{}).Client(timeout).Timeout; got != 30*time.Second {
			t.Errorf("Client(%s) has timeout %s", timeout, got)
		}
	}
}

func TestKindGoesThroughTheClient(t *testing.T) {
	t.Parallel()
	_, err := get(t, egress.New(egress.Config{}).Client(time.Minute), "http://10.0.0.1/")
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("got %v, want forbidden", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://1.1.1.1/", http.NoBody)
	resp, err := egress.New(egress.Config{}).Client(time.Minute).Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}
