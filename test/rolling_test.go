//go:build integration

package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// balancer sends requests to ingresses in turn, as a load balancer does. It sends one elsewhere only when it was told to,
// by a 503 with Retry-After, or when the connection was refused, so that nothing was sent: all else is what its client
// gets.
type balancer struct {
	w      *world
	fronts []*role
	turn   atomic.Int64

	mu    sync.Mutex
	aside map[*role]time.Time // until when one is left alone, as it asked for
}

// keepIdle is how long the balancer keeps a connection that it does not use: shorter than a leaving ingress serves those
// that there are, by more than a busy machine is behind, so that it never sends on one that is being closed.
const keepIdle = time.Second

func newBalancer(w *world, fronts ...*role) *balancer {
	w.t.Helper()
	own := *w
	transport := &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: keepIdle}
	w.t.Cleanup(transport.CloseIdleConnections)
	own.http = &http.Client{Timeout: 70 * time.Second, Transport: transport}
	return &balancer{w: &own, fronts: fronts, aside: map[*role]time.Time{}}
}

// send sends one event until it is taken, and says how often it was sent elsewhere.
func (b *balancer) send(d deployed, body string) (a answer, elsewhere int) {
	deadline := time.Now().Add(2 * asLongAsItTakes)
	for tick := time.Tick(20 * time.Millisecond); time.Now().Before(deadline); elsewhere++ {
		front := b.next()
		if front == nil { // all of them are aside
			<-tick
			continue
		}
		a = b.w.post(front.of(d), body)
		switch {
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
		case errors.Is(a.err, syscall.ECONNREFUSED) && dialing(a.err):
		default:
			return a, elsewhere
		}
		b.leave(front)
	}
	return a, elsewhere
}

// dialing says whether an error came before there was a connection.
func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (b *balancer) next() *role {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for range b.fronts {
		front := b.fronts[int(b.turn.Add(1))%len(b.fronts)]
		if now.After(b.aside[front]) {
			return front
		}
	}
	return nil
}

// leave leaves one alone for a second, which is what Retry-After says at least.
func (b *balancer) leave(front *role) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.aside[front] = time.Now().Add(time.Second)
}

// rolling is a load at a rate, whether or not its requests are answered.
type rolling struct {
	ledger    *ledger
	elsewhere atomic.Int64
	stop      chan struct{}
	over      chan struct{}
}

// perSecond is the rate of the load.
const perSecond = 200

// mostAtOnce bounds the requests that wait for an answer: a machine that cannot keep the rate is slow then, and does not
// drown.
const mostAtOnce = 1000

// load sends an event to each workflow in turn, so many a second, until stopped.
func (b *balancer) load(flows ...deployed) *rolling {
	r := &rolling{ledger: &ledger{answers: map[string]answer{}}, stop: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(r.over)
		var requests sync.WaitGroup
		defer requests.Wait()
		began, sent, room := time.Now(), 0, make(chan struct{}, mostAtOnce)
		for tick := time.Tick(5 * time.Millisecond); ; {
			select {
			case <-r.stop:
				return
			case <-tick:
			}
			for due := int(time.Since(began).Seconds() * perSecond); sent < due; sent++ { // a late tick is made up for
				name, flow := fmt.Sprintf("event-%d", sent), flows[sent%len(flows)]
				room <- struct{}{}
				requests.Go(func() {
					defer func() { <-room }()
					a, elsewhere := b.send(flow, event(name))
					r.elsewhere.Add(int64(elsewhere))
					r.ledger.put(name, a)
				})
			}
		}
	}()
	return r
}

