package store

import (
	"context"
	"sync"

	"golang.org/x/sync/singleflight"
)

// remembered keeps what was read lately, for sorts of values too many to copy. What changes must be forgotten by
// whoever hears of it; a read that overlaps the change is handed out but not kept.
type remembered[T any] struct {
	weigh  func(T) int // 0 is not worth keeping
	flight singleflight.Group

	mu      sync.Mutex
	kept    *lru[T]
	reading map[*reading]struct{}
	// trusted says that changes are heard of. Otherwise nothing is kept.
	trusted bool
}

// reading is one read on its way.
type reading struct {
	key   string
	stale bool
}

func newRemembered[T any](maxWeight int, weigh func(T) int) *remembered[T] {
	return &remembered[T]{weigh: weigh, kept: newLRU[T](maxWeight), reading: map[*reading]struct{}{}}
}

// find answers from memory, else by the read, which concurrent callers share.
func (r *remembered[T]) find(ctx context.Context, key string, read func(context.Context) (T, error)) (T, error) {
	if value, ok := r.recall(key); ok {
		return value, nil
	}
	return share(ctx, &r.flight, key, func(ctx context.Context) (T, error) {
		this := r.begin(key)
		value, err := read(ctx)
		r.finish(this, value, err)
		return value, err
	})
}

func (r *remembered[T]) recall(key string) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept.find(key)
}

func (r *remembered[T]) begin(key string) *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	this := &reading{key: key, stale: !r.trusted}
	r.reading[this] = struct{}{}
	return this
}

func (r *remembered[T]) finish(this *reading, value T, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reading, this)
	if err != nil || this.stale {
		return
	}
	if weight := r.weigh(value); weight > 0 {
		r.kept.add(this.key, value, weight)
	}
}

// forget takes a key out, of the reads on their way too: whoever asks from now on gets a read of their own.
func (r *remembered[T]) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.remove(key)
	for this := range r.reading {
		this.stale = this.stale || this.key == key
	}
	r.flight.Forget(key)
}

// empty takes everything out, and says whether changes are heard of from now on.
func (r *remembered[T]) empty(trusted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trusted = trusted
	r.kept.empty()
	for this := range r.reading {
		this.stale = true
		r.flight.Forget(this.key)
	}
}
