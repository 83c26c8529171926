package action_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// No credential crosses a redirect, and no request does: not even by a client that follows them, and has cookies.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			thief := newVendor(t, says(200, `{"ok":true}`))
			v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
				http.Redirect(w, r, thief.URL+"/elsewhere?token="+canary, status)
			})
			a := v.action(t, "slack-send-message@1")
			c := v.call(a, `{"channel": "C1", "text": "x"}`)
			c.Client.Jar, _ = cookiejar.New(nil)
			failed(t, run(t, a, c), action.VendorRedirect,
				fmt.Sprintf("Slack answered %d, which leads to %s/elsewhere; redirects are not followed: write the URL that it leads to", status, thief.URL))
			run(t, a, c)
			thief.sawNothing(t)
			if got := v.requests(); len(got) != 2 || got[1].header.Get("Cookie") != "" {
				t.Errorf("it was sent %+v", got)
			}
		})
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	t.Parallel()
	huge := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `"`)
			for range 64 << 10 { // 64 MiB, if anybody reads them
				if _, err := io.WriteString(w, strings.Repeat("a", 1<<10)); err != nil {
					return
				}
			}
		}
	}
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zipped := gzip.NewWriter(w)
		defer func() { _ = zipped.Close() }()
		for range 7 {
			if _, err := zipped.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		handler       http.HandlerFunc
		kind, message string
	}{
		"a good one": {huge(200), action.VendorBadAnswer, "GitHub answered with more than 6 MiB, which is more than a step may return"},
		"a bomb":     {bomb, action.VendorBadAnswer, "GitHub answered with more than 6 MiB, which is more than a step may return"},
		"a bad one":  {huge(500), action.VendorUnavailable, "GitHub answered 500 (internal server error): \"" + strings.Repeat("a", 999) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, c.handler)
			a := v.action(t, "github-create-issue@1")
			failed(t, run(t, a, v.call(a, `{"repoFullname": "a/b", "title": "t"}`)), c.kind, c.message)
		})
	}
}

func TestTheLargestAnswerThatFits(t *testing.T) {
	t.Parallel()
	for size, fits := range map[int]bool{6<<20 - 1<<10: true, 6<<20 - 8: false} {
		v := newVendor(t, says(200, strings.Repeat("a", size)))
		a := v.action(t, "http-request@1")
		outcome := run(t, a, v.call(a, `{"url": "`+v.URL+`"}`))
		if fits != (outcome.Err == nil) || len(outcome.Exports) > 6<<20 || fits && len(outcome.Exports) < size {
			t.Errorf("%d: %v, %d bytes", size, outcome.Err, len(outcome.Exports))
		}
	}
}

// slow answers with its headers and a part of its body, or with neither, until it is released.
func slow(tb testing.TB, headers bool) http.HandlerFunc {
	tb.Helper()
	release := make(chan struct{})
	tb.Cleanup(func() { close(release) })
	return func(w http.ResponseWriter, r *http.Request) {
		if headers {
			_, _ = io.WriteString(w, `{"ok":`)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
}

func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]bool{"slow headers": false, "a slow body": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, slow(t, headers))
			a := v.action(t, "slack-send-message@1")
			c := v.call(a, `{"channel": "C1", "text": "x"}`)

			short := c
			client := *c.Client
			client.Timeout = 50 * time.Millisecond
			short.Client = &client
			failed(t, run(t, a, short), action.VendorTimeout, "Slack did not answer in time")

			c.Timeout = 50 * time.Millisecond
			if outcome := run(t, a, c); !outcome.Cut || outcome.Err != nil || outcome.Exports != nil || outcome.Duration < c.Timeout {
				t.Errorf("the step's own timeout: %+v", outcome)
			}

			c.Timeout = 0
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := a.Run(ctx, c); !fault.Is(err, fault.Timeout) {
				t.Errorf("our own deadline: %v", err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			if _, err := a.Run(ctx, c); !fault.Is(err, fault.Canceled) {
				t.Errorf("our own leaving: %v", err)
			}
		})
	}
}

