package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func file(name, filename, contentType, content string) string {
	return part(`Content-Disposition: form-data; name="`+name+`"; `+filename+"\nContent-Type: "+contentType, content)
}

// filing is a world that keeps files.
func filing(auth behalf.TriggerAuth, mode behalf.RespondMode) *world {
	w := newWorld(auth, mode)
	w.files, w.config.URL = newFiles(), "https://in.example/"
	w.triggers = &triggers{kept: map[behalf.ObjectID]string{}}
	return w
}

// link is what an event says of a file.
type link struct {
	URL      string `json:"url"`
	Filename string `json:"filename"`
	Mimetype string `json:"mimetype"`
}

// linksOf are the files of an event's body, by their fields.
func linksOf(t *testing.T, e behalf.Event) map[string][]link {
	t.Helper()
	var trigger struct {
		Body map[string]json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(e.Trigger, &trigger); err != nil {
		t.Fatalf("%v: %s", err, e.Trigger)
	}
	found := map[string][]link{}
	for name, value := range trigger.Body {
		var one link
		var many []link
		if json.Unmarshal(value, &one) == nil {
			found[name] = []link{one}
		} else if json.Unmarshal(value, &many) == nil {
			found[name] = many
		}
	}
	return found
}

// fetch reads a file as a step does.
func fetch(t *testing.T, w *world, url string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return w.send(r)
}

func TestAFileIsHandedOnByItsURL(t *testing.T) {
	t.Parallel()
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	large := strings.Repeat("\x00\xff\r\n--y", 1<<20) // more than an event may have
	e := published(t, w, request(http.MethodPost, "", formData,
		file("one", `filename="a b.png"`, "image/png", "\x89PNG")+field("title", "two files")+
			file("many", `filename=x.bin`, "application/octet-stream", large)+file("many", `filename=empty`, "text/plain", "")+endOfForm))
	links := linksOf(t, e)
	if len(links["one"]) != 1 || len(links["many"]) != 2 || !bytes.Contains(e.Trigger, []byte(`"title":"two files"`)) {
		t.Fatalf("trigger %s", e.Trigger)
	}
	for want, l := range map[link]link{
		{"\x89PNG", "a b.png", "image/png"}:          links["one"][0],
		{large, "x.bin", "application/octet-stream"}: links["many"][0],
		{"", "empty", "text/plain"}:                  links["many"][1],
	} {
		name, ok := strings.CutPrefix(l.URL, "https://in.example/e/files/production/")
		if !ok || len(name) != 43 || l.Filename != want.Filename || l.Mimetype != want.Mimetype {
			t.Errorf("link %+v", l)
		}
		if res := fetch(t, w, l.URL); res.status != 200 || res.body != want.URL || res.header.Get("Content-Type") != want.Mimetype {
			t.Errorf("%s answers %d with %d bytes, %v", l.Filename, res.status, len(res.body), res.header)
		}
	}
}

func TestFilenames(t *testing.T) {
	t.Parallel()
	for disposition, want := range map[string]string{
		`filename="../../etc/passwd"`:          "passwd",
		`filename="C:\\docs\\x.txt"`:           "x.txt",
		`filename="a/"`:                        "file",
		`filename=".."`:                        "..",
		`filename*=utf-8''%e2%82%ac.txt`:       "€.txt",
		`filename="Jos` + "\u00e9" + `.txt"`:   "José.txt",
		`filename="` + "\xff" + `.txt"`:        "\ufffd.txt",
		`filename="a\"b.txt"`:                  `a"b.txt`,
		`filename="__proto__"`:                 "__proto__",
		`filename="` + "a\u202egnp.exe" + `"`:  "a\u202egnp.exe",
		`filename="a;b=c.txt"; filename2="no"`: "a;b=c.txt",
	} {
		w := filing(behalf.AuthNone, behalf.RespondImmediate)
		l := linksOf(t, published(t, w, request(http.MethodPost, "", formData, file("f", disposition, "text/html", "x")+endOfForm)))["f"]
		if len(l) != 1 || l[0].Filename != want {
			t.Errorf("%s: %+v, want %q", disposition, l, want)
			continue
		}
		res := fetch(t, w, l[0].URL)
		if got := res.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%s: %q", disposition, got)
		}
	}
}

