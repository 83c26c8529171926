package sandbox

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func jobOf(version string) Job {
	job := jobA
	job.Key.Version = behalf.VersionID(version)
	return job
}

func mustDo(tb testing.TB, pool *Pool, job Job) {
	tb.Helper()
	if reply, err := pool.Do(tb.Context(), job); err != nil || reply.Exports == nil {
		tb.Fatalf("%+v, %v", reply, err)
	}
}

// idleOf is the one idle guest of a key.
func idleOf(tb testing.TB, pool *Pool, job Job) *guest {
	tb.Helper()
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for _, i := range pool.idle {
		if i.key == job.Key {
			return i.guest
		}
	}
	tb.Fatalf("no idle guest of %v", job.Key)
	return nil
}

func TestAGuestServesItsKeyAgainAndNoOther(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "well", Config{})
	a, b := jobOf("d_a"), jobOf("d_b")
	mustDo(t, pool, a)
	first := idleOf(t, pool, a)
	mustDo(t, pool, b)
	mustDo(t, pool, a)
	if idleOf(t, pool, a) != first {
		t.Error("the key has another guest")
	}
	for _, other := range []Key{
		{Project: "proj_2", Environment: a.Key.Environment, Version: a.Key.Version},
		{Project: a.Key.Project, Environment: "production", Version: a.Key.Version},
		b.Key,
	} {
		job := a
		job.Key = other
		mustDo(t, pool, job)
		if idleOf(t, pool, job) == first {
			t.Errorf("%v got the guest of %v", other, a.Key)
		}
	}
	if first.runs != 2 {
		t.Errorf("the guest ran %d runs", first.runs)
	}
}

func TestAGuestRunsOneRunAtATime(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Max: 2, MaxPerKey: 1})
	began := time.Now()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if reply, err := pool.Do(t.Context(), jobA); err != nil || reply.Exports == nil {
				t.Errorf("%+v, %v", reply, err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < 600*time.Millisecond {
		t.Errorf("three runs of 200 ms took %v in one guest", took)
	}
	if idleOf(t, pool, jobA).runs != 3 {
		t.Error("there was more than one guest")
	}
}

func TestAFullPoolGivesThePlaceOfAnIdleGuest(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "well", Config{Max: 1})
	mustDo(t, pool, jobOf("d_a"))
	first := idleOf(t, pool, jobOf("d_a"))
	mustDo(t, pool, jobOf("d_b"))
	select {
	case <-first.proc.done:
	default:
		t.Error("the first guest lives on")
	}
	if pool.total != 1 {
		t.Errorf("%d guests", pool.total)
	}
}

func TestTheWaitForAPlaceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Max: 1})
	var first sync.WaitGroup
	first.Go(func() { _, _ = pool.Do(t.Context(), jobA) })
	for pool.busyNow() == 0 { // until it holds the place
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := pool.Do(ctx, jobOf("d_b"))
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "wait for a free guest") {
		t.Errorf("got %v", err)
	}
	first.Wait()
}

func (p *Pool) busyNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

func TestAGuestIsReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		manner string
		cfg    Config
	}{
		"after so many runs":  {"well", Config{MaxRuns: 1}},
		"when it asks for it": {"asks to retire", Config{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := fakePool(t, c.manner, c.cfg)
			mustDo(t, pool, jobA)
			mustDo(t, pool, jobA)
			if len(pool.idle) != 0 || pool.total != 0 {
				t.Errorf("%d idle, %d in all", len(pool.idle), pool.total)
			}
		})
	}
}

func TestUpkeep(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "well", Config{IdleTimeout: 50 * time.Millisecond, Blanks: 2})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- pool.Run(ctx) }()

	blanks := func() []*guest {
		pool.mu.Lock()
		defer pool.mu.Unlock()
		return append([]*guest{}, pool.blanks...)
	}
	for len(blanks()) < 2 {
		<-time.After(time.Millisecond)
	}
	blank := blanks()[0]
	mustDo(t, pool, jobA)
	if blank.key != jobA.Key || blank.runs != 1 {
		t.Error("the blank guest was not taken")
	}
	<-blank.proc.done // idle for too long
	for len(blanks()) < 2 {
		<-time.After(time.Millisecond)
	}
	left := blanks()
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	for _, g := range left {
		<-g.proc.done
	}
	if _, err := pool.Do(t.Context(), jobA); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a closed pool answers %v", err)
	}
}

func TestTheEndOfThePoolWaitsForItsRuns(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Blanks: -1})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- pool.Run(ctx) }()
	result := make(chan error, 1)
	go func() {
		reply, err := pool.Do(t.Context(), jobA)
		if err == nil && reply.Exports == nil {
			err = errors.New(reply.Died)
		}
		result <- err
	}()
	for pool.busyNow() == 0 {
		<-time.After(time.Millisecond)
	}
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	select {
	case err := <-result:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the pool ended before its run")
	}
	if pool.total != 0 {
		t.Errorf("%d guests are left", pool.total)
	}
}

