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

// What each action sends, and what its step leaves: the contract of its major version.
func TestWhatActionsSend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ref, props string
		answers    []http.HandlerFunc
		sent       []received
		exports    string
	}{
		"Slack, with the props of the seed": {
			ref: "slack-send-message@1", props: `{"channel": "#general", "text": "Hello, <world> & all!"}`,
			answers: []http.HandlerFunc{says(200, `{"ok":true,"channel":"C1","ts":"1.2","big":12345678901234567890}`)},
			sent:    []received{{method: "POST", uri: "/chat.postMessage", body: `{"channel":"#general","text":"Hello, <world> & all!"}`}},
			exports: `{"$return_value":{"ok":true,"channel":"C1","ts":"1.2","big":12345678901234567890},"$summary":"Sent a message to C1"}`,
		},
		"Slack, with the names of a Pipedream component": {
			ref:     "slack-send-message@1",
			props:   `{"conversation": {"__lv": {"label": "general", "value": "C1"}}, "text": 5, "mrkdwn": "false", "blocks": [{"type": "divider"}], "thread_ts": null}`,
			answers: []http.HandlerFunc{says(200, `{"ok":true}`)},
			sent:    []received{{method: "POST", uri: "/chat.postMessage", body: `{"channel":"C1","text":"5","mrkdwn":false,"blocks":[{"type":"divider"}]}`}},
			exports: `{"$return_value":{"ok":true}}`,
		},
		"GitHub": {
			ref: "github-create-issue@1", props: `{"repoFullname": "AcmeOrg/acme-repo", "title": "Test Issue", "labels": ["bug"], "milestone": "3"}`,
			answers: []http.HandlerFunc{says(201, `{"number":7}`)},
			sent:    []received{{method: "POST", uri: "/repos/AcmeOrg/acme-repo/issues", body: `{"title":"Test Issue","labels":["bug"],"milestone":3}`}},
			exports: `{"$return_value":{"number":7},"$summary":"Created issue 7 in AcmeOrg/acme-repo"}`,
		},
		"HubSpot, by the list's name": {
			ref: "hubspot-add-contact-to-list@1", props: `{"list": "prospects & more/½", "contactEmail": "foo+x@example.com"}`,
			answers: []http.HandlerFunc{says(200, `{"list":{"listId":"12"}}`), says(200, `{"id":"901"}`), says(200, `{"recordsIdsAdded":["901"],"recordIdsMissing":[]}`)},
			sent: []received{
				{method: "GET", uri: "/crm/lists/2026-03/object-type-id/0-1/name/prospects%20%26%20more%2F%C2%BD"},
				{method: "GET", uri: "/crm/objects/2026-03/contacts/foo%2Bx%40example.com?idProperty=email"},
				{method: "PUT", uri: "/crm/lists/2026-03/12/memberships/add", body: `["901"]`},
			},
			exports: `{"$return_value":{"recordsIdsAdded":["901"],"recordIdsMissing":[]},"$summary":"Added foo+x@example.com to the list prospects & more/½"}`,
		},
		"HubSpot, by the list's id": {
			ref: "hubspot-add-contact-to-list@1", props: `{"list": 12, "contactEmail": "foo@example.com"}`,
			answers: []http.HandlerFunc{says(200, `{"id":901}`), says(200, `{}`)},
			sent: []received{
				{method: "GET", uri: "/crm/objects/2026-03/contacts/foo%40example.com?idProperty=email"},
				{method: "PUT", uri: "/crm/lists/2026-03/12/memberships/add", body: `[901]`},
			},
			exports: `{"$return_value":{},"$summary":"Added foo@example.com to the list 12"}`,
		},
		"Google Sheets": {
			ref: "google_sheets-add-row@1", props: `{"sheetId": "1aB_-c", "row": ["=1+1", 2, null, true]}`,
			answers: []http.HandlerFunc{says(200, `{"updates":{"updatedRange":"Sheet1!A2:D2"}}`)},
			sent: []received{{
				method: "POST", uri: "/v4/spreadsheets/1aB_-c/values/A1:append?insertDataOption=INSERT_ROWS&valueInputOption=RAW", body: `{"values":[["=1+1",2,null,true]]}`,
			}},
			exports: `{"$return_value":{"updates":{"updatedRange":"Sheet1!A2:D2"}},"$summary":"Added a row at Sheet1!A2:D2"}`,
		},
		"Google Sheets, another sheet": {
			ref: "google_sheets-add-row@1", props: `{"sheetId": "s", "row": [1], "range": "'New orders'!A1:D1", "valueInputOption": "USER_ENTERED"}`,
			answers: []http.HandlerFunc{says(200, `{}`)},
			sent: []received{{
				method: "POST", uri: "/v4/spreadsheets/s/values/%27New%20orders%27%21A1%3AD1:append?insertDataOption=INSERT_ROWS&valueInputOption=USER_ENTERED",
				body: `{"values":[[1]]}`,
			}},
			exports: `{"$return_value":{}}`,
		},
		"OpenAI": {
			ref: "openai-chat@1", props: `{"modelId": "gpt-4o-mini", "userMessage": "And now?", "temperature": 0.5}`,
			answers: []http.HandlerFunc{says(200, `{"model":"gpt-4o-mini-2024","choices":[]}`)},
			sent: []received{{
				method: "POST", uri: "/chat/completions", body: `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"And now?"}],"temperature":0.5}`,
			}},
			exports: `{"$return_value":{"model":"gpt-4o-mini-2024","choices":[]},"$summary":"gpt-4o-mini-2024 answered"}`,
		},
		"OpenAI, with the messages before": {
			ref:     "openai-chat@1",
			props:   `{"modelId": "m", "userMessage": "c", "systemInstructions": "s", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "maxCompletionTokens": 9}`,
			answers: []http.HandlerFunc{says(200, `{"model":"m"}`)},
			sent: []received{{method: "POST", uri: "/chat/completions", body: `{"model":"m","max_completion_tokens":9,"messages":[{"role":"system","content":"s"},` +
				`{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`}},
			exports: `{"$return_value":{"model":"m"},"$summary":"m answered"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, c.answers...)
			a := v.action(t, c.ref)
			outcome := run(t, a, v.call(a, c.props))
			if outcome.Err != nil {
				t.Fatalf("it failed: %+v", outcome.Err)
			}
			sameJSON(t, "the step's export", string(outcome.Exports), c.exports)
			got := v.requests()
			if len(got) != len(c.sent) {
				t.Fatalf("it was sent %+v", got)
			}
			for i, want := range c.sent {
				if got[i].method != want.method || got[i].uri != want.uri || got[i].header.Get("Authorization") != "Bearer "+canary {
					t.Errorf("call %d is %s %s %v", i, got[i].method, got[i].uri, got[i].header)
				}
				switch {
				case want.body == "":
					if got[i].body != "" || got[i].header.Get("Content-Type") != "" {
						t.Errorf("call %d has a body: %s", i, got[i].body)
					}
				case got[i].header.Get("Content-Type") != "application/json; charset=utf-8":
					t.Errorf("call %d has the type %s", i, got[i].header.Get("Content-Type"))
				default:
					sameJSON(t, "the body", got[i].body, want.body)
				}
			}
		})
	}
}

func TestNumbersPassDigitForDigit(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{"n": 12345678901234567890}`))
	a := v.action(t, "http-request@1")
	outcome := run(t, a, v.call(a, `{"url": "`+v.URL+`", "method": "POST", "body": {"n": 12345678901234567890}}`))
	if body := v.requests()[0].body; body != `{"n":12345678901234567890}` || !strings.Contains(string(outcome.Exports), `{"n":12345678901234567890}`) {
		t.Errorf("sent %s, left %s", body, outcome.Exports)
	}
}

