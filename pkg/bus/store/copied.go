package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// copied is a copy of all values of one sort, kept by a watch. It may say yes; for a no it asks the leader.
type copied[T any] struct {
	what    string
	bucket  *bucket
	decode  func([]byte) (T, error)
	log     zerolog.Logger
	missFor time.Duration
	limiter *rate.Limiter
	flight  singleflight.Group

	mu sync.RWMutex
	copiedState[T]
}

type copiedState[T any] struct {
	held map[string]held[T]
	// missed tells until when the leader's no is believed.
	missed map[string]time.Time
	// fill numbers the watches, and is 0 while there is none: then nothing may be kept, for nobody would correct it.
	fill, fills uint64
	// seen is the highest revision that the present watch has told.
	seen uint64
	// changed is closed, and made anew, whenever a key is added.
	changed chan struct{}
}

// held is a value of the copy, and by which watch it came.
type held[T any] struct {
	Versioned[T]
	fill uint64
}

// maxMissed bounds the memory of misses.
const maxMissed = 10_000

func newCopied[T any](what string, b *bucket, cfg Config, log zerolog.Logger, decode func([]byte) (T, error)) *copied[T] {
	return &copied[T]{
		what: what, bucket: b, decode: decode, log: log, missFor: cfg.MissFor,
		limiter: rate.NewLimiter(rate.Limit(cfg.MissRate), cfg.MissRate),
		copiedState: copiedState[T]{
			held: map[string]held[T]{}, missed: map[string]time.Time{}, changed: make(chan struct{}),
		},
	}
}

// find answers from memory, else from the leader. Errors: NotFound, Exhausted (too many misses), Unavailable.
func (c *copied[T]) find(ctx context.Context, key string) (T, error) {
	switch value, memory := c.recall(key); memory {
	case knownToBe:
		return value, nil
	case knownNotToBe:
		return value, c.noSuch(nil)
	case unknown: // the leader knows
	}
	return share(ctx, &c.flight, key, func(ctx context.Context) (T, error) {
		if !c.limiter.Allow() {
			var none T
			return none, fault.New(fault.Exhausted, "store.find", "too many requests for unknown ids")
		}
		v, err := c.fromLeader(ctx, key)
		if fault.Is(err, fault.NotFound) {
			c.miss(key)
		}
		return v.Value, err
	})
}

// fromLeader reads the value that counts. The copy learns it too.
func (c *copied[T]) fromLeader(ctx context.Context, key string) (Versioned[T], error) {
	e, err := c.bucket.last(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return Versioned[T]{}, c.noSuch(err)
	}
	if err != nil {
		return Versioned[T]{}, err
	}
	value, err := c.decode(e.value)
	if err != nil {
		return Versioned[T]{}, err
	}
	v := Versioned[T]{value, e.revision}
	c.learn(key, v)
	return v, nil
}

// list reads from the leader all that a pattern matches, by key.
func (c *copied[T]) list(ctx context.Context, pattern string) ([]T, error) {
	entries, err := c.bucket.all(ctx, pattern)
	if err != nil {
		return nil, err
	}
	return decodeAll(entries, c.decode)
}

// put writes a value that must still be at the revision. The copy learns it at once.
func (c *copied[T]) put(ctx context.Context, key string, value T, data []byte, revision uint64) (uint64, error) {
	rev, err := c.bucket.put(ctx, key, data, revision)
	if err != nil {
		return 0, err
	}
	c.learn(key, Versioned[T]{value, rev})
	return rev, nil
}

// delete removes a value that must still be at the revision. The copy forgets it at once.
func (c *copied[T]) delete(ctx context.Context, key string, revision uint64) error {
	rev, err := c.bucket.delete(ctx, key, revision)
	if err != nil {
		return err
	}
	c.forget(key, rev)
	return nil
}

func (c *copied[T]) noSuch(cause error) error {
	return fault.New(fault.NotFound, "store.find", "no such "+c.what).Because(cause)
}

