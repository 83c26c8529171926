package api

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Rate is how often something may happen: in the long run, and at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// limiterSize is how many keys each generation of a limiter remembers.
const limiterSize = 10_000

// limiter holds each key to a rate. Its memory is bounded: it has two generations, and a key that is not used while
// the young one fills is forgotten.
type limiter struct {
	rate Rate
	size int

	mu         sync.Mutex
	young, old map[string]*rate.Limiter
}

func newLimiter(r Rate) *limiter {
	return &limiter{rate: r, size: limiterSize, young: map[string]*rate.Limiter{}}
}

// take counts one for the key. Errors: Exhausted, with the time after which to try again.
func (l *limiter) take(key string) error {
	reservation := l.bucket(key).Reserve()
	wait := reservation.Delay()
	if wait == 0 {
		return nil
	}
	reservation.Cancel()
	err := fault.New(fault.Exhausted, "api.take", "too many requests; send it again later").WithCode(string(behalf.CodeThrottled))
	return web.RetryLater(err, min(wait, time.Minute))
}

func (l *limiter) bucket(key string) *rate.Limiter {
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

// addressKey is one customer of the internet: an IPv4 address, or the /64 that an IPv6 user has to themselves.
func addressKey(addr netip.Addr) string {
	if !addr.Is6() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return prefix.String()
}
