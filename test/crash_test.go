//go:build integration

package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// stopping is a worker that stands still at a point of a run until it is let go or killed.
type stopping struct {
	*process
	t   *testing.T
	dir string
}

func (w *world) stopping(point string) stopping {
	w.t.Helper()
	dir := w.folder("fail-" + strings.ReplaceAll(point, ":", "-") + "-" + time.Now().Format("150405.000000"))
	p := w.workerOf(program(w.t, failpointProgram), development, []string{"BEHALF_FAILPOINT=" + point, "BEHALF_FAILPOINT_DIR=" + dir})
	return stopping{p.process, w.t, dir}
}

// reached waits until a run stands at the point.
func (s stopping) reached() {
	s.t.Helper()
	s.until(s.t, "reach its point", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "reached"))
		return err == nil
	})
}

func (s stopping) letGo() { write(s.t, filepath.Join(s.dir, "go"), "") }

// replies counts the replies on the wire, by run.
type replies struct {
	mu  sync.Mutex
	all []string
}

func (w *world) replies() *replies {
	w.t.Helper()
	nc, _ := w.nats.connect(w.t, development)
	r := &replies{}
	must(nc.Subscribe("rsp.>", func(m *nats.Msg) {
		r.mu.Lock()
		r.all = append(r.all, string(m.Data))
		r.mu.Unlock()
	}))(w.t)
	if err := nc.Flush(); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (r *replies) of(run string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, data := range r.all {
		if strings.Contains(data, run) {
			n++
		}
	}
	return n
}

// A worker is killed at every place of a run where it matters, and another one finishes the run.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.deploy("one", oneStep("custom", 0))
	later := w.deploy("later", oneStep("immediate", 0))
	two := w.deploy("two", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "first", "second"),
		"first.mjs":     calling(0, "return event;"), "second.mjs": calling(0, respond),
	})
	wire := w.replies()
	for _, c := range []struct {
		point   string
		url     string
		calls   int // of all steps
		effects int
		replies int
		records string
	}{
		{"before_step", one.PathURL, 1, 1, 1, "begin 2, finish 2"},
		{"after_step", one.PathURL, 2, 1, 1, "begin 2, finish 2"},
		{"before_record", one.PathURL, 2, 1, 1, "begin 2, finish 2"},
		{"after_record", one.PathURL, 1, 1, 1, "finish 1"},
		{"after_answer", one.PathURL, 1, 1, 2, "finish 1"},
		{"after_step", later.PathURL, 2, 1, 0, "begin 2, finish 2"},
		{"after_record", later.PathURL, 1, 1, 0, "finish 1"},
		{"after_record", two.PathURL, 2, 2, 1, "step 1, begin 2, finish 2"},
		{"before_step:2", two.PathURL, 2, 2, 1, "step 1, begin 2, finish 2"},
		{"after_step:2", two.PathURL, 3, 2, 1, "step 1, begin 2, finish 2"},
		{"after_record:2", two.PathURL, 2, 2, 1, "step 1, finish 1"},
	} {
		name := map[string]string{one.PathURL: "one step", later.PathURL: "nobody waits", two.PathURL: "two steps"}[c.url] + ", " + c.point
		doomed := w.stopping(c.point)
		answers := w.postAsync(c.url, event(name))
		doomed.reached()
		doomed.kill()
		killed := time.Now()
		heir := w.worker()
		got := soon(t, answers)
		if got.status != http.StatusOK || got.run() == "" {
			t.Errorf("%s: answered %v", name, got)
		}
		w.idle()
		took := time.Since(killed)
		heir.kill()

		calls, runs := w.vendor.of(name)
		effects := map[string]bool{}
		for _, call := range calls {
			effects[call.Key] = true
		}
		run := w.journal()[got.run()]
		records := strings.Join(run.records, ", ")
		if len(calls) != c.calls || len(effects) != c.effects || len(runs) != 1 || run.finishes != 1 || run.state != "ok" || records != c.records {
			t.Errorf("%s: %d calls, %d effects, %d runs, %d finish records, state %q, records %s", name, len(calls), len(effects), len(runs), run.finishes, run.state, records)
		}
		// The worker that was killed after its record may have got no word through; the one after its answer did, and the
		// ingress drops the second.
		if n := wire.of(got.run()); n != c.replies {
			t.Errorf("%s: %d replies on the wire", name, n)
		}
		if later := w.result(got.run()); later.status != http.StatusOK {
			t.Errorf("%s: the result route answers %v", name, later)
		}
		t.Logf("%-32s calls %d, effects %d, records [%s], settled %s after the kill", name, len(calls), len(effects), records, took.Round(time.Millisecond))
	}
	if n := w.dead(); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A worker that stood still past AckWait must not write once another attempt owns the run.
func TestAWorkerThatWakesTooLateIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.deploy("one", oneStep("custom", 0))
	wire := w.replies()

	// freeze makes a first worker hold a run that is about to be recorded, stopped for longer than AckWait.
	freeze := func(name string) (stopping, <-chan answer) {
		first := w.stopping("before_record")
		answers := w.postAsync(one.PathURL, event(name))
		first.reached()
		first.signal(t, syscall.SIGSTOP)
		return first, answers
	}
	wake := func(s stopping) {
		s.letGo()
		s.signal(t, syscall.SIGCONT)
	}
	// fenced waits for the word of a worker that it let go of the run.
	fenced := func(s stopping) {
		s.until(t, "give up its run", func() bool { return strings.Contains(s.output(), "not settled; it will come again") })
	}
	// A worker that slept had asked for more: what the server handed to it meanwhile it takes when it wakes, which makes one
	// attempt, or one reply, more. What counts is one finish record, one effect, and one answer.
	check := func(name string, got answer, least int, first string) {
		t.Helper()
		w.idle()
		calls, runs := w.vendor.of(name)
		run := w.journal()[got.run()]
		found := strings.Join(run.records, ", ")
		if got.status != http.StatusOK || run.finishes != 1 || len(runs) != 1 || len(calls) < least || len(calls) > least+1 || !strings.HasPrefix(found, first) {
			t.Errorf("%s: answered %v; %d calls of %d runs, records %s", name, got, len(calls), len(runs), found)
		}
		t.Logf("%-44s calls %d, effects 1, finish records %d [%s], replies on the wire %d", name, len(calls), run.finishes, found, wire.of(got.run()))
	}

	name := "wakes before the second attempt's records"
	first, answers := freeze(name)
	gap := time.After(ackWait + 500*time.Millisecond)
	<-gap // the event is anybody's by now, and nobody is there
	wake(first)
	got := soon(t, answers)
	heir := w.worker()
	check(name, got, 1, "finish 1")
	heir.kill()
	first.kill()

	name = "wakes between the second attempt's records"
	first, answers = freeze(name)
	second := w.stopping("before_record")
	second.reached() // it wrote that it begins
	wake(first)
	fenced(first)
	second.letGo()
	check(name, soon(t, answers), 2, "begin 2, ")
	first.kill()
	second.kill()

	name = "wakes after the second attempt's records"
	first, answers = freeze(name)
	heir = w.worker()
	got = soon(t, answers)
	wake(first)
	fenced(first)
	check(name, got, 2, "begin 2, finish 2")
	first.kill()
	heir.kill()
}
