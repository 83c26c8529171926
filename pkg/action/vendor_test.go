package action_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// canary is the credential of every test: it must be found in requests, and nowhere else.
const canary = "canary-7f3a91c2/+x"

// received is one request as it came.
type received struct {
	method, uri string
	header      http.Header
	body        string
}

// vendor is a service over TLS that records what it is sent.
type vendor struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

// answers is what a vendor says, one after the other; the last again and again.
func newVendor(tb testing.TB, answers ...http.HandlerFunc) *vendor {
	tb.Helper()
	v := &vendor{}
	v.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := v.record(r)
		answers[min(n, len(answers)-1)](w, r)
	}))
	tb.Cleanup(func() {
		v.CloseClientConnections() // what still waits for its slow answer goes
		v.Close()
	})
	return v
}

// record keeps a request, and says how many there were before.
func (v *vendor) record(r *http.Request) int {
	body, _ := io.ReadAll(r.Body)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.got = append(v.got, received{r.Method, r.RequestURI, r.Header.Clone(), string(body)})
	return len(v.got) - 1
}

func (v *vendor) requests() []received {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.got
}

func (v *vendor) sawNothing(tb testing.TB) {
	tb.Helper()
	if got := v.requests(); len(got) != 0 {
		tb.Errorf("it was sent %+v", got)
	}
}

// says answers with a status, and with a body that is JSON where it looks like it.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasPrefix(body, "{") || strings.HasPrefix(body, "[") {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// action finds an action whose app is at the vendor's address.
func (v *vendor) action(tb testing.TB, ref string) *action.Action {
	tb.Helper()
	apps := standardApps(tb)
	var err error
	for _, slug := range apps.Slugs() {
		if slug == "custom" || slug == "postgresql" { // one has its address from the account, the other none
			continue
		}
		if apps, err = apps.WithURL(slug, v.URL); err != nil {
			tb.Fatal(err)
		}
	}
	actions, err := action.Standard(apps)
	if err != nil {
		tb.Fatal(err)
	}
	return find(tb, actions, ref)
}

// call is one call of an action with an account that holds the canary.
func (v *vendor) call(a *action.Action, props string) action.Call {
	c := action.Call{
		Props: json.RawMessage(props), Run: "run_1", IdempotencyKey: "run_1:send", Client: v.Client(), Timeout: time.Minute,
	}
	if a.App != "" {
		c.Apps = account(a.App, "oauth_access_token", canary, "api_key", canary)
	}
	return c
}

func account(slug behalf.AppSlug, pairs ...string) map[string]action.App {
	auth := map[string]secret.String{}
	for i := 0; i < len(pairs); i += 2 {
		auth[pairs[i]] = secret.New(pairs[i+1])
	}
	return map[string]action.App{string(slug): {Slug: slug, Auth: auth}}
}

// run runs a call that must not fail on our side.
func run(tb testing.TB, a *action.Action, c action.Call) behalf.Outcome {
	tb.Helper()
	outcome, err := a.Run(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	hidden(tb, outcome)
	return outcome
}

// hidden holds an outcome to the promise that no value of an account is in it.
func hidden(tb testing.TB, outcome behalf.Outcome) {
	tb.Helper()
	text := string(outcome.Exports) + fmt.Sprintf("%+v %+v %+v", outcome.Err, outcome.Response, outcome.Logs)
	for _, form := range []string{"canary-", "7f3a91c2", "Y2FuYXJ5", "NhbmFyeS", "jYW5hcnkt", "63616e617279"} {
		if strings.Contains(text, form) {
			tb.Errorf("the outcome shows the credential: %s", text)
		}
	}
}

func failed(tb testing.TB, outcome behalf.Outcome, name, message string) {
	tb.Helper()
	if outcome.Err == nil || outcome.Exports != nil || outcome.Response != nil || outcome.Cut {
		tb.Fatalf("it did not fail: %+v", outcome)
	}
	if outcome.Err.Name != name || outcome.Err.Message != message {
		tb.Errorf("got %s: %s\nwant %s: %s", outcome.Err.Name, outcome.Err.Message, name, message)
	}
}

func sameJSON(tb testing.TB, what, got, want string) {
	tb.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		tb.Errorf("%s is no JSON: %s", what, got)
		return
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		tb.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		tb.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}

func (v *vendor) host() string { return strings.TrimPrefix(v.URL, "https://") }
