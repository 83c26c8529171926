package web

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may happen: in the long run, and at once. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// limiterSize is how many keys each generation of a limiter remembers.
const limiterSize = 10_000

// Limiter holds each key to a rate. Its memory is bounded: it has two generations, and a key that is not used while
// the young one fills is forgotten. A nil Limiter lets everything through.
type Limiter struct {
	rate Rate
	size int

	mu         sync.Mutex
	young, old map[string]*rate.Limiter
}

// NewLimiter makes a limiter, or nil where the rate is no limit.
func NewLimiter(r Rate) *Limiter {
	if r.PerSecond <= 0 {
		return nil
	}
	r.Burst = max(r.Burst, 1) // else nothing could ever pass
	return &Limiter{rate: r, size: limiterSize, young: map[string]*rate.Limiter{}}
}

// Take counts one for the key. Where there was room it returns 0, else after how long there will be; a refusal costs
// nothing.
func (l *Limiter) Take(key string) time.Duration {
	if l == nil {
		return 0
	}
	bucket := l.bucket(key)
	if bucket.Allow() {
		return 0
	}
	missing := 1 - bucket.Tokens()
	return max(time.Duration(missing/l.rate.PerSecond*float64(time.Second)), time.Nanosecond)
}

func (l *Limiter) bucket(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.young[key]; ok {
		return b
	}
	b, ok := l.old[key]
	if !ok {
		b = rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)
	}
	if len(l.young) >= l.size {
		l.old, l.young = l.young, make(map[string]*rate.Limiter)
	}
	l.young[key] = b
	return b
}

// AddressKey is one customer of the internet: an IPv4 address, or the /64 that an IPv6 user has to themselves.
func AddressKey(addr netip.Addr) string {
	if !addr.Is6() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return prefix.String()
}
