package store_test

import (
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
)

// TestChangedAccountsTellsAllAndThenOnlyWhatChanged has more accounts than one batch.
func TestChangedAccountsTellsAllAndThenOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, 1_300)
	told, gone := map[behalf.AccountID]int{}, map[behalf.AccountID]bool{}
	read := func(after uint64) uint64 {
		t.Helper()
		clear(told)
		return must[uint64](t)(c.store.ChangedAccounts(t.Context(), after, func(a behalf.Account, left bool) {
			if told[a.ID]++; a.Project != project {
				t.Errorf("%s has no project", a.ID)
			}
			gone[a.ID] = left
		}))
	}

	at := read(0)
	if len(told) != c.n || len(gone) != c.n || gone[crowded(3).ID] {
		t.Fatalf("%d accounts are told, want %d", len(told), c.n)
	}
	if again := read(at); again != at || len(told) != 0 {
		t.Errorf("nothing changed, and %d are told", len(told))
	}
	changed := must[store.Versioned[behalf.Account]](t)(c.store.FindAccount(t.Context(), project, crowded(7).ID))
	changed.Value.Name = "new"
	must[uint64](t)(c.store.PutAccount(t.Context(), changed.Value, changed.Revision))
	if err := c.store.DeleteAccount(t.Context(), project, crowded(9).ID); err != nil {
		t.Fatal(err)
	}
	if read(at); len(told) != 2 || told[crowded(7).ID] != 1 || gone[crowded(7).ID] || !gone[crowded(9).ID] {
		t.Errorf("told are %v", told)
	}
	if read(0); told[crowded(7).ID] != 1 || !gone[crowded(9).ID] {
		t.Errorf("told are %v", told[crowded(7).ID])
	}
}

func TestChangedAccountsOfNone(t *testing.T) {
	t.Parallel()
	s := newLab(t).store(t, store.Config{})
	at := must[uint64](t)(s.ChangedAccounts(t.Context(), 0, func(behalf.Account, bool) { t.Error("there is none") }))
	if at != 0 {
		t.Errorf("read up to %d", at)
	}
}

// BenchmarkChangedAccounts tells what it costs to read all of 100,000 accounts, and to hear that none has changed.
func BenchmarkChangedAccounts(b *testing.B) {
	c := newCrowd(b, 100_000)
	read := func(after uint64, want int) (last uint64) {
		told := 0
		last = must[uint64](b)(c.store.ChangedAccounts(b.Context(), after, func(behalf.Account, bool) { told++ }))
		if told != want {
			b.Fatalf("%d are told, want %d", told, want)
		}
		return last
	}
	last := read(0, c.n)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			read(0, c.n)
		}
	})
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			read(last, 0)
		}
	})
}
