package auth

import (
	"crypto/sha256"
	"sync"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// cache remembers verified tokens by their hash, so that it holds no token. It has two generations: when the young one
// is full it becomes the old one, and what is used again moves back. So it is bounded, and no look-up searches.
type cache struct {
	size int

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]entry
}

type entry struct {
	identity behalf.Identity
	// expires is the Unix second after which the entry is not believed.
	expires int64
}

func newCache(size int) *cache {
	return &cache{size: size, young: map[[sha256.Size]byte]entry{}}
}

func (c *cache) lookup(sum [sha256.Size]byte, now int64) (behalf.Identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[sum]
	if !ok {
		if e, ok = c.old[sum]; ok {
			c.insert(sum, e)
		}
	}
	if !ok || now >= e.expires {
		return behalf.Identity{}, false
	}
	return e.identity, true
}

func (c *cache) add(sum [sha256.Size]byte, e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(sum, e)
}

// insert needs the lock.
func (c *cache) insert(sum [sha256.Size]byte, e entry) {
	if len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]entry, c.size)
	}
	c.young[sum] = e
}
