package api

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Rate{PerSecond: 2, Burst: 4})
		count := func() int {
			n := 0
			for range 20 {
				if err := l.take("a"); err == nil {
					n++
				} else if !fault.Is(err, fault.Exhausted) {
					t.Fatal(err)
				}
			}
			return n
		}
		if n := count(); n != 4 {
			t.Errorf("%d at once, want 4", n)
		}
		time.Sleep(time.Second)
		if n := count(); n != 2 {
			t.Errorf("%d after a second, want 2: a refusal must cost nothing", n)
		}
		time.Sleep(time.Hour)
		if n := count(); n != 4 {
			t.Errorf("%d after an hour, want 4", n)
		}
	})
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(Rate{PerSecond: 1, Burst: 1})
	l.size = 10
	for i := range 1000 {
		_ = l.take(fmt.Sprint(i))
		if err := l.take("always here"); i > 0 && err == nil {
			t.Fatalf("a key in use was forgotten after %d others", i)
		}
	}
	if n := len(l.young) + len(l.old); n > 20 {
		t.Errorf("%d keys, want at most 20", n)
	}
}
