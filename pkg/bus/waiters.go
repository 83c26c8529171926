package bus

import (
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
	waiting map[uint64]chan behalf.Result
}

func newWaiters() *waiters {
	w := &waiters{ingress: strings.TrimPrefix(string(behalf.NewEndpointID()), "en")}
	w.prefix = subject.Reply(w.ingress, "")
	for i := range w.shards {
		w.shards[i].waiting = map[uint64]chan behalf.Result{}
	}
	return w
}

func (w *waiters) add() (string, <-chan behalf.Result, func()) {
	n := w.next.Add(1)
	ch := make(chan behalf.Result, 1) // a result never waits for its reader
	s := &w.shards[n%shards]
	s.put(n, ch)
	return w.prefix + strconv.FormatUint(n, 36), ch, func() { s.take(n) }
}

func (w *waiters) local(reply string) bool { return strings.HasPrefix(reply, w.prefix) }

// deliver hands over the first result for a reply subject; later ones, after a crash between answer and ack, are
// dropped.
func (w *waiters) deliver(reply string, result behalf.Result) {
	n, err := strconv.ParseUint(strings.TrimPrefix(reply, w.prefix), 36, 64)
	if err != nil {
		return
	}
	if ch := w.shards[n%shards].take(n); ch != nil {
		ch <- result
	}
}

func (s *waiterShard) put(n uint64, ch chan behalf.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[n] = ch
}

func (s *waiterShard) take(n uint64) chan behalf.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.waiting[n]
	delete(s.waiting, n)
	return ch
}
