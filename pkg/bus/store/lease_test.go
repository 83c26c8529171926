package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestALeaseIsTakenByOneAndEndsByItself(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var took atomic.Int32
	var takers sync.WaitGroup
	all := make([]store.Leases, 20)
	for i := range all { // before the first one takes it: a busy machine may need longer than it lasts
		all[i] = l.running(t, store.Config{}).Leases()
	}
	for i, leases := range all {
		takers.Go(func() {
			switch _, err := leases.PutFor(t.Context(), "lease/a", fmt.Appendf(nil, "taker %d", i), 0, 5*time.Second); {
			case err == nil:
				took.Add(1)
			case !fault.Is(err, fault.Conflict):
				t.Error(err)
			}
		})
	}
	takers.Wait()
	if took.Load() != 1 {
		t.Fatalf("%d took it", took.Load())
	}
	leases := l.running(t, store.Config{}).Leases()
	bustest.Eventually(t, "the lease ends", func() bool {
		_, _, err := leases.Get(t.Context(), "lease/a")
		return fault.Is(err, fault.NotFound)
	})
	second := must[uint64](t)(leases.PutFor(t.Context(), "lease/a", []byte("second"), 0, time.Hour))
	third := must[uint64](t)(leases.PutFor(t.Context(), "lease/a", []byte("second"), second, time.Hour)) // held longer
	wantKind(t, leases.Delete(t.Context(), "lease/a", second), fault.Conflict)                           // of who lost it
	if err := leases.Delete(t.Context(), "lease/a", third); err != nil {
		t.Fatal(err)
	}
	must[uint64](t)(leases.PutFor(t.Context(), "lease/a", []byte("third"), 0, time.Hour))
	_, err := leases.PutFor(t.Context(), "lease/b", nil, 0, time.Millisecond)
	wantKind(t, err, fault.Invalid)
	_, err = leases.PutFor(t.Context(), "a.b", nil, 0, time.Hour)
	wantKind(t, err, fault.Invalid)
}
