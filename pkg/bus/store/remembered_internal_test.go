package store

import (
	"context"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// Whatever happens while a read is on its way, what it brings is handed out but not kept.
func TestAReadIsKeptOnlyIfNothingHappenedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(*remembered[int])
		kept      bool
	}{
		"nothing":             {func(*remembered[int]) {}, true},
		"another key changed": {func(r *remembered[int]) { r.forget("b") }, true},
		"the key changed":     {func(r *remembered[int]) { r.forget("a") }, false},
		"the watch was lost":  {func(r *remembered[int]) { r.empty(false) }, false},
		"a new watch stands": {func(r *remembered[int]) {
			r.empty(false)
			r.empty(true)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemembered(10, func(int) int { return 1 })
			r.empty(true)
			read := func(context.Context) (int, error) {
				c.meanwhile(r)
				return 1, nil
			}
			if got, err := r.find(t.Context(), "a", read); got != 1 || err != nil {
				t.Errorf("got %d, %v", got, err)
			}
			if _, kept := r.recall("a"); kept != c.kept {
				t.Errorf("kept: %t", kept)
			}
			if len(r.reading) != 0 {
				t.Error("a read is still on its way")
			}
		})
	}
}

// Who asks after a change must not be given a read that began before it.
func TestWhoAsksAfterAChangeGetsAReadOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRemembered(10, func(int) int { return 1 })
	r.empty(true)
	var later int
	first, err := r.find(t.Context(), "a", func(ctx context.Context) (int, error) {
		r.forget("a")
		var err error
		later, err = r.find(ctx, "a", func(context.Context) (int, error) { return 2, nil })
		return 1, err
	})
	if first != 1 || later != 2 || err != nil {
		t.Errorf("got %d and %d, %v", first, later, err)
	}
	if kept, ok := r.recall("a"); !ok || kept != 2 {
		t.Errorf("kept %d", kept)
	}
}

func TestThatAUserHasNoAccountIsNotRemembered(t *testing.T) {
	t.Parallel()
	p := newPeople(nil, Config{}.withDefaults())
	p.filled(p.begin())
	for range 2 {
		asked := false
		_, err := p.accounts.find(t.Context(), "account.proj_a.u.", func(context.Context) ([]behalf.Account, error) {
			asked = true
			return nil, nil
		})
		if err != nil || !asked {
			t.Errorf("memory said no: %v", err)
		}
	}
}