// endsWhenLeft is a service that ends its answer in good order when it sees that nobody waits any more.
type endsWhenLeft struct{}

func (endsWhenLeft) RoundTrip(r *http.Request) (*http.Response, error) {
	body, end := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = end.Close() })
	go func() { _, _ = io.WriteString(end, "half") }()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
}

func TestHalfAnAnswerIsNotAll(t *testing.T) {
	t.Parallel()
	v := newVendor(t, slow(t, false))
	a := v.action(t, "http-request@1")
	c := v.call(a, `{"url": "`+v.URL+`", "timeout": 1}`)
	c.Client = &http.Client{Transport: endsWhenLeft{}}
	failed(t, run(t, a, c), action.VendorTimeout, strings.TrimPrefix(v.URL, "https://")+" did not answer in time")
}

func TestAPropMayBoundTheTime(t *testing.T) {
	t.Parallel()
	v := newVendor(t, slow(t, false))
	a := v.action(t, "http-request@1")
	outcome := run(t, a, v.call(a, `{"url": "`+v.URL+`", "timeout": 1}`))
	failed(t, outcome, action.VendorTimeout, strings.TrimPrefix(v.URL, "https://")+" did not answer in time")
}

func TestAServiceThatCannotBeReached(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := gone.Addr().String()
	_ = gone.Close()

	a := v.action(t, "http-request@1")
	for name, c := range map[string]struct {
		url           string
		client        *http.Client
		kind, message string
	}{
		"nobody listens":           {"https://" + closed, v.Client(), action.VendorUnavailable, closed + " cannot be reached: it refused the connection"},
		"it hangs up":              {v.URL, v.Client(), action.VendorUnavailable, v.host() + " cannot be reached: it closed the connection"},
		"it is not to be trusted":  {v.URL, &http.Client{Transport: &http.Transport{}}, action.VendorUnavailable, v.host() + " cannot be reached: its certificate is not to be trusted"},
		"it does not speak https":  {"https" + strings.TrimPrefix(plain.URL, "http"), v.Client(), action.VendorUnavailable, strings.TrimPrefix(plain.URL, "http://") + " cannot be reached: it does not speak https"},
		"its address is forbidden": {v.URL, egress.New(egress.Config{}).Client(time.Minute), action.NotAllowed, v.host() + " cannot be called: this address is not allowed (loopback)"},
		"an address of a cloud":    {"http://169.254.169.254/latest", egress.New(egress.Config{}).Client(time.Minute), action.NotAllowed, "169.254.169.254 cannot be called: this address is not allowed (metadata)"},
		"an internal name":         {"http://metadata.google.internal/", egress.New(egress.Config{}).Client(time.Minute), action.NotAllowed, "metadata.google.internal cannot be called: this address is not allowed (name)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := v.call(a, `{"url": "`+c.url+`?key=`+canary+`"}`)
			call.Client = c.client
			failed(t, run(t, a, call), c.kind, c.message)
		})
	}
}

// net/http sends a request with a key of idempotency again by itself. The service may know nothing of such keys.
func TestNoRequestIsSentTwice(t *testing.T) {
	t.Parallel()
	calls := 0
	v := newVendor(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls > 1 {
			panic(http.ErrAbortHandler) // after the request was read, and on a connection that has been in use
		}
		_, _ = io.WriteString(w, `ok`)
	})
	a := v.action(t, "http-request@1")
	for _, props := range []string{`{"url": "` + v.URL + `", "method": "POST", "body": {}}`, `{"url": "` + v.URL + `", "method": "POST"}`} {
		calls = 0
		before := len(v.requests())
		first, second := run(t, a, v.call(a, props)), run(t, a, v.call(a, props))
		if first.Err != nil || second.Err == nil || len(v.requests()) != before+2 {
			t.Errorf("%v, %v, %d requests", first.Err, second.Err, len(v.requests())-before)
		}
	}
	for _, r := range v.requests() {
		if r.header.Get("Idempotency-Key") != "run_1:send" {
			t.Errorf("the key is %q", r.header.Get("Idempotency-Key"))
		}
	}
}

