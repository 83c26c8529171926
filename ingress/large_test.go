package ingress_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

const maxEvent = 256 << 10

// triggerOf is the trigger of an event, wherever it lies.
func triggerOf(t *testing.T, w *world, e behalf.Event) (trigger string, parked bool) {
	t.Helper()
	if size := len(e.AppendJSON(nil)); size > maxEvent {
		t.Errorf("an event of %d bytes", size)
	}
	if e.TriggerRef == nil {
		return string(e.Trigger), false
	}
	trigger = w.triggers.kept[e.TriggerRef.Object]
	if len(e.Trigger) > 0 || e.TriggerRef.Size != len(trigger) {
		t.Errorf("trigger of %d bytes, reference %+v", len(e.Trigger), e.TriggerRef)
	}
	return trigger, true
}

func TestALargeBodyLiesBesideItsEvent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcde\n", 40<<10) // 640 KiB
	quoted, _ := json.Marshal(long)
	for name, c := range map[string]struct{ headers, body, want string }{
		"JSON":        {"Content-Type: application/json", string(quoted), string(quoted)},
		"text":        {"Content-Type: text/plain", long, string(quoted)},
		"JSON broken": {"Content-Type: application/json", long, string(quoted)},
		"a form":      {urlencoded, "a=" + strings.ReplaceAll(long, "\n", "%0A"), `{"a":` + string(quoted) + `}`},
		"parts":       {formData, field("a", long) + endOfForm, `{"a":` + string(quoted) + `}`},
		"bytes":       {"", "\xff" + long, `"` + base64.StdEncoding.EncodeToString([]byte("\xff"+long)) + `","body_encoding":"base64"`},
		"compressed":  {"Content-Encoding: gzip", gzipped(long), string(quoted)},
	} {
		for _, chunked := range []bool{false, true} {
			w := filing(behalf.AuthNone, behalf.RespondImmediate)
			r := request(http.MethodPost, "", c.headers, c.body)
			if chunked {
				r.ContentLength = -1
			}
			trigger, parked := triggerOf(t, w, published(t, w, r))
			_, body, _ := strings.Cut(trigger, `,"body":`)
			if !parked || !json.Valid([]byte(trigger)) || body != c.want+"}" {
				t.Errorf("%s: parked %t, a body of %d bytes, want %d", name, parked, len(body)-1, len(c.want))
			}
		}
	}
}

func TestSizesOfBodies(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{
		0: 200, 1: 200, 255 << 10: 200, 256<<10 - 1: 200, 256 << 10: 200, 256<<10 + 1: 200, 1<<20 - 1: 200, 1 << 20: 200, 1<<20 + 1: 200,
		10<<20 - 1: 200, 10 << 20: 200, 10<<20 + 1: 413, 100 << 20: 413,
	} {
		for _, chunked := range []bool{false, true} {
			w := filing(behalf.AuthNone, behalf.RespondImmediate)
			r := request(http.MethodPost, "", "Content-Type: text/plain", strings.Repeat("a", size))
			if chunked {
				r.ContentLength = -1
			}
			res := w.send(r)
			if res.status != want {
				t.Errorf("%d bytes: answered %d %s", size, res.status, res.body)
				continue
			}
			if want != 200 {
				check(t, res, row{status: 413, code: "body_too_large", text: "Body too large: an event may have 10485760 bytes"})
				continue
			}
			trigger, parked := triggerOf(t, w, w.bus.stored()[0])
			if parked != (size >= 255<<10+1) && size != 255<<10 || len(trigger) < size {
				t.Errorf("%d bytes: parked %t, a trigger of %d", size, parked, len(trigger))
			}
		}
	}
}

