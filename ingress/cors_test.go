package ingress_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const preflight = "Origin: https://app.example\nAccess-Control-Request-Method: POST\n"

func TestAPreflightRunsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ headers, allowed string }{
		"no header":   {preflight, ""},
		"headers":     {preflight + "Access-Control-Request-Headers: authorization,content-type,x-pd-environment", "authorization,content-type,x-pd-environment"},
		"two lines":   {preflight + "Access-Control-Request-Headers: a\nAccess-Control-Request-Headers: b", "a,b"},
		"an own verb": {"Access-Control-Request-Method: BREW", ""},
	} {
		w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
		w.find = func(behalf.EndpointID) (behalf.Endpoint, error) {
			t.Errorf("%s: an endpoint is looked up", name)
			return behalf.Endpoint{}, fault.New(fault.NotFound, "endpoints", "no such endpoint")
		}
		s := w.server()
		s.Drain() // a page that asks gets its answer with the request itself
		res := serve(s, request(http.MethodOptions, "/x?a=1", c.headers, ""))
		check(t, res, row{status: 204, also: map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
			"Access-Control-Allow-Headers": c.allowed, "Vary": "Access-Control-Request-Headers", "Content-Length": "",
		}})
		if len(w.bus.stored()) > 0 {
			t.Errorf("%s: an event was stored", name)
		}
	}
}

func TestAPreflightOfNoEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	r := request(http.MethodOptions, "", preflight, "")
	r.URL.Path = "/e/nothing"
	check(t, w.send(r), row{status: 404, code: "endpoint_not_found", text: "No workflow answers here in production"})
}

func TestOptionsOfAWorkflow(t *testing.T) {
	t.Parallel()
	for _, headers := range []string{"", "Origin: https://app.example"} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		if e := published(t, w, request(http.MethodOptions, "", headers, "")); !strings.HasPrefix(string(e.Trigger), `{"method":"OPTIONS"`) {
			t.Errorf("trigger %s", e.Trigger)
		}
	}
}

func TestAnswersAreOpenToPages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers         string
		change          func(*world)
		origin, exposed string
	}{
		"an answer":            {oauth, func(*world) {}, "*", ""},
		"an answer to a page":  {oauth + "Origin: null", func(*world) {}, "*", "*"},
		"a failure to a page":  {"Origin: https://app.example", func(*world) {}, "*", "*"},
		"one that is refused":  {oauth, func(w *world) { w.find = func(behalf.EndpointID) (behalf.Endpoint, error) { panic("boom") } }, "*", ""},
		"what the author says": {oauth + "Origin: https://app.example", authored, "https://app.example", "x-mine"},
	} {
		w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
		w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "x"}})
		c.change(w)
		h := w.send(request(http.MethodPost, "", c.headers, "")).header
		if len(h.Values("Access-Control-Allow-Origin")) != 1 || h.Get("Access-Control-Allow-Origin") != c.origin || h.Get("Access-Control-Expose-Headers") != c.exposed {
			t.Errorf("%s: %v", name, h)
		}
	}
}

func authored(w *world) {
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "x", Headers: map[string]string{
		"access-control-allow-origin": "https://app.example", "Access-Control-Expose-Headers": "x-mine",
	}}})
}

// The values are shared by all answers, so an answer that adds to them must not reach another.
func TestOpenAnswersShareNothingThatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	s := w.server()
	for range 2 {
		h := serve(s, request(http.MethodPost, "", "", "")).header
		h.Add("Access-Control-Allow-Origin", "https://evil.example")
	}
	if got := serve(s, request(http.MethodPost, "", "", "")).header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
		t.Errorf("%q", got)
	}
}