// Steps see the whole name, and a client's headers do not overflow.
func TestLongFilenames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 5<<10) + strings.Repeat("é", 2<<10) + ".tar"
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	e := published(t, w, request(http.MethodPost, "", formData, file("f", `filename="`+long+`"`, "text/"+strings.Repeat("x", 4<<10), "x")+endOfForm))
	l := linksOf(t, e)["f"]
	if len(l) != 1 || l[0].Filename != long || len(l[0].Mimetype) < 4<<10 {
		t.Fatalf("trigger %.200s", e.Trigger)
	}
	res := fetch(t, w, l[0].URL)
	if got, want := res.header.Get("Content-Disposition"), "attachment; filename="+strings.Repeat("a", 251)+".tar"; got != want || res.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q, %q", got, res.header.Get("Content-Type"))
	}
	w = filing(behalf.AuthNone, behalf.RespondImmediate)
	e = published(t, w, request(http.MethodPost, "", formData, file("f", `filename="`+strings.Repeat("é", 5<<10)+`"`, "text/plain", "x")+endOfForm))
	if got := fetch(t, w, linksOf(t, e)["f"][0].URL).header.Get("Content-Disposition"); got != "attachment; filename*=utf-8''"+strings.Repeat("%C3%A9", 127) {
		t.Errorf("%q", got)
	}
	check(t, w.send(request(http.MethodPost, "", formData, file("f", `filename="`+strings.Repeat("a", 17<<10)+`"`, "text/plain", "x")+endOfForm)),
		row{status: 400, code: "request_invalid", text: "The headers of a part may have 16384 bytes"})
}

func TestAFileIsNoPageOfOurs(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"text/html": "text/html", "": "application/octet-stream", "not a type at all": "application/octet-stream",
	} {
		w := filing(behalf.AuthNone, behalf.RespondImmediate)
		l := linksOf(t, published(t, w, request(http.MethodPost, "", formData, file("f", "filename=a.html", given, "<script>")+endOfForm)))["f"]
		res := fetch(t, w, l[0].URL)
		for name, value := range map[string]string{
			"Content-Type": want, "Content-Disposition": "attachment; filename=a.html", "Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "private, no-store", "Content-Length": "8",
		} {
			if got := res.header.Get(name); got != value {
				t.Errorf("%q: %s is %q, want %q", given, name, got, value)
			}
		}
	}
}

func TestFilesThatAreNotGiven(t *testing.T) {
	t.Parallel()
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	e := published(t, w, request(http.MethodPost, "", formData, file("f", "filename=a", "text/plain", "x")+endOfForm))
	url := linksOf(t, e)["f"][0].URL
	name := url[len(url)-43:]
	for target, want := range map[string]int{
		url: 200, "https://other.example/e/files/production/" + name: 200,
		url[:len(url)-1]: 404, url + "x": 404, url + "/": 404, url[:len(url)-43] + strings.Repeat("A", 43): 404,
		"https://in.example/e/files/staging/" + name: 404, "https://in.example/e/files/" + name: 404, "https://in.example/e/files/": 404,
		"https://in.example/e/files/production/" + strings.Repeat("%2F", 43): 404,
		"https://in.example/e/files/production/" + strings.Repeat("*", 43):   404,
	} {
		if res := fetch(t, w, target); res.status != want || want == 200 && res.body != "x" {
			t.Errorf("%s: %d %q", target, res.status, res.body)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut} {
		r, _ := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
		if res := w.send(r); res.status != 405 || res.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, res.status)
		}
	}
	head, _ := http.NewRequestWithContext(t.Context(), http.MethodHead, url, http.NoBody)
	if res := w.send(head); res.status != 200 || res.body != "" || res.header.Get("Content-Length") != "1" {
		t.Errorf("HEAD: %d %q %v", res.status, res.body, res.header)
	}
}

// Under the workflow domain every path is its author's.
func TestAPathOfFilesIsTheAuthorsByHost(t *testing.T) {
	t.Parallel()
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+endpointID+".flows.example/e/files/production/x", http.NoBody)
	if e := published(t, w, r); !bytes.Contains(e.Trigger, []byte(`"path":"/e/files/production/x"`)) {
		t.Errorf("trigger %s", e.Trigger)
	}
}