// Where an event just fits and where it just does not, it is never stored too large, and never parked for nothing.
func TestTheSizeFromWhichATriggerIsParked(t *testing.T) {
	t.Parallel()
	seen := map[bool]int{}
	for size := maxEvent - 1500; size < maxEvent; size += 10 {
		w := filing(behalf.AuthOAuth, behalf.RespondImmediate)
		e := published(t, w, request(http.MethodPost, "", oauth+user+"x-behalf-accounts: slack=apn_1", strings.Repeat("a", size)))
		trigger, parked := triggerOf(t, w, e)
		seen[parked]++
		whole := e
		whole.Trigger, whole.TriggerRef = json.RawMessage(trigger), nil
		if fits := len(whole.AppendJSON(nil)) <= maxEvent; fits == parked {
			t.Errorf("%d bytes: fits %t, parked %t", size, fits, parked)
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("%v", seen)
	}
}

// A control character takes six bytes in a JSON string: what becomes too large is not made first.
func TestATextThatGrowsIsNotMade(t *testing.T) { //nolint:paralleltest // it measures what the process takes
	grows := strings.Repeat("\x01", 10<<20-200)
	for name, c := range map[string]struct{ headers, body string }{
		"text":        {"Content-Type: text/plain", grows},
		"JSON broken": {"Content-Type: application/json", grows},
		"parts":       {formData, field("a", grows) + endOfForm},
	} {
		w := filing(behalf.AuthNone, behalf.RespondImmediate)
		s, r := w.server(), request(http.MethodPost, "", c.headers, c.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := serve(s, r)
		runtime.ReadMemStats(&after)
		check(t, res, row{status: 413, code: "body_too_large", text: "Body too large: an event may have 10485760 bytes"})
		if took := after.TotalAlloc - before.TotalAlloc; took > 100<<20 || len(w.bus.stored())+w.triggers.puts > 0 {
			t.Errorf("%s: %d bytes were taken", name, took)
		}
	}
}

// Whoever takes over a key that was left still has the whole of a large request, and then lets go of it.
func TestALargeRequestTakesOverAKey(t *testing.T) {
	t.Parallel()
	w := filing(behalf.AuthOAuth, behalf.RespondImmediate)
	w.config.MaxLarge, w.config.Wait = 1, 500*time.Millisecond
	w.journal = func(run behalf.RunID) (behalf.Run, error) {
		return behalf.Run{ID: run, State: behalf.StateRunning, UpdatedAt: time.Now().Add(-time.Minute)}, nil
	}
	body := file("f", "filename=a", "text/plain", "content") + field("a", strings.Repeat("x", 300<<10)) + endOfForm
	s := w.server()
	for _, replayed := range []string{"", "true"} {
		w.bus.events = nil // as if the one before had died
		w.files.content = map[string]string{}
		res := serve(s, keyed("k", body, func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }))
		if res.status != 200 || res.header.Get("X-Behalf-Replayed") != replayed || len(w.bus.stored()) != 1 {
			t.Fatalf("answered %d %s with %d events", res.status, res.body, len(w.bus.stored()))
		}
		if trigger, parked := triggerOf(t, w, w.bus.stored()[0]); !parked || len(trigger) < 300<<10 {
			t.Errorf("parked %t, %d bytes", parked, len(trigger))
		}
		if got := slices.Collect(maps.Values(w.files.content)); len(got) != 1 || got[0] != "content" {
			t.Errorf("files %q", got)
		}
	}
}

// While every place is taken, what is large is told to come again, also where it does not say so, and what is small goes
// on.
func TestWithoutAPlace(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("a", 300<<10)
	for name, c := range map[string]struct {
		headers, body string
		chunked       bool
		status        int
	}{
		"small":            {"", "a", false, 200},
		"small, in chunks": {"", "a", true, 200},
		"small, unpacked":  {"Content-Encoding: gzip", gzipped("a"), false, 200},
		"a small form":     {formData, field("a", "b") + endOfForm, true, 200},
		"large":            {"", large, false, 503},
		"large, in chunks": {"", large, true, 503},
		"large, unpacked":  {"Content-Encoding: gzip", gzipped(large), false, 503},
		"too large":        {"", strings.Repeat("a", 11<<20), false, 413},
	} {
		w := filing(behalf.AuthNone, behalf.RespondImmediate)
		w.config.MaxLarge = 1
		inside, goOn := make(chan struct{}), make(chan struct{})
		w.files.put = func(int) error {
			close(inside)
			<-goOn
			return nil
		}
		s, first := w.server(), make(chan answer)
		go func() { first <- serve(s, request(http.MethodPost, "", "x-pd-upload-body: 1", large)) }()
		<-inside
		r := request(http.MethodPost, "", c.headers, c.body)
		if c.chunked {
			r.ContentLength = -1
		}
		res := serve(s, r)
		if accepted := len(w.bus.stored()) > 0; res.status != c.status || accepted != (c.status == 200) {
			t.Errorf("%s: answered %d %s, accepted %t", name, res.status, res.body, accepted)
		}
		close(goOn)
		if res := <-first; res.status != 200 {
			t.Errorf("%s: the one inside is answered %d", name, res.status)
		}
		if res := serve(s, request(http.MethodPost, "", "", large)); res.status != 200 {
			t.Errorf("%s: afterwards %d", name, res.status)
		}
	}
}
