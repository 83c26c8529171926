package ingress_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// FuzzTarget asks by any host and any target. Only the one endpoint answers, with the path as it was written; for all
// else nothing is here.
func FuzzTarget(f *testing.F) {
	for _, seed := range [][2]string{
		{"127.0.0.1", "/e/" + endpointID},
		{"127.0.0.1:8080", "/e/" + endpointID + "/a/../b//c;d"},
		{endpointID + ".flows.example", "/"},
		{strings.ToUpper(endpointID) + ".FLOWS.example.:443", "//e/x"},
		{"x." + endpointID + ".flows.example", "/"},
		{"flows.example", "/e/"},
		{endpointID + ".flows.example.evil.example", "/"},
		{"evil.example", "/e/" + endpointID + "%2Fa"},
		{"[::1]:80", "/e/%65nabc"},
		{"", "*"},
		{"127.0.0.1", "/e//" + endpointID},
		{"127.0.0.1", "/%65/" + endpointID},
		{"127.0.0.1", "/e/../e/" + endpointID},
		{"127.0.0.1", "http://x/e/" + endpointID + "?a=1#b"},
		{endpointID + "..flows.example", "/\x00"},
		{"\xff", "/e/" + endpointID + "\xff"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http refuses it before us
		}
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		r := request(http.MethodPost, "", "", "{}")
		r.Host, r.URL = host, u
		a, stored := w.send(r), w.bus.stored()
		byHost := strings.HasPrefix(strings.ToLower(host), endpointID+".flows.example")
		byPath := strings.HasPrefix(strings.ToLower(u.EscapedPath()), "/e/"+endpointID)
		switch {
		case a.status == http.StatusOK && len(stored) == 1 && (byHost || byPath):
			checkPath(t, stored[0], u, byHost)
		case a.status == http.StatusBadRequest && len(stored) == 0 && a.header.Get("X-Behalf-Error") == "request_invalid" && (byHost || byPath):
		case a.status == http.StatusBadRequest && len(stored) == 0 && a.header.Get("X-Behalf-Error") == "environment_invalid" && u.RawQuery != "" && (byHost || byPath):
		case a.status != http.StatusNotFound && !healthy(u) || len(stored) > 0:
			t.Errorf("%q %q: %d %s, and %d events", host, target, a.status, a.body, len(stored))
		}
	})
}

// healthy says whether the target is one that answers everybody.
func healthy(u *url.URL) bool { return u.Path == "/healthz" || u.Path == "/readyz" }

// checkPath holds the path of an event against what was asked for.
func checkPath(t *testing.T, e behalf.Event, u *url.URL, byHost bool) {
	t.Helper()
	var trigger struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(e.Trigger, &trigger); err != nil {
		t.Fatal(err)
	}
	want := u.EscapedPath()
	if !byHost {
		want = want[len("/e/"+endpointID):]
	}
	if !strings.HasPrefix(want, "/") {
		want = "/" + want
	}
	if trigger.Path != want {
		t.Errorf("path %q, want %q", trigger.Path, want)
	}
}
