package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// TestBadBearersAreThrottled sends bad bearers from one address. It is told to come again later; whoever has a good one is
// not, from wherever they call.
func TestBadBearersAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *api.Config, _ *api.Deps) { c.PerStranger = web.Rate{PerSecond: 1e-6, Burst: 3} })
	from := func(addr, bearer string) answer {
		r := httptest.NewRequest(http.MethodGet, "/v1/users", http.NoBody)
		r.RemoteAddr = addr
		r.Header.Set("X-Pd-Environment", string(behalf.Development))
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		return w.do(r)
	}
	for _, bearer := range []string{"", "garbage", w.token(gone)} {
		flat(t, from("192.0.2.1:1", bearer), 401, "unauthenticated")
	}
	for _, bearer := range []string{"", "garbage", w.token(gone)} {
		a := from("192.0.2.1:2", bearer)
		flat(t, a, 429, "throttled")
		if a.header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
	}
	flat(t, from("192.0.2.2:1", "garbage"), 401, "unauthenticated")
	if a := from("192.0.2.1:3", w.token(ours)); a.status != 200 {
		t.Errorf("a good bearer from the same address: %d %s", a.status, a.body)
	}
	flat(t, from("192.0.2.1:3", w.token(powerless)), 403, "forbidden")
}
