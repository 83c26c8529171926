package bus

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// shards of the map of waiters, so that callers do not meet at one lock.
const shards = 16

// waiters holds who waits in this process for a result. Each has a number of its own under the process's name, which
// is random, so that no other process can be answered by mistake.
type waiters struct {
	ingress string
	prefix  string
	next    atomic.Uint64
	shards  [shards]waiterShard
}

type waiterShard struct {
	mu      sync.Mutex
	waiting map[uint64]waiter
}

// waiter is one who waits.
type waiter struct {
	results chan behalf.Result
	parts   []byte // of a reply that comes in parts
	next    int    // the number of the next part
}

func newWaiters() *waiters {
	w := &waiters{ingress: strings.TrimPrefix(string(behalf.NewEndpointID()), "en")}
	w.prefix = subject.Reply(w.ingress, "")
	for i := range w.shards {
		w.shards[i].waiting = map[uint64]waiter{}
	}
	return w
}

func (w *waiters) add() (string, <-chan behalf.Result, func()) {
	n := w.next.Add(1)
	ch := make(chan behalf.Result, 1) // a result never waits for its reader
	s := &w.shards[n%shards]
	s.put(n, waiter{results: ch, next: 1})
	return w.prefix + strconv.FormatUint(n, 36), ch, func() { s.take(n) }
}

func (w *waiters) local(reply string) bool { return strings.HasPrefix(reply, w.prefix) }

// deliver hands over the first result for a reply subject; later ones, after a crash between answer and ack, are
// dropped.
func (w *waiters) deliver(reply string, result behalf.Result) {
	n, err := w.number(reply)
	if err != nil {
		return
	}
	if waiting := w.shards[n%shards].take(n); waiting.results != nil {
		waiting.results <- result
	}
}

func (w *waiters) number(reply string) (uint64, error) {
	return strconv.ParseUint(strings.TrimPrefix(reply, w.prefix), 36, 64)
}

// maxParts bounds a reply in parts: far above the largest answer of a workflow.
const maxParts = 64

// join adds a part to a reply, and gives it when it is whole. Parts come in order; one that does not is of another reply,
// of which the first is missing.
func (w *waiters) join(reply, number string, part []byte) ([]byte, bool) {
	var i, all int
	n, err := w.number(reply)
	if _, scanErr := fmt.Sscanf(number, "%d/%d", &i, &all); err != nil || scanErr != nil || all > maxParts {
		return nil, false
	}
	return w.shards[n%shards].join(n, i, all, part)
}

func (s *waiterShard) join(n uint64, i, all int, part []byte) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, ok := s.waiting[n]
	switch {
	case !ok:
		return nil, false
	case i == 1:
		waiting.parts, waiting.next = nil, 1
	case i != waiting.next:
		return nil, false
	}
	waiting.parts, waiting.next = append(waiting.parts, part...), i+1
	s.waiting[n] = waiting
	return waiting.parts, i == all
}

func (s *waiterShard) put(n uint64, waiting waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[n] = waiting
}

func (s *waiterShard) take(n uint64) waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting[n]
	delete(s.waiting, n)
	return waiting
}