func TestWithoutNodeStepsAreRefusedWithWhatToType(t *testing.T) {
	t.Parallel()
	old, err := filepath.Abs("testdata/old-node")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, found string }{
		"nothing there": {"/nowhere/node", "/nowhere/node does not run"},
		"not Node":      {"/bin/true", `/bin/true is Node ""`},
		"an old one":    {old, `is Node "20.1.0"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := New(t.Context(), Config{Node: c.path}, zerolog.Nop())
			_, err := pool.Do(t.Context(), jobA)
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.Safe(err), c.found) || !strings.Contains(fault.Safe(err), "type: export BEHALF_NODE=") {
				t.Errorf("got %v", err)
			}
			if !errors.Is(err, pool.Refusal()) || pool.Tier() != "" {
				t.Errorf("refusal %v, tier %q", pool.Refusal(), pool.Tier())
			}
		})
	}
}

func TestTheWaitForAGuestIsBounded(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Max: 1, WaitTimeout: 20 * time.Millisecond})
	var first sync.WaitGroup
	first.Go(func() { _, _ = pool.Do(t.Context(), jobA) })
	for pool.busyNow() == 0 {
		<-time.After(time.Millisecond)
	}
	for _, job := range []Job{jobA, jobOf("d_b")} {
		if _, err := pool.Do(t.Context(), job); !fault.Is(err, fault.Exhausted) {
			t.Errorf("%s: %v", job.Key.Version, err)
		}
	}
	first.Wait()
}

func TestTheWaitForAGuestIsNoneOfTheTimeout(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Max: 1}) // 200 ms a run
	job := jobA
	job.Timeout = 350 * time.Millisecond
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if reply, err := pool.Do(t.Context(), job); err != nil || reply.Cut {
				t.Errorf("%+v, %v", reply, err)
			}
		})
	}
	all.Wait()
}

func TestARunThatMayNotBeginLeavesItsGuestAlone(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "well", Config{})
	mustDo(t, pool, jobA)
	guest, no := idleOf(t, pool, jobA), errors.New("not now")
	job := jobA
	job.Begin = func(context.Context) error { return no }
	if _, err := pool.Do(t.Context(), job); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if idleOf(t, pool, jobA) != guest || guest.runs != 1 {
		t.Errorf("the guest ran %d runs, or is another", guest.runs)
	}
}

func TestTwoKeysDoNotTakeFromEachOtherInTurn(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Max: 4, Eager: 3, GrowAfter: time.Millisecond})
	started := map[*guest]bool{}
	for range 4 {
		for _, version := range []string{"d_a", "d_b"} {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { mustDo(t, pool, jobOf(version)) })
			}
			all.Wait()
		}
		pool.mu.Lock()
		for _, i := range pool.idle {
			started[i.guest] = true
		}
		pool.mu.Unlock()
	}
	if len(started) > 6 { // the first key has all four until the second takes its half
		t.Errorf("%d guests were started for two keys and four places", len(started))
	}
}

// Waiters look for a place every now and then, and must not lose their turn by it.
func TestWhoWaitsLongestIsServedFirst(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "takes its time", Config{Max: 1, GrowAfter: 5 * time.Millisecond}) // 200 ms a run
	var mu sync.Mutex
	var served []int
	var all sync.WaitGroup
	for n := range 5 {
		all.Go(func() {
			job := jobA
			job.Begin = func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				served = append(served, n)
				return nil
			}
			if _, err := pool.Do(t.Context(), job); err != nil {
				t.Error(err)
			}
		})
		for pool.waitingNow()+pool.busyNow() <= n { // until it stands in the queue
			<-time.After(time.Millisecond)
		}
	}
	all.Wait()
	if !slices.IsSorted(served) {
		t.Errorf("served in the order %v", served)
	}
}

func (p *Pool) waitingNow() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, queue := range p.waiting {
		n += len(queue)
	}
	return n
}

func TestAGuestThatDiesBeforeItsRunBeginsIsReplaced(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "well", Config{})
	mustDo(t, pool, jobA)
	first := idleOf(t, pool, jobA)
	job, begun := jobA, 0
	job.Begin = func(context.Context) error {
		begun++
		first.proc.kill()
		return nil
	}
	if reply, err := pool.Do(t.Context(), job); err != nil || reply.Died != "" || reply.Exports == nil {
		t.Errorf("%+v, %v", reply, err)
	}
	if begun != 1 {
		t.Errorf("it began %d times", begun)
	}
}

func TestAJobThatIsCanceledBeforeItBeginsDoesNotRun(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "well", Config{})
	mustDo(t, pool, jobA)
	guest := idleOf(t, pool, jobA)
	ctx, cancel := context.WithCancel(t.Context())
	job := jobA
	job.Begin = func(context.Context) error {
		cancel()
		return nil
	}
	if _, err := pool.Do(ctx, job); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v", err)
	}
	if guest.runs != 1 {
		t.Errorf("the guest had %d runs", guest.runs)
	}
}
