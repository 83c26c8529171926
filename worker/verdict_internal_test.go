package worker

import (
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestEveryKindHasAVerdict(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]verdict{
		fault.Internal: pause, fault.Invalid: discard, fault.Unauthenticated: discard, fault.Forbidden: discard, fault.NotFound: discard,
		fault.Conflict: leave, fault.Exhausted: pause, fault.Unavailable: pause, fault.Timeout: pause, fault.Canceled: leave, fault.StepFailed: discard,
	}
	for _, kind := range fault.Kinds() {
		if got, ok := want[kind]; !ok || verdictOf(kind) != got {
			t.Errorf("%s: %d, want %d", kind, verdictOf(kind), got)
		}
	}
}

func TestRetriesAreSpreadOverTenHours(t *testing.T) {
	t.Parallel()
	var sum, before time.Duration
	for made := range behalf.DefaultRetries {
		d := retryDelay(made)
		if d < before {
			t.Errorf("delay %d is %s, less than the %s before", made, d, before)
		}
		sum, before = sum+d, d
	}
	if sum < 8*time.Hour || sum > 10*time.Hour {
		t.Errorf("together they take %s", sum)
	}
	if d := retryDelay(100); d < 4*time.Hour || d > 5*time.Hour {
		t.Errorf("a workflow with more retries waits %s for the last", d)
	}
}

func TestOutagesAreWaitedForABoundedDay(t *testing.T) {
	t.Parallel()
	var sum time.Duration
	for outages := range maxOutage {
		d := outageDelay(outages + 1)
		if d < 900*time.Millisecond || d > 300*time.Second {
			t.Errorf("outage %d is waited for %s", outages+1, d)
		}
		sum += d
		if sum < 10*time.Minute && d > 30*time.Second {
			t.Errorf("%s into an outage, its end is noticed after %s", sum, d)
		}
	}
	if sum < 18*time.Hour || sum > 24*time.Hour {
		t.Errorf("together %s", sum)
	}
}