func TestABodyIsHandedOnUntouched(t *testing.T) {
	t.Parallel()
	zipped := gzipped(`{"a":1}`)
	for name, c := range map[string]struct{ path, headers, body string }{
		"by header":       {"", "x-pd-upload-body: 1\nContent-Type: application/json", `{"a": 1}`},
		"by query":        {"/?x-pd-upload-body=true", "Content-Type: application/json", `{"a": 1}`},
		"by its old name": {"?pipedream_upload_body=1", "Content-Type: application/json", `{"a": 1}`},
		"bytes":           {"", "x-pd-upload-body: 1", "\x00\xff"},
		"a form":          {"", "x-pd-upload-body: 1\n" + formData, "--x--"},
		"a broken form":   {"", "x-pd-upload-body: 1\n" + formData, "--"},
		"compressed":      {"", "x-pd-upload-body: 1\nContent-Encoding: gzip", zipped},
		"of any coding":   {"", "x-pd-upload-body: 1\nContent-Encoding: br", "x"},
		"of two types":    {"", "x-pd-upload-body: 1\nContent-Type: a/b\nContent-Type: c/d", "x"},
		"large":           {"", "x-pd-upload-body: 1", strings.Repeat("\xff", 10<<20)},
	} {
		w := filing(behalf.AuthNone, behalf.RespondImmediate)
		w.endpoint.Trigger.RawBody = true // of which there is none besides
		e := published(t, w, request(http.MethodPost, c.path, c.headers, c.body))
		var trigger struct {
			Body map[string]string `json:"body"`
			Raw  *string           `json:"body_raw"`
		}
		if err := json.Unmarshal(e.Trigger, &trigger); err != nil || trigger.Raw != nil || len(trigger.Body) != 1 {
			t.Errorf("%s: %v: %s", name, err, e.Trigger)
			continue
		}
		if res := fetch(t, w, trigger.Body["raw_body_url"]); res.status != 200 || res.body != c.body {
			t.Errorf("%s: %d with %d bytes of %d", name, res.status, len(res.body), len(c.body))
		}
	}
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	if e := published(t, w, request(http.MethodGet, "", "x-pd-upload-body: 1", "")); bytes.Contains(e.Trigger, []byte("raw_body_url")) || w.files.puts > 0 {
		t.Errorf("no body: %s", e.Trigger)
	}
}

// Of a request that is refused, nothing stays; of one that may be accepted, everything.
func TestWhatARefusedRequestBroughtDoesNotStay(t *testing.T) {
	t.Parallel()
	large := field("b", strings.Repeat("2", 300<<10))
	form := file("a", "filename=a", "text/plain", "1") + large + file("c", "filename=c", "text/plain", "3") + endOfForm
	cut := strings.TrimSuffix(form, endOfForm)
	publishing := func(kind fault.Kind) func(*world) {
		return func(w *world) { w.bus.publish = fails(fault.New(kind, "bus.Publish", "")) }
	}
	type kept struct{ files, triggers int }
	for name, c := range map[string]struct {
		change        func(*world)
		headers, body string
		status        int
		put, stays    kept
	}{
		"accepted":             {func(*world) {}, oauth, form, 200, kept{2, 1}, kept{2, 1}},
		"not let in":           {func(*world) {}, "", form, 401, kept{}, kept{}},
		"cut":                  {func(*world) {}, oauth, cut, 400, kept{}, kept{}},
		"two users":            {func(*world) {}, oauth + user + user, form, 400, kept{}, kept{}},
		"accounts of no form":  {func(*world) {}, oauth + "x-behalf-accounts: x\n", form, 400, kept{}, kept{}},
		"no account":           {func(w *world) { needsSlack(w); w.endpoint.Trigger.Respond.Mode = behalf.RespondCustom }, oauth, form, 400, kept{}, kept{}},
		"too large":            {func(w *world) { w.config.MaxBody = 290 << 10 }, oauth, form, 413, kept{}, kept{}},
		"the first file fails": {func(w *world) { w.files.put = putFails(0, fault.Unavailable) }, oauth, form, 503, kept{1, 0}, kept{}},
		"the second fails":     {func(w *world) { w.files.put = putFails(1, fault.Exhausted) }, oauth, form, 503, kept{2, 0}, kept{}},
		"a bug":                {func(w *world) { w.files.put = putFails(1, fault.Internal) }, oauth, form, 503, kept{2, 0}, kept{}},
		"the trigger fails":    {func(w *world) { w.triggers.put = fault.New(fault.Exhausted, "store", "") }, oauth, form, 503, kept{2, 1}, kept{}},
		"the queue is full":    {publishing(fault.Exhausted), oauth, form, 503, kept{2, 1}, kept{}},
		"NATS is away":         {publishing(fault.Unavailable), oauth, form, 503, kept{2, 1}, kept{}},
		"not to be stored":     {publishing(fault.Invalid), oauth, form, 503, kept{2, 1}, kept{}},
		"nobody knows":         {publishing(fault.Timeout), oauth, form, 409, kept{2, 1}, kept{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := filing(behalf.AuthOAuth, behalf.RespondImmediate)
			c.change(w)
			res := w.send(request(http.MethodPost, "", c.headers+formData, c.body))
			put, stays := kept{w.files.puts, w.triggers.puts}, kept{w.files.count(), w.triggers.count()}
			if res.status != c.status || put != c.put || stays != c.stays {
				t.Errorf("answered %d %s; put %v, %v stays", res.status, res.body, put, stays)
			}
		})
	}
}

