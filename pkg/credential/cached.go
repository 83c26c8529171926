package credential

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// CacheConfig tunes a cache. The zero value works.
type CacheConfig struct {
	// TTL is how long a credential is kept in memory at most.
	//
	// Defaults to 60 seconds.
	TTL time.Duration
	// Margin is how long before its end a credential is no longer kept, so that whoever refreshes it sees it in time.
	//
	// Defaults to 120 seconds.
	Margin time.Duration
	// Max is how many credentials are kept.
	//
	// Defaults to 10,000.
	Max int
	// Now tells the time.
	//
	// Defaults to time.Now.
	Now func() time.Time
}

func (c CacheConfig) withDefaults() CacheConfig {
	c.TTL = cmp.Or(c.TTL, time.Minute)
	c.Margin = cmp.Or(c.Margin, 2*time.Minute)
	c.Max = cmp.Or(c.Max, 10_000)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Cached is a store with a memory, because a worker needs a user's credential for every run. What it hands out is
// shared and must not be changed. That there is none is never remembered.
type Cached struct {
	store  Store
	cfg    CacheConfig
	flight singleflight.Group

	mu      sync.RWMutex
	kept    map[Path]kept
	reading map[*reading]struct{}
}

type kept struct {
	found found
	until time.Time
}

type found struct {
	credential Credential
	revision   Revision
}

// reading is one read on its way. One that overlaps a change is handed out but not kept.
type reading struct {
	path  Path
	stale bool
}

// NewCached puts a memory before a store.
func NewCached(store Store, cfg CacheConfig) *Cached {
	return &Cached{store: store, cfg: cfg.withDefaults(), kept: map[Path]kept{}, reading: map[*reading]struct{}{}}
}

// Get implements Store, from memory where it can. A write with a revision from memory may be a Conflict: then Forget
// the path and read again.
func (c *Cached) Get(ctx context.Context, p Path) (Credential, Revision, error) {
	if f, ok := c.recall(p); ok {
		return f.credential, f.revision, nil
	}
	key, err := p.Key()
	if err != nil {
		return Credential{}, 0, err
	}
	// The read goes on when the caller that began it leaves: others may wait for it.
	done := c.flight.DoChan(string(p.Environment)+"/"+key, func() (any, error) { return c.read(context.WithoutCancel(ctx), p) })
	select {
	case <-ctx.Done():
		return Credential{}, 0, fault.Wrap(fault.KindOf(ctx.Err()), "credential.Get", ctx.Err())
	case r := <-done:
		f, ok := r.Val.(found)
		if r.Err == nil && !ok {
			r.Err = fault.Wrap(fault.Internal, "credential.Get", errors.New("a flight brought another type"))
		}
		return f.credential, f.revision, r.Err
	}
}

// Put implements Store.
func (c *Cached) Put(ctx context.Context, p Path, credential Credential, r Revision) (Revision, error) {
	defer c.Forget(p) // whatever came of it
	return c.store.Put(ctx, p, credential, r)
}

// Delete implements Store.
func (c *Cached) Delete(ctx context.Context, p Path) error {
	defer c.Forget(p)
	return c.store.Delete(ctx, p)
}

// Forget has the next Get read from the store: after the vendor refused the token, or somebody changed it.
func (c *Cached) Forget(p Path) {
	if key, err := p.Key(); err == nil {
		c.flight.Forget(string(p.Environment) + "/" + key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, p)
	for r := range c.reading {
		r.stale = r.stale || r.path == p
	}
}

func (c *Cached) recall(p Path) (found, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, ok := c.kept[p]
	return k.found, ok && c.cfg.Now().Before(k.until)
}

func (c *Cached) read(ctx context.Context, p Path) (found, error) {
	this := c.begin(p)
	credential, revision, err := c.store.Get(ctx, p)
	f := found{credential, revision}
	c.finish(this, f, err)
	return f, err
}

func (c *Cached) begin(p Path) *reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	this := &reading{path: p}
	c.reading[this] = struct{}{}
	return this
}

func (c *Cached) finish(this *reading, f found, err error) {
	now := c.cfg.Now()
	until := now.Add(c.cfg.TTL)
	if end := f.credential.ExpiresAt; !end.IsZero() && end.Add(-c.cfg.Margin).Before(until) {
		until = end.Add(-c.cfg.Margin)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reading, this)
	if err != nil || this.stale || !now.Before(until) {
		delete(c.kept, this.path) // no longer good, or it would not have been read
		return
	}
	c.makeRoom(now)
	c.kept[this.path] = kept{f, until}
}

// makeRoom drops what is over, and else any one.
func (c *Cached) makeRoom(now time.Time) {
	if len(c.kept) < c.cfg.Max {
		return
	}
	for p, k := range c.kept {
		if !now.Before(k.until) {
			delete(c.kept, p)
		}
	}
	for p := range c.kept {
		if len(c.kept) < c.cfg.Max {
			return
		}
		delete(c.kept, p)
	}
}