func TestGitHubGetsTheHeadersOfItsVersion(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(201, `{}`))
	a := v.action(t, "github-create-issue@1")
	run(t, a, v.call(a, `{"repoFullname": "a/b", "title": "t"}`))
	h := v.requests()[0].header
	if h.Get("Accept") != "application/vnd.github+json" || h.Get("X-Github-Api-Version") != "2022-11-28" || h.Get("User-Agent") != "behalf" {
		t.Errorf("got %v", h)
	}
}

// The services' own ways of saying no, each as its documentation has it.
func TestWhatServicesSayOfErrors(t *testing.T) {
	t.Parallel()
	const (
		slack   = `{"channel": "C1", "text": "x"}`
		github  = `{"repoFullname": "a/b", "title": "t"}`
		hubspot = `{"list": "prospects", "contactEmail": "foo@example.com"}`
		sheets  = `{"sheetId": "s", "row": [1]}`
		openai  = `{"modelId": "m", "userMessage": "x"}`
	)
	later := func(after string, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", after)
			next(w, r)
		}
	}
	for name, c := range map[string]struct {
		ref, props    string
		answers       []http.HandlerFunc
		kind, message string
	}{
		"Slack says no with 200": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, `{"ok":false,"error":"channel_not_found"}`)},
			action.VendorError, "slack: channel_not_found",
		},
		"Slack tells the scope": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, `{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"identify"}`)},
			action.VendorError, "slack: missing_scope (needed: chat:write, provided: identify)",
		},
		"Slack says nothing": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, `{"hello":1}`)},
			action.VendorError, "slack: its answer does not say that all went well, nor what did not",
		},
		"Slack answers null": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, ``)},
			action.VendorError, "slack: its answer does not say that all went well, nor what did not",
		},
		"Slack limits the rate": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{later("30", says(429, `{"ok":false,"error":"ratelimited"}`))},
			action.VendorRateLimited, "Slack answered 429 (too many requests): ratelimited; it asks to wait 30 s",
		},
		"GitHub's validation": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(422, `{"message":"Validation Failed","errors":[{"resource":"Issue","code":"missing_field","field":"title"}],"documentation_url":"https://docs.github.com/x"}`)},
			action.VendorError, "GitHub answered 422: Validation Failed (errors: code=missing_field field=title resource=Issue)",
		},
		"GitHub does not take the token": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(401, `{"message":"Bad credentials"}`)},
			action.VendorUnauthorized, "GitHub answered 401: Bad credentials",
		},
		"HubSpot has no such list": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(404, `{"message":"resource not found"}`)},
			action.VendorError, "HubSpot answered 404: there is no contact list prospects",
		},
		"HubSpot has no such contact": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(200, `{"list":{"listId":"1"}}`), says(404, ``)},
			action.VendorError, "HubSpot answered 404: there is no contact foo@example.com",
		},
		"HubSpot adds nobody": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(200, `{"list":{"listId":"1"}}`), says(200, `{"id":"9"}`), says(200, `{"recordsIdsAdded":[],"recordIdsMissing":["9"]}`)},
			action.VendorError, `hubspot: recordIdsMissing is ["9"]`,
		},
		"HubSpot misses a scope": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(403, `{"status":"error","message":"This app hasn't been granted all required scopes","correlationId":"x","errors":[{"message":"One or more are required","context":{"a":["b"]}}],"category":"MISSING_SCOPES"}`)},
			action.VendorError, "HubSpot answered 403: This app hasn't been granted all required scopes (category: MISSING_SCOPES, errors: One or more are required)",
		},
		"Google's error": {
			"google_sheets-add-row@1", sheets,
			[]http.HandlerFunc{says(403, `{"error":{"code":403,"message":"The caller does not have permission","status":"PERMISSION_DENIED"}}`)},
			action.VendorError, "Google Sheets answered 403: The caller does not have permission (status: PERMISSION_DENIED)",
		},
		"OpenAI's error": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{says(400, `{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`)},
			action.VendorError, "OpenAI answered 400: The model does not exist (type: invalid_request_error, code: model_not_found)",
		},
		"a gateway's page": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{says(502, "<html>\n\t<h1>Bad   gateway</h1>\x00</html>")},
			action.VendorUnavailable, "OpenAI answered 502 (bad gateway): <html> <h1>Bad gateway</h1> </html>",
		},
		"an empty 503, with a date": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{later("Fri, 01 Jan 2027 00:00:00 GMT", says(503, ``))},
			action.VendorUnavailable, "OpenAI answered 503 (service unavailable); it asks to wait until Fri, 01 Jan 2027 00:00:00 GMT",
		},
		"JSON that is none of what is known": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{says(418, `{"detail": {"a": [1, 2]}}`)},
			action.VendorError, `OpenAI answered 418: {"detail": {"a": [1, 2]}}`,
		},
		"no JSON where it was due": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(200, "<!doctype html><title>Log in</title>")},
			action.VendorBadAnswer, "GitHub answered 200 with text/html; charset=utf-8 where JSON was expected: <!doctype html><title>Log in</title>",
		},
		"half of the JSON": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(200, `{"a":`)},
			action.VendorBadAnswer, `GitHub answered 200 with application/json; charset=utf-8 where JSON was expected: {"a":`,
		},
		"JSON nested too deep": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(200, strings.Repeat("[", 300)+strings.Repeat("]", 300))},
			action.VendorBadAnswer, "GitHub answered with JSON nested deeper than 256",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, c.answers...)
			a := v.action(t, c.ref)
			failed(t, run(t, a, v.call(a, c.props)), c.kind, c.message)
		})
	}
}

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
