package proctree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/test/bench/proctree"
)

// stat spells a stat file as the kernel does.
func stat(pid int, name string, parent int, times [4]int, pages int) string {
	return fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 100 0 0 0 %d %d %d %d 20 0 5 0 %d 1000000 %d 18446744073709551615 1 1\n",
		pid, name, parent, times[0], times[1], times[2], times[3], 7000+pid, pages)
}

func procOf(t *testing.T, stats ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, s := range stats {
		pid, _, _ := strings.Cut(s, " ")
		if err := os.MkdirAll(filepath.Join(dir, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, pid, "stat"), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ExampleUsage_CPU() {
	u := proctree.Usage{Own: proctree.Sum{CPU: time.Second}, Children: proctree.Sum{CPU: 500 * time.Millisecond}}
	fmt.Println(u.CPU())
	// Output: 1.5s
}

func TestOfCountsTheWholeTree(t *testing.T) {
	t.Parallel()
	proc := procOf(t,
		stat(1, "init", 0, [4]int{9000, 9000, 9000, 9000}, 500),
		stat(10, "behalf", 1, [4]int{100, 50, 7, 3}, 10), // 7 and 3 are of guests that have ended
		stat(11, "bwrap", 10, [4]int{1, 1, 0, 0}, 1),
		stat(12, "bwrap", 11, [4]int{0, 1, 0, 0}, 1),
		stat(13, "node) S 1 (", 12, [4]int{20, 5, 0, 0}, 30), // a name may look like anything
		stat(20, "another", 1, [4]int{4000, 4000, 0, 0}, 99),
	)

	u, err := proctree.Of(proc, []int{10})
	if err != nil {
		t.Fatal(err)
	}

	page := int64(os.Getpagesize())
	if want := (proctree.Sum{CPU: 1600 * time.Millisecond, RSS: 10 * page}); u.Own != want {
		t.Errorf("own: got %+v, want %+v", u.Own, want)
	}
	if want := (proctree.Sum{CPU: 280 * time.Millisecond, RSS: 32 * page}); u.Children != want {
		t.Errorf("children: got %+v, want %+v", u.Children, want)
	}
	if got, want := u.CPU(), 1880*time.Millisecond; got != want {
		t.Errorf("all: got %v, want %v", got, want)
	}
}

func TestOfCountsARootBelowARootOnce(t *testing.T) {
	t.Parallel()
	proc := procOf(t, stat(10, "a", 1, [4]int{100}, 0), stat(11, "b", 10, [4]int{10}, 0), stat(12, "c", 11, [4]int{1}, 0))

	u, err := proctree.Of(proc, []int{10, 11})
	if err != nil {
		t.Fatal(err)
	}
	if u.Own.CPU != 1100*time.Millisecond || u.Children.CPU != 10*time.Millisecond {
		t.Errorf("got %+v", u)
	}
}

func TestOfRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stats []string
		want  string
	}{
		"a root that is gone":     {[]string{stat(11, "b", 1, [4]int{}, 0)}, "process 10 is gone"},
		"a file without a name":   {[]string{"10 S 1 1"}, "no name"},
		"a file that ends early":  {[]string{"10 (a) S 1 1"}, "only 3 fields"},
		"a time that is a letter": {[]string{strings.Replace(stat(10, "a", 1, [4]int{123, 0, 0, 0}, 0), " 123 ", " x ", 1)}, "field 14"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := proctree.Of(procOf(t, tt.stats...), []int{10})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDescendants(t *testing.T) {
	t.Parallel()
	// 30 and 31 are each other's parents, as a list that is not read in one instant can show them.
	proc := procOf(t, stat(10, "a", 1, [4]int{}, 0), stat(11, "b", 10, [4]int{}, 0), stat(12, "c", 11, [4]int{}, 0),
		stat(30, "x", 31, [4]int{}, 0), stat(31, "y", 30, [4]int{}, 0))

	below, err := proctree.Descendants(proc, 10)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range below {
		pids = append(pids, p.PID)
	}
	slices.Sort(pids)
	if !slices.Equal(pids, []int{11, 12}) {
		t.Errorf("got %v", pids)
	}
}
