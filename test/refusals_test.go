//go:build integration

package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// full are the queues of production, where no worker is: there is room for three events of each workflow, and then none.
func full(t *testing.T, w *world, tb *table, side *sync.WaitGroup) {
	t.Helper()
	const room = 3
	d := map[string]deployed{
		"custom":    w.deployTo(production, "queued-custom", oneStep("custom", 0)),
		"immediate": w.deployTo(production, "queued-immediate", oneStep("immediate", 0)),
	}
	_, js := w.nats.connect(t, production)
	cfg := must(js.Stream(t.Context(), subject.Events(production)))(t).CachedInfo().Config
	cfg.MaxMsgsPerSubject = room // provision has no flag for it
	must(js.UpdateStream(t.Context(), cfg))(t)
	for i := range room {
		side.Go(func() {
			name := fmt.Sprintf("queued, custom, %d", i)
			tb.expect(t, "queued, and no worker comes within the caller's wait", name, w.post(d["custom"].PathURL, event(name), in(production)), 202, behalf.CodeRunning)
		})
		name := fmt.Sprintf("queued, immediate, %d", i)
		tb.expect(t, "queued", name, w.post(d["immediate"].PathURL, event(name), in(production)), 200, "")
	}
	eventually(t, 10*time.Second, "the queues are not filled", func() bool { return w.waiting(production) == 2*room })
	for mode := range d {
		name := "finds a full queue, " + mode
		a := w.post(d[mode].PathURL, event(name), in(production))
		tb.expect(t, name, name, a, 503, behalf.CodeQueueFull)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v says not when to come again", name, a)
		}
	}
	if n := w.waiting(production); n != 2*room {
		t.Errorf("%d events wait in the queues of production, where there is room for %d", n, 2*room)
	}
}

// emptied starts a worker in production: what was accepted into the full queues runs, and what was refused never does.
func emptied(t *testing.T, w *world) {
	t.Helper()
	w.workerOf(program(t, behalfProgram), production, nil)
	eventually(t, asLongAsItTakes, "the queues of production are not emptied", func() bool { return w.waiting(production) == 0 })
	ran := 0
	for name := range w.vendor.runsByEvent() {
		if strings.HasPrefix(name, "queued, ") {
			ran++
		}
		if strings.HasPrefix(name, "finds a full queue") {
			t.Errorf("%s: it ran", name)
		}
	}
	if ran != 6 {
		t.Errorf("of 6 events that were accepted into the queues of production %d ran", ran)
	}
}

// draining is an ingress that was told to stop: who waits has an answer, who comes is not taken.
func draining(t *testing.T, w *world, tb *table) {
	t.Helper()
	d := w.deploy("drained", oneStep("custom", 3000))
	f := w.front("draining")
	if a := w.post(f.of(d), event("warm")); a.status != http.StatusOK { // its connection is kept for the next request
		t.Fatalf("before: %v", a)
	}
	begun, waits := dial(t, f), dial(t, f)
	head := w.written(f.of(d), "its headers end too late")
	begun.send(head[:40])
	waits.send(w.written(f.of(d), "waits at the stop"))
	// Connections are accepted in their order: when the second one's request is with the vendor, the first is accepted too.
	f.until(t, "have the call", func() bool { calls, _ := w.vendor.of("waits at the stop"); return len(calls) > 0 })
	f.signal(t, syscall.SIGTERM)
	lingers(t, w, tb, f, d)
	eventually(t, 10*time.Second, "the ingress still listens", func() bool { return !listens(f) })
	pause(200 * time.Millisecond) // until the goroutine beside the one that closed the listener has its turn

	late := map[string]answer{}
	begun.send(head[40:])
	late["its headers end too late"] = begun.answer()
	late["comes after the stop"] = w.post(f.of(d), event("comes after the stop"))
	waits.send(w.written(f.of(d), "follows on its connection"))
	a := waits.answer()
	tb.expect(t, "waits when the ingress is told to stop", "waits at the stop", a, 200, "")
	if a.header.Get("Connection") != "close" {
		t.Errorf("who waited is not told that the connection ends: %v", a.header)
	}
	late["follows on its connection"] = waits.answer()
	select {
	case <-f.ended:
	case <-time.After(10 * time.Second):
		t.Error("the ingress does not end")
	}
	tooLate(t, w, tb, late)
}

// lingers checks that who comes right after the stop is told to come again.
func lingers(t *testing.T, w *world, tb *table, f front, d deployed) {
	t.Helper()
	eventually(t, 10*time.Second, "the ingress still says that it is ready", func() bool {
		ready, err := w.http.Get(f.url + "/readyz")
		return err == nil && ready.Body.Close() == nil && ready.StatusCode == http.StatusServiceUnavailable
	})
	a := w.post(f.of(d), event("comes right after the stop"))
	tb.expect(t, "comes right after the stop", "comes right after the stop", a, 503, behalf.CodeUnavailable)
	if a.header.Get("Retry-After") == "" || len(w.kept()["comes right after the stop"]) > 0 {
		t.Errorf("who came right after the stop was told %v, or is kept", a.header)
	}
}

// tooLate checks what became of requests to an ingress that drains. Each is refused, or cut off without a word, as
// net/http does once it shuts down; and none is accepted.
func tooLate(t *testing.T, w *world, tb *table, late map[string]answer) {
	t.Helper()
	kept := w.kept()
	if len(kept["waits at the stop"]) != 1 { // else the others could not be found either
		t.Error("the request that was answered is not kept")
	}
	for name, a := range late {
		if calls, _ := w.vendor.of(name); len(calls)+len(kept[name]) > 0 {
			t.Errorf("the request that %s was accepted", name)
		}
		if t.Logf("draining: the request that %s got %v", name, a); a.err != nil {
			continue
		}
		tb.expect(t, name+", while the ingress drains", name, a, 503, behalf.CodeUnavailable)
		if a.header.Get("Retry-After") == "" || a.header.Get("Connection") != "close" {
			t.Errorf("the request that %s was told %v", name, a.header)
		}
	}
}

// line is a connection on which the test sends what it likes, when it likes.
type line struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dial(t *testing.T, f front) line {
	t.Helper()
	conn := must(net.Dial("tcp", strings.TrimPrefix(f.url, "http://")))(t)
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	return line{conn, t, bufio.NewReader(conn)}
}

func listens(f front) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (l line) send(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l, text); err != nil {
		l.t.Fatal(err)
	}
}

func (l line) answer() answer {
	l.t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(asLongAsItTakes)); err != nil {
		l.t.Fatal(err)
	}
	res, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	if res.Close {         // which net/http takes out of the headers
		res.Header.Set("Connection", "close")
	}
	body, err := io.ReadAll(res.Body)
	return answer{status: res.StatusCode, header: res.Header, body: string(body), err: err}
}

// written is the request for an event, as it goes over the wire.
func (w *world) written(url, name string) string {
	w.t.Helper()
	var b bytes.Buffer
	if err := must(w.request(url, event(name)))(w.t).Write(&b); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}