// Every process is replaced in turn under load, as an upgrade does it, with deploys in between: no request fails, no run
// is lost, none is executed twice. It runs alone: what shares the machine would take its rate.
func TestRollingRestart(t *testing.T) {
	w := newWorldOf(t, 30*time.Second)
	fronts := []*role{w.ingress, w.another("ingress-two")}
	few := []string{"--slots", "8"} // each deploy starts guests anew, and two cores have enough to do
	workers := []*role{w.worker(few...), w.worker(few...), w.worker(few...)}
	custom, immediate := w.deploy("custom", oneStep("custom", 20)), w.deploy("immediate", oneStep("immediate", 20))
	began := time.Now()
	load := newBalancer(w, fronts...).load(custom, immediate)
	deploys := 0
	for _, r := range append(append(fronts, workers...), w.api) {
		goesOn(t, load.ledger)
		r.leaves(t)
		r.start()
		deploys++
		w.deploy("custom", oneStep("custom", 20+deploys)) // another version each time
	}
	goesOn(t, load.ledger)
	close(load.stop)
	<-load.over
	lasted := time.Since(began)

	found := w.tallied(load.ledger)
	for name, a := range load.ledger.answers {
		if a.status != http.StatusOK && a.status != http.StatusAccepted {
			t.Errorf("%s: answered %v", name, a)
		}
	}
	for key, calls := range w.vendor.byKey() {
		if len(calls) > 1 {
			t.Errorf("%s was executed %d times: %v", key, len(calls), calls)
		}
	}
	if events := load.ledger.len(); found.accepted != events || found.effects != events || found.dead > 0 {
		t.Errorf("%d accepted, %d effects, %d dead letters of %d events", found.accepted, found.effects, found.dead, events)
	}
	t.Logf("%d restarts and %d deploys under %d requests/s for %s: %d events, %d sent elsewhere; calls %d, effects %d, lost %d; slowest answer %s",
		len(fronts)+len(workers)+1, deploys, perSecond, lasted.Round(time.Second), load.ledger.len(), load.elsewhere.Load(),
		found.calls, found.effects, found.lost, found.slowest.Round(time.Millisecond))
}

// goesOn waits until a second's worth of requests has been answered from now on.
func goesOn(t *testing.T, l *ledger) {
	t.Helper()
	before := l.len()
	eventually(t, 2*asLongAsItTakes, "no requests are answered", func() bool { return l.len() >= before+perSecond })
}

// A role that is told to end ends what it has begun, and ends at once when it is told again.
func TestRolesLeave(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, 30*time.Second)
	worker := w.worker()
	d, endless := w.deploy("held", oneStep("custom", 3000)), w.deploy("endless", oneStep("custom", 60_000))
	begun := func(name string) {
		t.Helper()
		eventually(t, asLongAsItTakes, "the run does not begin", func() bool { calls, _ := w.vendor.of(name); return len(calls) == 1 })
	}

	held := w.postAsync(w.ingress.of(d), event("first"))
	begun("first")
	worker.signal(t, syscall.SIGTERM) // while both have it
	w.ingress.signal(t, syscall.SIGTERM)
	w.api.signal(t, syscall.SIGTERM)
	for _, r := range []*role{w.ingress, w.api} {
		eventually(t, asLongAsItTakes, r.name+" does not say that it leaves", func() bool { return r.ready() != http.StatusOK })
	}
	if a := soon(t, held); a.status != http.StatusOK {
		t.Errorf("what was under way is answered %v", a)
	}
	for _, r := range []*role{worker, w.ingress, w.api} {
		r.ends(t, 0)
	}
	w.idle()

	w.api.start()
	w.ingress.start()
	worker.start()
	again := w.postAsync(w.ingress.of(endless), event("second"))
	begun("second")
	for _, r := range []*role{worker, w.ingress} {
		r.signal(t, syscall.SIGTERM)
		r.until(t, "drain", func() bool { return r.ready() == http.StatusServiceUnavailable })
		r.insists(t)
		r.ends(t, -1) // by the signal
	}
	if a := soon(t, again); a.err == nil {
		t.Errorf("an ingress that was ended at once answered %v", a)
	}
	w.api.leaves(t)
}