func fails(err error) publish {
	return func(context.Context, func()) error { return err }
}

func putFails(at int, kind fault.Kind) func(int) error {
	return func(kept int) error {
		if kept == at {
			return fault.New(kind, "files.PutFile", "")
		}
		return nil
	}
}

func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	one := file("f", "filename=a", "text/plain", "1")
	for name, c := range map[string]struct {
		headers, body string
		want          row
	}{
		"too many":  {formData, strings.Repeat(one, 101) + endOfForm, row{status: 400, code: "request_invalid", text: "A form may have 100 files"}},
		"too large": {formData, file("f", "filename=a", "text/plain", strings.Repeat("a", 10<<20)) + endOfForm, row{status: 413, code: "body_too_large", text: "Body too large: an event may have 10485760 bytes"}},
		"bombs":     {formData + "\nContent-Encoding: gzip", gzipped(file("f", "filename=a", "text/plain", strings.Repeat("a", 10<<20)) + endOfForm), row{status: 413, code: "body_too_large", text: "Body too large: an event may have 10485760 bytes"}},
		"no name":   {formData, part("Content-Disposition: form-data; filename=a", "1") + endOfForm, row{status: 400, code: "request_invalid", text: "Each part of a form must have Content-Disposition: form-data, with its name in UTF-8"}},
		"cut":       {formData, strings.TrimSuffix(one, "\r\n"), row{status: 400, code: "request_invalid", text: "The body is no whole multipart form of its boundary"}},
		"an upload": {"x-pd-upload-body: 1", strings.Repeat("a", 10<<20+1), row{status: 413, code: "body_too_large", text: "Body too large: an event may have 10485760 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, chunked := range []bool{false, true} {
				w := filing(behalf.AuthNone, behalf.RespondImmediate)
				r := request(http.MethodPost, "", c.headers, c.body)
				if chunked {
					r.ContentLength = -1
				}
				check(t, w.send(r), c.want)
				if len(w.bus.stored()) > 0 || w.files.puts > 0 {
					t.Errorf("%d events and %d files were stored", len(w.bus.stored()), w.files.puts)
				}
			}
		})
	}
}

// Only so many large bodies are in memory at once, and nobody who waits for a result holds one.
func TestLargeBodiesTakeTurns(t *testing.T) {
	t.Parallel()
	w := filing(behalf.AuthNone, behalf.RespondCustom)
	w.config.MaxLarge, w.config.Wait = 1, time.Minute
	inside, goOn := make(chan struct{}), make(chan struct{})
	w.files.put = func(int) error {
		inside <- struct{}{}
		<-goOn
		return nil
	}
	kept := make(chan struct{})
	w.bus.publish = func(_ context.Context, store func()) error {
		store()
		kept <- struct{}{}
		return nil
	}
	large := file("f", "filename=a", "text/plain", strings.Repeat("a", 300<<10)) + endOfForm
	s, answered := w.server(), make(chan answer)
	send := func(body string) { answered <- serve(s, request(http.MethodPost, "", formData, body)) }
	go send(large)
	<-inside
	res := serve(s, request(http.MethodPost, "", formData, large))
	if res.status != 503 || res.header.Get("Retry-After") == "" || len(w.bus.stored()) > 0 {
		t.Errorf("the second is answered %d", res.status)
	}
	go send(field("a", "small") + endOfForm)
	<-kept // a small one takes no place
	close(goOn)
	<-kept
	go send(large) // while the first waits
	<-inside
	<-kept
	w.bus.mu.Lock()
	for _, waiter := range slices.Collect(maps.Values(w.bus.waiters)) {
		waiter <- behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "x"}}
	}
	w.bus.mu.Unlock()
	for range 3 {
		if res := <-answered; res.status != 200 {
			t.Errorf("answered %d %s", res.status, res.body)
		}
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := filing(behalf.AuthNone, behalf.RespondImmediate)
	w.files.get = errors.New("boom")
	res := fetch(t, w, "https://in.example/e/files/production/"+strings.Repeat("A", 43))
	if res.status != 503 || strings.Contains(res.body, "boom") {
		t.Errorf("answered %d %q", res.status, res.body)
	}
}