// memory is what a copy can say of a key by itself.
type memory uint8

const (
	unknown memory = iota
	knownToBe
	knownNotToBe
)

func (c *copied[T]) recall(key string) (T, memory) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if h, ok := c.held[key]; ok {
		return h.Value, knownToBe
	}
	var none T
	if until, ok := c.missed[key]; ok && time.Now().Before(until) {
		return none, knownNotToBe
	}
	return none, unknown
}

func (c *copied[T]) miss(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if len(c.missed) >= maxMissed {
		for k, until := range c.missed {
			if now.After(until) {
				delete(c.missed, k)
			}
		}
	}
	if len(c.missed) < maxMissed {
		c.missed[key] = now.Add(c.missFor)
	}
}

// learn keeps what was read from the leader or written to it, unless the watch has already told of something later.
func (c *copied[T]) learn(key string, v Versioned[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.missed, key)
	old, ok := c.held[key]
	switch {
	case c.fill == 0: // nobody would correct it
	case ok && old.fill == c.fill && old.Revision >= v.Revision:
	case !ok && v.Revision <= c.seen: // the watch told of it and it is not here: it was deleted since
	default:
		c.keep(key, held[T]{v, c.fill})
	}
}

func (c *copied[T]) forget(key string, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.held[key]; ok && h.Revision < revision {
		delete(c.held, key)
	}
}

func (c *copied[T]) keep(key string, h held[T]) {
	if _, ok := c.held[key]; !ok {
		close(c.changed)
		c.changed = make(chan struct{})
	}
	c.held[key] = h
}

func (c *copied[T]) begin() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fills++
	c.fill, c.seen = c.fills, 0
	return c.fill
}

func (c *copied[T]) apply(fill uint64, e entry) {
	var value T
	var err error
	if !e.deleted {
		if value, err = c.decode(e.value); err != nil {
			// Going on is right: one bad record must not cost the copy. Whoever asks for it gets the error.
			c.log.Error().Err(err).Msg("a stored record cannot be read")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if fill != c.fill {
		return
	}
	c.seen = max(c.seen, e.revision)
	old, ok := c.held[e.key]
	switch {
	case ok && old.fill == fill && old.Revision > e.revision: // ours is later: the watch lags behind
	case e.deleted || err != nil:
		delete(c.held, e.key)
	default:
		delete(c.missed, e.key)
		c.keep(e.key, held[T]{Versioned[T]{value, e.revision}, fill})
	}
}

// filled drops what an earlier watch told and this one did not: it was deleted in between.
func (c *copied[T]) filled(fill uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fill != c.fill {
		return
	}
	for key, h := range c.held {
		if h.fill != fill {
			delete(c.held, key)
		}
	}
}

// distrust keeps everything: old entries answer until the new fill is there.
func (c *copied[T]) distrust() {}

func (c *copied[T]) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fill = 0
	clear(c.held)
	clear(c.missed)
}

// keys lists the keys of the copy, and a channel that is closed when there are more.
func (c *copied[T]) keys() ([]string, <-chan struct{}) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	keys := make([]string, 0, len(c.held))
	for key := range c.held {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys, c.changed
}

// share has concurrent callers of one key wait for one read. The read goes on when the caller that began it leaves.
func share[T any](ctx context.Context, g *singleflight.Group, key string, read func(context.Context) (T, error)) (T, error) {
	var none T
	done := g.DoChan(key, func() (any, error) { return read(context.WithoutCancel(ctx)) })
	select {
	case <-ctx.Done():
		return none, fault.Wrap(fault.KindOf(ctx.Err()), "store.find", ctx.Err())
	case r := <-done:
		if r.Err != nil {
			return none, r.Err
		}
		value, ok := r.Val.(T)
		if !ok {
			return none, fault.Wrap(fault.Internal, "store.find", errors.New("a flight brought another type"))
		}
		return value, nil
	}
}
