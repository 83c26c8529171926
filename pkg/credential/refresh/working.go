package refresh

import "sync"

// working counts what is under way. Other than of a sync.WaitGroup, something may begin while somebody waits.
type working struct {
	mu   sync.Mutex
	idle *sync.Cond
	n    int
}

func newWorking() *working {
	w := &working{}
	w.idle = sync.NewCond(&w.mu)
	return w
}

func (w *working) begin() (over func()) {
	w.add(1)
	return func() { w.add(-1) }
}

func (w *working) add(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n += n; w.n == 0 {
		w.idle.Broadcast()
	}
}

func (w *working) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.n > 0 {
		w.idle.Wait()
	}
}
