//go:build integration

package test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ledger is what the callers of a test were told, by event.
type ledger struct {
	mu      sync.Mutex
	answers map[string]answer
	sent    atomic.Int64
}

func (l *ledger) put(event string, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[event] = a
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}

// load has clients send events, one after the other and to each workflow in turn, until stop says so.
func (w *world) load(clients int, urls []string, stop func(sent int64) bool) (*ledger, func()) {
	l := &ledger{answers: map[string]answer{}}
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for {
				n := l.sent.Add(1)
				if stop(n) {
					return
				}
				name := fmt.Sprintf("event-%d", n)
				l.put(name, w.persist(urls[int(n)%len(urls)], event(name)))
			}
		})
	}
	return l, running.Wait
}

// tally holds the callers' answers, the journal and the vendor's ledger against each other.
type tally struct {
	accepted, unknown, lost, again, dead int
	calls, effects, repeated             int
	slowest                              time.Duration // answer
}

// tallied checks what is promised for every event, whatever was killed: none that was accepted is lost, none has two
// runs, and no run is executed again once it is finished.
func (w *world) tallied(l *ledger) tally {
	w.t.Helper()
	w.idle()
	journal, events := w.journal(), w.vendor.runsByEvent()
	t := tally{calls: len(w.vendor.all()), effects: w.vendor.effects(), dead: w.dead()}
	for name, a := range l.answers {
		run := journal[a.run()]
		t.slowest = max(t.slowest, a.took)
		if a.took > 25*time.Second && a.run() != "" {
			w.t.Logf("%s waited %s for %d %s: finished %s after it was accepted, records %v", name, a.took.Round(time.Millisecond), a.status, a.code(), run.at.Sub(acceptedAt(w.t, a.run())).Round(time.Millisecond), run.records)
		}
		switch {
		case a.err != nil || a.run() == "":
			w.t.Errorf("%s: answered %v", name, a)
			continue
		case a.status == http.StatusConflict && run.finishes == 0:
			t.unknown++
			if len(events[name]) > 0 {
				w.t.Errorf("%s: ran, and its journal does not say so: %v", name, a)
			}
			continue
		case a.status != http.StatusOK && a.status != http.StatusAccepted && a.status != http.StatusConflict:
			w.t.Errorf("%s: answered %v", name, a)
		}
		t.accepted++
		if run.finishes != 1 || run.state != "ok" {
			t.lost++
			w.t.Errorf("%s: %d finish records, state %q, records %v; answered %v", name, run.finishes, run.state, run.records, a)
		}
		if len(events[name]) != 1 {
			w.t.Errorf("%s: %d runs; answered %v", name, len(events[name]), a)
		}
	}
	for _, calls := range w.vendor.byKey() {
		t.repeated += len(calls) - 1
		for _, c := range calls {
			if run := journal[c.run()]; run.finishes > 0 && c.At.After(run.at) {
				t.again++
				w.t.Errorf("%s was executed %s after it was finished: %v", c.run(), c.At.Sub(run.at), run.records)
			}
		}
	}
	return t
}

// nats-server is killed again and again under load, and started on the same files.
func TestKillingNATS(t *testing.T) {
	t.Parallel()
	const kills, clients, slots = 10, 64, 32
	w := newWorldOf(t, 5*time.Second)
	urls := []string{w.deploy("custom", oneStep("custom", 60)).PathURL, w.deploy("immediate", oneStep("immediate", 60)).PathURL}
	for range 2 {
		w.worker("--slots", fmt.Sprint(slots))
	}
	var over atomic.Bool
	l, wait := w.load(clients, urls, func(int64) bool { return over.Load() })
	var killedAt []time.Time
	for range kills {
		before := l.len()
		w.nats.until(t, "let the load go on", func() bool { return l.len() >= before+clients && w.waiting(development) >= clients/2 })
		killedAt = append(killedAt, time.Now())
		w.nats.kill()
		w.nats.start(t)
	}
	over.Store(true)
	wait()

	found := w.tallied(l)
	stray := 0
	for key, calls := range w.vendor.byKey() {
		for i := 1; i < len(calls); i++ {
			if !spans(t, killedAt, calls[i].run(), calls[i].At) {
				stray++
				t.Errorf("%s was executed twice, at %s and %s, and was not in flight at a kill", key, calls[i-1].At, calls[i].At)
			}
		}
	}
	t.Logf("%d kills of nats-server, %d in flight: %d events accepted, %d answered 409 and not stored, %d lost, %d dead letters; calls %d, effects %d; executed a second time %d (all in flight at a kill: %t), after their finish %d; slowest answer %s",
		kills, clients, found.accepted, found.unknown, found.lost, found.dead, found.calls, found.effects, found.repeated, stray == 0, found.again, found.slowest.Round(time.Millisecond))
}

// spans says whether a run was in flight at a kill: accepted before it, and executed again after it.
func spans(t *testing.T, kills []time.Time, run string, again time.Time) bool {
	t.Helper()
	accepted := acceptedAt(t, run)
	for _, k := range kills {
		if k.After(accepted) && k.Before(again) {
			return true
		}
	}
	return false
}

// acceptedAt reads the moment from a run's id, a UUIDv7.
func acceptedAt(t *testing.T, run string) time.Time {
	t.Helper()
	ms := must(strconv.ParseInt(strings.TrimPrefix(run, "run_")[:12], 16, 64))(t)
	return time.UnixMilli(ms)
}

// A worker is killed again and again under load.
func TestKillingWorkers(t *testing.T) {
	t.Parallel()
	const kills, least, clients, slots = 20, 1000, 32, 16
	w := newWorld(t)
	urls := []string{w.deploy("custom", oneStep("custom", 10)).PathURL, w.deploy("immediate", oneStep("immediate", 10)).PathURL}
	workers := []*role{w.worker("--slots", fmt.Sprint(slots)), w.worker("--slots", fmt.Sprint(slots))}
	began := time.Now()
	var over atomic.Bool
	l, wait := w.load(clients, urls, func(n int64) bool { return n > least && over.Load() })
	for i := range kills {
		w.nats.until(t, "see enough effects", func() bool { return w.vendor.effects() >= (i+1)*least/kills })
		victim := workers[i%2]
		victim.kill()
		workers[i%2] = w.worker("--slots", fmt.Sprint(slots))
	}
	over.Store(true)
	wait()
	found := w.tallied(l)
	if events := l.len(); found.accepted != events || found.effects != events || found.dead > 0 || events < least {
		t.Errorf("%d accepted, %d effects, %d dead letters of %d events", found.accepted, found.effects, found.dead, events)
	}
	t.Logf("%d kills of a worker, %d events in %s: calls %d, effects %d, lost %d, executed a second time %d, after their finish %d; slowest answer %s",
		kills, l.len(), time.Since(began).Round(time.Millisecond), found.calls, found.effects, found.lost, found.repeated, found.again, found.slowest.Round(time.Millisecond))
}