// A service that says whatever it was sent, in all ways: the outcome has nothing of the account in it.
func TestAServiceThatTellsTheCredential(t *testing.T) {
	t.Parallel()
	echo := func(status int, pad string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			w.Header().Set("Retry-After", canary)
			w.Header().Set("Location", "https://evil.example/"+canary)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{
				"pad": pad, "error": canary, "message": r.Header.Get("Authorization"), "uri": r.RequestURI, "ok": false,
			})
		}
	}
	custom := map[string][]string{
		"bearer": nil, "header": {"header", "X-Key"}, "query": {"query", "key"}, "basic": {"user", "jane"},
	}
	for _, status := range []int{200, 302, 400, 401, 429, 500} {
		v := newVendor(t, echo(status, strings.Repeat("a", 975))) // so that a message is cut in the midst of it
		slack := v.action(t, "slack-send-message@1")
		if outcome := run(t, slack, v.call(slack, `{"channel": "C1", "text": "x"}`)); outcome.Err == nil {
			t.Errorf("%d was no error", status)
		}
		request := v.action(t, "http-request@1")
		for _, fields := range custom {
			c := v.call(request, `{"url": "/x", "method": "POST", "body": {"a": 1}}`)
			c.Apps = account("custom", append([]string{"base_url", v.URL, "api_key", canary}, fields...)...)
			run(t, request, c)
		}
	}
	// Here the part that is read of a bad answer ends in the midst of it.
	v := newVendor(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, strings.Repeat(" ", 64<<10-12)+canary+strings.Repeat(" ", 1<<10))
	})
	slack := v.action(t, "slack-send-message@1")
	failed(t, run(t, slack, v.call(slack, `{"channel": "C1", "text": "x"}`)), action.VendorUnavailable, "Slack answered 502 (bad gateway)")
}

func TestOneUsersCredentialIsNeverInAnothersCall(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{"ok":true}`))
	a := v.action(t, "slack-send-message@1")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			user := fmt.Sprintf("user-%02d", i)
			c := v.call(a, `{"channel": "C1", "text": "`+user+`"}`)
			c.Apps = account("slack", "oauth_access_token", "token-of-"+user)
			if outcome, err := a.Run(t.Context(), c); err != nil || outcome.Err != nil {
				t.Errorf("%v, %+v", err, outcome.Err)
			}
		})
	}
	all.Wait()
	for _, r := range v.requests() {
		user := strings.TrimPrefix(r.header.Get("Authorization"), "Bearer token-of-")
		if !strings.Contains(r.body, `"`+user+`"`) {
			t.Errorf("%s was sent %s", user, r.body)
		}
	}
}

func TestACallThatMakesNoSenseIsOurBug(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{"ok":true}`))
	slack, request := v.action(t, "slack-send-message@1"), v.action(t, "http-request@1")
	good := v.call(slack, `{"channel": "C1", "text": "x"}`)
	for name, c := range map[string]struct {
		action *action.Action
		change func(*action.Call)
	}{
		"no client":        {slack, func(c *action.Call) { c.Client = nil }},
		"no account":       {slack, func(c *action.Call) { c.Apps = nil }},
		"another app's":    {slack, func(c *action.Call) { c.Apps = account("github", "oauth_access_token", canary) }},
		"an unknown app's": {request, func(c *action.Call) { c.Apps = account("trello", "oauth_access_token", canary) }},
		"two accounts": {request, func(c *action.Call) {
			c.Apps = account("github", "oauth_access_token", canary)
			c.Apps["slack"] = account("slack", "oauth_access_token", canary)["slack"]
		}},
	} {
		call := good
		c.change(&call)
		if _, err := c.action.Run(t.Context(), call); !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v.sawNothing(t)
}
