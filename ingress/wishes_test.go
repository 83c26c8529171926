package ingress_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// What is asked for and cannot be had is refused: to go on would keep, or run, what must not be.
func TestWishesThatAreNotHeardYet(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x-pd-notrigger", "x-pd-upload-body"} {
		for how, r := range map[string]*http.Request{
			"header":          request(http.MethodPost, "", name+": 1", "x"),
			"upper-case":      request(http.MethodPost, "", strings.ToUpper(name)+": TRUE", "x"),
			"query":           request(http.MethodPost, "?a=1&"+name+"=1", "", "x"),
			"an escaped name": request(http.MethodPost, "?"+strings.ReplaceAll(name, "-", "%2d")+"=true", "", "x"),
			"yes and no":      request(http.MethodPost, "?"+name+"=1", name+": 0", "x"),
			"twice":           request(http.MethodPost, "", name+": 0\n"+name+": 1", "x"),
		} {
			w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
			check(t, w.send(r), row{status: 400, code: "request_invalid", text: name + " comes in the next release; send the request without it"})
			if t.Failed() || len(w.bus.stored()) > 0 {
				t.Fatalf("%s in the %s: %d events", name, how, len(w.bus.stored()))
			}
		}
	}
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	check(t, w.send(request(http.MethodPost, "?pipedream_upload_body=1", "", "x")), row{
		status: 400, code: "request_invalid", text: "x-pd-upload-body comes in the next release; send the request without it",
	})
}

// The event says that nothing of it shall be kept, and which files end with its run; other events say neither.
func TestNothingShallBeKept(t *testing.T) {
	t.Parallel()
	for how, r := range map[string]*http.Request{
		"header":          request(http.MethodPost, "", "x-pd-nostore: 1", "x"),
		"upper-case":      request(http.MethodPost, "", "X-PD-NOSTORE: TRUE", "x"),
		"query":           request(http.MethodPost, "?a=1&x-pd-nostore=1", "", "x"),
		"an escaped name": request(http.MethodPost, "?x%2dpd%2dnostore=true", "", "x"),
		"yes and no":      request(http.MethodPost, "?x-pd-nostore=1", "x-pd-nostore: 0", "x"),
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		if e := published(t, w, r); !e.Origin.NoStore || e.Files != nil {
			t.Errorf("%s: %+v", how, e)
		}
	}
	two := file("one", "filename=a", "text/plain", "a") + file("two", "filename=b", "text/plain", "b") + endOfForm
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	e := published(t, w, request(http.MethodPost, "", "x-pd-nostore: 1\n"+formData, two))
	links := linksOf(t, e)
	if !e.Origin.NoStore || len(e.Files) != 2 || !strings.HasSuffix(links["one"][0].URL, "/"+e.Files[0]) || !strings.HasSuffix(links["two"][0].URL, "/"+e.Files[1]) {
		t.Errorf("%+v of %v", e.Files, links)
	}
	w = filing(behalf.AuthNone, behalf.RespondImmediate)
	if e := published(t, w, request(http.MethodPost, "", "x-pd-nostore: 1\nx-pd-upload-body: 1", "x")); !e.Origin.NoStore || len(e.Files) != 1 {
		t.Errorf("%+v", e)
	}
	w = filing(behalf.AuthNone, behalf.RespondImmediate)
	if e := published(t, w, request(http.MethodPost, "", formData, two)); e.Origin.NoStore || e.Files != nil {
		t.Errorf("%+v", e)
	}
}

func TestWishesThatSayNeitherYesNorNo(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "yes", "2", "1,1", "on", " ", "null"} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		r := request(http.MethodPost, "", "", "")
		r.Header["X-Pd-Nostore"] = []string{value}
		check(t, w.send(r), row{status: 400, code: "request_invalid", text: "x-pd-nostore must be 1 or 0"})
		if len(w.bus.stored()) > 0 {
			t.Errorf("%q: an event was stored", value)
		}
	}
	w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
	check(t, w.send(request(http.MethodPost, "?x-pd-notrigger", "", "")), row{status: 400, code: "request_invalid", text: "x-pd-notrigger must be 1 or 0"})
}

func TestWishesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "?x-pd-nostore=0&x-pd-notrigger=FALSE&pipedream_upload_body=false", "?x-pd-nostored=1", "?nostore=1", "?a=x-pd-nostore=1"} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		published(t, w, request(http.MethodPost, query, "x-pd-nostore: 0\nx-pd-upload-body: false", "x"))
	}
}

func TestWishesAreHeardFromThoseWhoMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(behalf.AuthOAuth, behalf.RespondImmediate)
	if res := w.send(request(http.MethodPost, "", "x-pd-notrigger: 1", "x")); res.status != 401 || len(w.bus.stored()) > 0 {
		t.Errorf("answered %d", res.status)
	}
}
