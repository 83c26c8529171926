//go:build integration

package test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// vendor is a service that steps call. It keeps its own ledger: every call, and one effect for each idempotency key.
type vendor struct {
	url string

	mu    sync.Mutex
	calls []vendorCall
}

// vendorCall is one call of a step.
type vendorCall struct {
	Key   string // the idempotency key: the run and the step
	Event string // the event of the test that the run belongs to
	Token string // the bearer
	At    time.Time
}

func (c vendorCall) run() string { return strings.SplitN(c.Key, ":", 2)[0] }

func newVendor(t *testing.T) *vendor {
	t.Helper()
	v := &vendor{}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Event string `json:"event"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body) // a call without an event is counted too
	v.mu.Lock()
	v.calls = append(v.calls, vendorCall{
		Key: r.Header.Get("Idempotency-Key"), Event: body.Event,
		Token: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), At: time.Now(),
	})
	v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"ok":true}`))
}

func (v *vendor) all() []vendorCall {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]vendorCall(nil), v.calls...)
}

// effects counts the effects of all calls: one for each idempotency key.
func (v *vendor) effects() int { return len(v.byKey()) }

// byKey gives the calls of each idempotency key, in their order.
func (v *vendor) byKey() map[string][]vendorCall {
	keys := map[string][]vendorCall{}
	for _, c := range v.all() {
		keys[c.Key] = append(keys[c.Key], c)
	}
	return keys
}

// of gives the calls for one event of the test, and the runs that made them.
func (v *vendor) of(event string) (calls []vendorCall, runs map[string]bool) {
	runs = map[string]bool{}
	for _, c := range v.all() {
		if c.Event == event {
			calls = append(calls, c)
			runs[c.run()] = true
		}
	}
	return calls, runs
}

// runsByEvent gives the runs of every event of the test.
func (v *vendor) runsByEvent() map[string]map[string]bool {
	events := map[string]map[string]bool{}
	for _, c := range v.all() {
		if events[c.Event] == nil {
			events[c.Event] = map[string]bool{}
		}
		events[c.Event][c.run()] = true
	}
	return events
}
