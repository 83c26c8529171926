package ingress_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// What a proxy tells of its caller is in the event where the proxy is trusted, and nowhere else.
func TestWhatProxiesTell(t *testing.T) {
	t.Parallel()
	const told = "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 192.0.2.8\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.example, " + endpointID + ".flows.example:8443\n"
	for name, c := range map[string]struct {
		trusted, headers string
		ip, url, host    string // no URL where nothing is accepted
	}{
		"a trusted one, and those before it": {"192.0.2.0/24", told, "203.0.113.9", "https://" + endpointID + ".flows.example:8443/a", endpointID + ".flows.example:8443"},
		"a trusted one alone":                {"192.0.2.1", told, "192.0.2.8", "https://" + endpointID + ".flows.example:8443/a", endpointID + ".flows.example:8443"},
		"one that is not":                    {"10.0.0.0/8", told, "", "", ""},
		"where none is":                      {"", told, "", "", ""},
		"one that tells nothing":             {"192.0.2.0/24", "", "", "", ""},
		"garbage":                            {"192.0.2.0/24", "X-Forwarded-For: , ,[::1, %\nX-Forwarded-Host: " + endpointID + ".flows.example/../\n", "", "", ""},
	} {
		w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
		w.config.WorkflowDomain = "flows.example"
		var err error
		if w.config.Proxies, err = web.ParseProxies(c.trusted); err != nil {
			t.Fatal(err)
		}
		r := request(http.MethodPost, "/a", oauth+user+c.headers, "")
		r.URL.Path, r.Host = "/a", "inner.example" // reached by its host alone
		res := w.send(r)
		events := w.bus.stored()
		if c.url == "" {
			if res.status != http.StatusNotFound || len(events) > 0 {
				t.Errorf("%s: answered %d, %d events", name, res.status, len(events))
			}
			continue
		}
		if len(events) != 1 {
			t.Fatalf("%s: answered %d %s", name, res.status, res.body)
		}
		var event struct {
			IP      string `json:"client_ip"`
			URL     string `json:"url"`
			Headers struct {
				Host string `json:"host"`
			} `json:"headers"`
		}
		if err := json.Unmarshal(events[0].Trigger, &event); err != nil {
			t.Fatal(err)
		}
		if event.IP != c.ip || event.URL != c.url || event.Headers.Host != c.host {
			t.Errorf("%s: %+v", name, event)
		}
	}
}

// A stranger's words change nothing: neither the address nor the URL of an event.
func TestAStrangerIsNotAProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	var err error
	if w.config.Proxies, err = web.ParseProxies("10.0.0.0/8, ::1"); err != nil {
		t.Fatal(err)
	}
	r := request(http.MethodPost, "/a", oauth+user+"X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.example\nForwarded: for=127.0.0.1;proto=https\nX-Real-IP: 127.0.0.1\n", "")
	r.RemoteAddr = "[2001:db8::7%eth0]:4000"
	e := published(t, w, r)
	var event struct {
		IP  string `json:"client_ip"`
		URL string `json:"url"`
	}
	if err := json.Unmarshal(e.Trigger, &event); err != nil {
		t.Fatal(err)
	}
	if event.IP != "2001:db8::7" || event.URL != "http://127.0.0.1/e/"+endpointID+"/a" {
		t.Errorf("%+v", event)
	}
}
