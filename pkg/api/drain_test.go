package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// An API that leaves tells everybody to come again, and whoever looks after it why.
func TestADrainingAPIRefusesWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.api.Drain()
	for path, want := range map[string]int{
		"/v1/workflows": http.StatusServiceUnavailable, "/v1/nothing": http.StatusServiceUnavailable,
		"/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK,
	} {
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if rec.Code != want || want == http.StatusServiceUnavailable && rec.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d, Retry-After %q", path, rec.Code, rec.Header().Get("Retry-After"))
		}
		if closes := rec.Header().Get("Connection") == "close"; closes != (path == "/v1/workflows" || path == "/v1/nothing") {
			t.Errorf("%s: the connection is to be closed: %t", path, closes)
		}
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody))
	if body := rec.Body.String(); body != `{"reasons":["draining"],"status":"unavailable"}`+"\n" {
		t.Errorf("readyz says %s", body)
	}
}
