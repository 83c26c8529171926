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
	// Outage is how long a credential without an end is served while the store is away. One with an end is served until
	// then.
	//
	// Defaults to 24 hours.
	Outage time.Duration
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
	c.Outage = cmp.Or(c.Outage, 24*time.Hour)
	c.Max = cmp.Or(c.Max, 10_000)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Cached is a store with a memory, because a worker needs a user's credential for every run. What it hands out is
// shared and must not be changed. That there is none is never remembered. While the store is away, what was read before
// is served until it ends.
type Cached struct {
	store  Store
	cfg    CacheConfig
	flight singleflight.Group

	mu      sync.RWMutex
	kept    map[Path]kept
	names   map[string]Path // of kept
	reading map[*reading]struct{}
}

// kept is fresh until, and good for an outage to the end.
type kept struct {
	found found
	until time.Time
	end   time.Time
}

type found struct {
	credential Credential
	revision   Revision
}

// reading is one read on its way. One that overlaps a change is handed out but not kept.
type reading struct {
	path  Path
	name  string
	stale bool
}

// NewCached puts a memory before a store.
func NewCached(store Store, cfg CacheConfig) *Cached {
	return &Cached{store: store, cfg: cfg.withDefaults(), kept: map[Path]kept{}, names: map[string]Path{}, reading: map[*reading]struct{}{}}
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
	c.drop(p.Name())
}

// ForgetName is Forget for who knows a path by its name only.
func (c *Cached) ForgetName(name string) {
	if p, ok := c.named(name); ok {
		c.Forget(p)
	}
}

// named finds the path of what is kept, or is being read.
func (c *Cached) named(name string) (Path, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if p, ok := c.names[name]; ok {
		return p, true
	}
	for r := range c.reading {
		if r.name == name {
			return r.path, true
		}
	}
	return Path{}, false
}

func (c *Cached) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.names[name]; ok {
		delete(c.kept, p)
		delete(c.names, name)
	}
	for r := range c.reading {
		r.stale = r.stale || r.name == name
	}
}

// Reset has everything read again, because changes may have been missed. What is kept still serves in an outage.
func (c *Cached) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, k := range c.kept {
		k.until = time.Time{}
		c.kept[p] = k
	}
	for r := range c.reading {
		r.stale = true
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
	return c.finish(this, found{credential, revision}, err)
}

func (c *Cached) begin(p Path) *reading {
	this := &reading{path: p, name: p.Name()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading[this] = struct{}{}
	return this
}

// finish keeps what was read, or finds what an outage may still be served with.
func (c *Cached) finish(this *reading, f found, err error) (found, error) {
	now := c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reading, this)
	if k, ok := c.kept[this.path]; ok && fault.IsAway(err) && now.Before(k.end) {
		return k.found, nil
	}
	delete(c.kept, this.path) // no longer good, or it would not have been read
	delete(c.names, this.name)
	if err != nil || this.stale {
		return f, err
	}
	if k := c.keep(f, now); now.Before(k.end) {
		c.makeRoom(now)
		c.kept[this.path], c.names[this.name] = k, this.path
	}
	return f, nil
}

func (c *Cached) keep(f found, now time.Time) kept {
	k := kept{found: f, until: now.Add(c.cfg.TTL), end: now.Add(c.cfg.Outage)}
	if end := f.credential.ExpiresAt; !end.IsZero() {
		k.end = end
		if soon := end.Add(-c.cfg.Margin); soon.Before(k.until) {
			k.until = soon
		}
	}
	return k
}

// makeRoom drops what is no longer fresh, and else any one.
func (c *Cached) makeRoom(now time.Time) {
	if len(c.kept) < c.cfg.Max {
		return
	}
	for name, p := range c.names {
		if !now.Before(c.kept[p].until) {
			delete(c.kept, p)
			delete(c.names, name)
		}
	}
	for name, p := range c.names {
		if len(c.kept) < c.cfg.Max {
			return
		}
		delete(c.kept, p)
		delete(c.names, name)
	}
}
