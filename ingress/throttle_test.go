package ingress_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

const withGood = "Authorization: Bearer " + goodToken

// throttled checks that nothing was accepted, and that the caller is told so and when to come again.
func throttled(t *testing.T, a answer, after string) {
	t.Helper()
	if a.status != 429 || a.header.Get("X-Behalf-Error") != "throttled" || a.header.Get("Retry-After") != after ||
		a.header.Get("X-Behalf-Run-Id") != "" || a.body != "Too many requests; nothing was accepted, send it again later" {
		t.Errorf("%d %s %v, want a 429 with Retry-After %s", a.status, a.body, a.header, after)
	}
}

// TestRate lets a project have its rate, over time.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
		w.config.Rate = web.Rate{PerSecond: 0.5, Burst: 3}
		s := w.server()
		call := func(headers string) answer { return serve(s, request(http.MethodPost, "/", headers, "{}")) }
		for range 3 {
			if a := call(withGood); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		for range 5 {
			throttled(t, call(withGood), "2")
		}
		time.Sleep(1500 * time.Millisecond)
		throttled(t, call(withGood), "1")
		if n := len(w.bus.stored()); n != 3 {
			t.Errorf("%d events are stored, want 3: a 429 means that nothing was accepted", n)
		}
		time.Sleep(500 * time.Millisecond)
		if a := call(withGood); a.status != 200 {
			t.Errorf("after the time that it was told: %d %s", a.status, a.body)
		}
		throttled(t, call(withGood), "2")
		if a := call(withGood + "\nX-Pd-Environment: development"); a.status != 200 {
			t.Errorf("the other environment has a rate of its own: %d %s", a.status, a.body)
		}
	})
}

// TestRateIsOfTheProject lets two endpoints of a project share its rate, and another project have its own.
func TestRateIsOfTheProject(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthToken, behalf.RespondImmediate)
	w.config.Rate = web.Rate{PerSecond: 1e-6, Burst: 2}
	w.find = func(id behalf.EndpointID) (behalf.Endpoint, error) {
		e := w.endpoint
		e.ID = id
		if strings.HasPrefix(string(id), "enother") {
			e.Project = "proj_2"
		}
		return e, nil
	}
	s := w.server()
	call := func(endpoint string) answer {
		r := request(http.MethodPost, "/", "Authorization: Bearer "+staticText, "{}")
		r.URL.Path = "/e/" + endpoint
		return serve(s, r)
	}
	for _, endpoint := range []string{"enone", "entwo"} {
		if a := call(endpoint); a.status != 200 {
			t.Fatalf("%s: %d %s", endpoint, a.status, a.body)
		}
	}
	throttled(t, call("enthree"), "60")
	if a := call("enother"); a.status != 200 {
		t.Errorf("another project: %d %s", a.status, a.body)
	}
}

// TestRateIsNotForStrangers floods a project with bad bearers: its rate is for those who may.
func TestRateIsNotForStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	w.config.Rate = web.Rate{PerSecond: 1e-6, Burst: 1}
	s := w.server()
	for range 20 {
		if a := serve(s, request(http.MethodPost, "/", "Authorization: Bearer bad", "{}")); a.status != 401 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := serve(s, request(http.MethodPost, "/", withGood, "{}")); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestPublicRate is that of each endpoint without authentication, beside its project's.
func TestPublicRate(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	w.config.PublicRate, w.config.Rate = web.Rate{PerSecond: 1e-6, Burst: 2}, web.Rate{PerSecond: 1e-6, Burst: 3}
	w.find = func(id behalf.EndpointID) (behalf.Endpoint, error) {
		e := w.endpoint
		if e.ID = id; id == "enprotected" {
			e.Trigger.Auth = behalf.AuthOAuth
		}
		return e, nil
	}
	s := w.server()
	for _, c := range []struct {
		endpoint string
		status   int
	}{
		{"enone", 200}, {"enone", 200}, {"enone", 429}, {"enone", 429}, // its own rate: a refusal costs the project nothing
		{"entwo", 200}, {"entwo", 429}, // the project's, by now
		{"enprotected", 429},
	} {
		r := request(http.MethodPost, "/", withGood, "{}")
		r.URL.Path = "/e/" + c.endpoint
		if a := serve(s, r); a.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.endpoint, a.status, a.body, c.status)
		}
	}
	w = newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	w.config.PublicRate = web.Rate{PerSecond: 1e-6, Burst: 1}
	s = w.server()
	for range 3 {
		if a := serve(s, request(http.MethodPost, "/", withGood, "{}")); a.status != 200 {
			t.Errorf("a protected endpoint under a rate of public ones: %d", a.status)
		}
	}
}

// TestStrangersAreThrottled tells an address that sends bad bearers to come again later, and nobody else.
func TestStrangersAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	w.config.StrangerRate = web.Rate{PerSecond: 1e-6, Burst: 3}
	registry := prometheus.NewRegistry()
	w.registry = registry
	s := w.server()
	from := func(addr, headers string) answer {
		r := request(http.MethodPost, "/", headers, "{}")
		r.RemoteAddr = addr
		return serve(s, r)
	}
	for _, headers := range []string{"", "Authorization: Bearer bad", "Authorization: Bearer other-project"} {
		if a := from("192.0.2.1:1", headers); a.status != 401 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	throttled(t, from("192.0.2.1:2", "Authorization: Bearer bad"), "60")
	throttled(t, from("192.0.2.1:2", ""), "60")
	for name, c := range map[string]struct {
		addr, headers string
		status        int
	}{
		"another address":                       {"192.0.2.2:1", "", 401},
		"a good bearer from the same address":   {"192.0.2.1:3", withGood, 200},
		"a bearer without the scope, from it":   {"192.0.2.1:3", "Authorization: Bearer no-scope", 403},
		"keys that are away are no bad bearers": {"192.0.2.1:3", "Authorization: Bearer keys-away", 503},
	} {
		if a := from(c.addr, c.headers); a.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, c.status)
		}
	}
	want := `
# HELP behalf_ingress_backpressure_rejections_total Requests of which nothing was accepted and that may be sent again, by reason.
# TYPE behalf_ingress_backpressure_rejections_total counter
behalf_ingress_backpressure_rejections_total{reason="throttled"} 2
behalf_ingress_backpressure_rejections_total{reason="unavailable"} 1
# HELP behalf_ingress_requests_total Requests by environment, workflow and outcome: ok, accepted, test_event, preflight, file, or the code of the failure.
# TYPE behalf_ingress_requests_total counter
behalf_ingress_requests_total{environment="production",outcome="accepted",workflow="p_1"} 1
behalf_ingress_requests_total{environment="production",outcome="forbidden",workflow="p_1"} 1
behalf_ingress_requests_total{environment="production",outcome="throttled",workflow="p_1"} 2
behalf_ingress_requests_total{environment="production",outcome="unauthenticated",workflow="p_1"} 4
behalf_ingress_requests_total{environment="production",outcome="unavailable",workflow="p_1"} 1
`
	names := []string{"behalf_ingress_backpressure_rejections_total", "behalf_ingress_requests_total"}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// TestNoRate is the default: nobody chose a limit, so that there is none.
func TestNoRate(t *testing.T) {
	t.Parallel()
	for _, auth := range []behalf.TriggerAuth{behalf.AuthNone, behalf.AuthOAuth} {
		w := newWorld(auth, behalf.RespondImmediate)
		s := w.server()
		for range 500 {
			if a := serve(s, request(http.MethodPost, "/", withGood, "{}")); a.status != 200 {
				t.Fatalf("%s: %d %s", auth, a.status, a.body)
			}
		}
	}
}
