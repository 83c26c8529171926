package web

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Rate{PerSecond: 2, Burst: 4})
		count := func(key string) int {
			n := 0
			for range 20 {
				if l.Take(key) == 0 {
					n++
				}
			}
			return n
		}
		if n := count("a"); n != 4 {
			t.Errorf("%d at once, want 4", n)
		}
		if wait := l.Take("a"); wait != 500*time.Millisecond {
			t.Errorf("the next may come after %s, want 500ms", wait)
		}
		time.Sleep(200 * time.Millisecond)
		if wait := l.Take("a"); wait != 300*time.Millisecond {
			t.Errorf("200ms later the next may come after %s, want 300ms", wait)
		}
		if n := count("b"); n != 4 {
			t.Errorf("another key may %d, want 4", n)
		}
		time.Sleep(800 * time.Millisecond)
		if n := count("a"); n != 2 {
			t.Errorf("%d after a second, want 2: a refusal must cost nothing", n)
		}
		time.Sleep(time.Hour)
		if n := count("a"); n != 4 {
			t.Errorf("%d after an hour, want 4", n)
		}
	})
}

// TestLimiterWaitIsEnough waits just as long as it is told, at rates that no binary fraction holds.
func TestLimiterWaitIsEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, perSecond := range []float64{0.1, 3, 7, 1000.0 / 3} {
			l := NewLimiter(Rate{PerSecond: perSecond, Burst: 1})
			for i := range 10 {
				wait := l.Take("a")
				if i == 0 != (wait == 0) {
					t.Fatalf("%v a second, request %d: %s", perSecond, i, wait)
				}
				time.Sleep(wait + time.Microsecond)
				if i > 0 && l.Take("a") != 0 {
					t.Errorf("%v a second: %s was not enough", perSecond, wait)
				}
			}
		}
	})
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	none := NewLimiter(Rate{Burst: 1})
	for range 1000 {
		if none.Take("a") != 0 {
			t.Fatal("no limit refuses")
		}
	}
	if NewLimiter(Rate{PerSecond: 1}).Take("a") != 0 {
		t.Error("a rate without a burst lets nothing through")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Rate{PerSecond: 1e-6, Burst: 1})
	l.size = 10
	for i := range 1000 {
		l.Take(fmt.Sprint(i))
		if wait := l.Take("always here"); i > 0 && wait == 0 {
			t.Fatalf("a key in use was forgotten after %d others", i)
		}
	}
	if n := len(l.young) + len(l.old); n > 20 {
		t.Errorf("%d keys, want at most 20", n)
	}
}

// TestLimiterAtOnce lets many take at once: not one more than there is room for.
func TestLimiterAtOnce(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Rate{PerSecond: 1e-6, Burst: 50})
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if l.Take("a") == 0 {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 50 {
		t.Errorf("%d passed, want 50", passed.Load())
	}
}

func TestAddressKey(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/64", "2001:db8::ffff:1": "2001:db8::/64", "2001:db8:0:1::1": "2001:db8:0:1::/64",
	} {
		if got := AddressKey(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if AddressKey(netip.Addr{}) == "" {
		t.Error("a peer without an address has no key")
	}
}
