package ingress_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// keyed makes a request with a key.
func keyed(key, body string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/e/"+endpointID+"/orders", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+goodToken)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Pd-External-User-Id", "abc-123")
	r.Header.Set("Idempotency-Key", key)
	for _, f := range change {
		f(r)
	}
	return r
}

func TestTheSameKeyGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	done := behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Status: 201, Text: "made"}}
	w.answers(done)
	w.journal = func(run behalf.RunID) (behalf.Run, error) {
		return behalf.Run{ID: run, State: behalf.StateOK, Result: &done, Attempts: 1}, nil
	}
	first := w.send(keyed("k", `{"a":1}`))
	again := w.send(keyed("k", `{"a":1}`))
	if first.status != 201 || first.body != "made" || first.header.Get("X-Behalf-Replayed") != "" {
		t.Errorf("first %+v", first)
	}
	if again.status != 201 || again.body != "made" || again.header.Get("X-Behalf-Replayed") != "true" || again.header.Get("X-Behalf-Run-Id") != first.header.Get("X-Behalf-Run-Id") {
		t.Errorf("again %+v", again)
	}
	if n := len(w.bus.events); n != 1 {
		t.Errorf("%d events were published", n)
	}
}

func TestAKeyIsOneRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, body string
		change    func(*http.Request)
		status    int
		events    int
	}{
		"another body":   {"k", `{"a":2}`, func(*http.Request) {}, 422, 1},
		"another method": {"k", `{"a":1}`, func(r *http.Request) { r.Method = http.MethodPut }, 422, 1},
		"another path":   {"k", `{"a":1}`, func(r *http.Request) { r.URL.Path += "/7" }, 422, 1},
		"another query":  {"k", `{"a":1}`, func(r *http.Request) { r.URL.RawQuery = "x=1" }, 422, 1},
		"another key":    {"l", `{"a":2}`, func(*http.Request) {}, 200, 2},
		"another user":   {"k", `{"a":2}`, func(r *http.Request) { r.Header.Set("X-Pd-External-User-Id", "José") }, 200, 2},
		"another world":  {"k", `{"a":2}`, func(r *http.Request) { r.Header.Set("X-Pd-Environment", "development") }, 200, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
			if a := w.send(keyed("k", `{"a":1}`)); a.status != 200 {
				t.Fatalf("%+v", a)
			}
			a := w.send(keyed(c.key, c.body, c.change))
			if a.status != c.status || c.status == 422 && a.header.Get("X-Behalf-Error") != "idempotency_conflict" {
				t.Errorf("%+v", a)
			}
			if n := len(w.bus.events); n != c.events {
				t.Errorf("%d events were published, want %d", n, c.events)
			}
		})
	}
}

// A key that was taken long ago by an ingress that died before it published is taken over.
func TestAKeyThatWasLeftIsTakenOver(t *testing.T) {
	t.Parallel()
	for mode, status := range map[behalf.RespondMode]int{behalf.RespondImmediate: 200, behalf.RespondStatic: 200, behalf.RespondCustom: 202} {
		w := newWorld(behalf.AuthOAuth, mode)
		w.config.Wait = 500 * time.Millisecond
		w.journal = func(run behalf.RunID) (behalf.Run, error) {
			return behalf.Run{ID: run, State: behalf.StateRunning, UpdatedAt: time.Now().Add(-time.Minute)}, nil
		}
		if a := w.send(keyed("k", "{}")); a.status != status && mode == behalf.RespondImmediate {
			t.Errorf("%s: first %+v", mode, a)
		}
		w.bus.events = nil // as if the first had died
		if a := w.send(keyed("k", "{}")); a.status != status || a.header.Get("X-Behalf-Replayed") != "true" {
			t.Errorf("%s: %+v", mode, a)
		}
		if n := len(w.bus.events); n != 1 {
			t.Errorf("%s: %d events were published", mode, n)
		}
	}
}

// One that was taken just now is left to its first request.
func TestAKeyThatWasJustTakenIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.config.Wait = 200 * time.Millisecond
	w.journal = func(run behalf.RunID) (behalf.Run, error) {
		return behalf.Run{ID: run, State: behalf.StateRunning, UpdatedAt: time.Now()}, nil
	}
	w.send(keyed("k", "{}"))
	w.bus.events = nil
	if a := w.send(keyed("k", "{}")); a.status != 202 || a.header.Get("X-Behalf-Error") != "running" || a.header.Get("Location") == "" {
		t.Errorf("%+v", a)
	}
	if n := len(w.bus.events); n != 0 {
		t.Errorf("%d events were published", n)
	}
}
