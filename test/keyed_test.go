//go:build integration

package test

import (
	"net/http"
	"sync"
	"testing"
)

func TestOneKeyIsOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	w.oneKeyIsOneRun(w.ingress, w.another("ingress-two"))
}

// oneKeyIsOneRun sends one key a hundred times at once over two ingresses: it is one run, with a hundred equal answers.
func (w *world) oneKeyIsOneRun(fronts ...*role) {
	t := w.t
	t.Helper()
	d := w.deploy("keyed", oneStep("custom", 300))
	key := func(k string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Idempotency-Key", k) }
	}
	answers := make([]answer, 100)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.post(fronts[i%2].of(d), event("keyed"), key("order-1")) })
	}
	all.Wait()
	first := 0
	for i, a := range answers {
		if a.status != http.StatusOK || a.body != answers[0].body || a.run() != answers[0].run() {
			t.Fatalf("answer %d is %v, the first is %v", i, a, answers[0])
		}
		if a.header.Get("X-Behalf-Replayed") == "" {
			first++
		}
	}
	if calls, runs := w.vendor.of("keyed"); first != 1 || len(calls) != 1 {
		t.Errorf("%d were first, the vendor had %d calls of %v", first, len(calls), runs)
	}
	if a := w.post(fronts[1].of(d), event("another"), key("order-1")); a.status != 422 || a.code() != "idempotency_conflict" {
		t.Errorf("another body: %v", a)
	}
	if a := w.post(fronts[1].of(d), event("another"), key("order-2")); a.status != http.StatusOK || a.run() == answers[0].run() {
		t.Errorf("another key: %v", a)
	}
	w.idle()
	t.Logf("100 requests with one key over two ingresses: 1 run, %d first, 100 equal answers", first)
}
