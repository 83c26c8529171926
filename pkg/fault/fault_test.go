package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	outside := errors.New("dial tcp 10.0.0.7: refused")
	for name, c := range map[string]struct {
		err  error
		kind fault.Kind
		code string
		safe string
	}{
		"nobody classified it":           {outside, fault.Internal, "internal", "internal"},
		"a wrapped outside error":        {fault.Wrap(fault.Unavailable, "bus.Publish", outside), fault.Unavailable, "unavailable", "unavailable"},
		"wrapped once more by fmt":       {fmt.Errorf("event: %w", fault.New(fault.Invalid, "x.Y", "no body")), fault.Invalid, "invalid", "no body"},
		"a code of the public tables":    {fault.New(fault.NotFound, "x.Y", "gone").WithCode("endpoint_not_found"), fault.NotFound, "endpoint_not_found", "gone"},
		"the code of an inner failure":   {fault.Wrap(fault.Conflict, "a.B", fault.New(fault.Conflict, "x.Y", "m").WithCode("fenced")), fault.Conflict, "fenced", "conflict"},
		"a deadline":                     {fmt.Errorf("x: %w", context.DeadlineExceeded), fault.Timeout, "timeout", "timeout"},
		"a cancellation":                 {context.Canceled, fault.Canceled, "canceled", "canceled"},
		"a message that keeps its cause": {fault.New(fault.Exhausted, "x.Y", "queue is full").Because(outside), fault.Exhausted, "exhausted", "queue is full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fault.KindOf(c.err); got != c.kind {
				t.Errorf("KindOf = %v, want %v", got, c.kind)
			}
			if got := fault.CodeOf(c.err); got != c.code {
				t.Errorf("CodeOf = %q, want %q", got, c.code)
			}
			if got := fault.Safe(c.err); got != c.safe {
				t.Errorf("Safe = %q, want %q", got, c.safe)
			}
		})
	}
}

func TestWrapOfNilIsNil(t *testing.T) {
	t.Parallel()
	if err := fault.Wrap(fault.Internal, "x.Y", nil); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestEveryKindHasItsOwnName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range fault.Kinds() {
		if seen[k.String()] {
			t.Errorf("%q is the name of two kinds", k)
		}
		seen[k.String()] = true
	}
}

func ExampleSafe() {
	err := fault.Wrap(fault.Unavailable, "credential.Token", errors.New("dial tcp 10.0.0.7: refused"))
	fmt.Println(err)
	fmt.Println(fault.Safe(err))
	// Output:
	// credential.Token: dial tcp 10.0.0.7: refused
	// unavailable
}

func TestAwayIsWhatSaysNothingOfWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, kind := range fault.Kinds() {
		want := kind == fault.Unavailable || kind == fault.Timeout || kind == fault.Exhausted
		err := fmt.Errorf("outer: %w", fault.New(kind, "test", "message"))
		if got := fault.IsAway(err); got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if fault.IsAway(nil) || fault.IsAway(errors.New("of no kind")) {
		t.Error("what has no kind is away")
	}
}
