package sandbox

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

var jobA = Job{Key: Key{Project: "proj_1", Environment: "development", Version: "d_a"}, File: "a.mjs", Source: "x"}

// fakePool is a pool of fake children, in the best tier of this machine.
func fakePool(tb testing.TB, manner string, cfg Config) *Pool {
	tb.Helper()
	cfg.StartTimeout = cmp.Or(cfg.StartTimeout, time.Minute) // two cores may be busy with other tests
	cfg = cfg.withDefaults()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	l := chooseTier(tb.Context(), cfg, command{path: self, args: []string{fakeChild, manner}}, []string{fakeChild, "trial"})
	pool := newPool(cfg, l, nil, zerolog.Nop())
	tb.Cleanup(func() {
		for _, g := range pool.shut() {
			g.close()
		}
		<-pool.quiet
		if pool.total != 0 || pool.busy != 0 || len(pool.bound) != 0 {
			tb.Errorf("the pool still counts %d guests, %d busy, keys %v", pool.total, pool.busy, pool.bound)
		}
	})
	return pool
}

func TestAChildThatCannotBeStartedIsThePlatformsFailure(t *testing.T) {
	t.Parallel()
	for manner, want := range map[string]string{
		"hang before hello":    "it said no hello in time",
		"garbage before hello": "broke the protocol",
		"exit before hello":    "cannot start: no such library",
		"exit 0 silently":      "ended before its hello",
		"wrong version":        "speaks protocol 99, not 1",
		"result before hello":  `"result" out of order`,
	} {
		t.Run(manner, func(t *testing.T) {
			t.Parallel()
			cfg := Config{}
			if manner == "hang before hello" {
				cfg.StartTimeout = 300 * time.Millisecond
			}
			_, err := fakePool(t, manner, cfg).Do(t.Context(), jobA)
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want unavailable with %q", err, want)
			}
		})
	}
}

func TestAChildThatMisbehavesInARunIsKilled(t *testing.T) {
	t.Parallel()
	for manner, died := range map[string]string{
		"garbage":               "broke the protocol",
		"huge frame":            "at most 8388608 are taken",
		"half a frame":          "ended after 1",
		"closes descriptor 3":   "killed",
		"exits 0 in run":        "process.exit(0)",
		"exits 7 in run":        "process.exit(7)",
		"kills itself":          "killed, perhaps for want of memory",
		"answers another run":   "result of no run in flight",
		"exports a list":        "exports are no object",
		"says hello again":      `"hello" out of order`,
		"floods unknown frames": "too many frames of unknown types",
	} {
		t.Run(manner, func(t *testing.T) {
			t.Parallel()
			pool := fakePool(t, manner, Config{})
			reply, err := pool.Do(t.Context(), jobA)
			if err != nil || !strings.Contains(reply.Died, died) || reply.Exports != nil {
				t.Errorf("reply %+v, error %v; want it to have died with %q", reply, err, died)
			}
			if len(pool.idle) != 0 {
				t.Error("it is kept")
			}
		})
	}
}

func TestAChildThatSpeaksAfterItsResultIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	for _, manner := range []string{"answers twice", "logs after the result", "result before any run"} {
		t.Run(manner, func(t *testing.T) {
			t.Parallel()
			pool := fakePool(t, manner, Config{})
			reply, err := pool.Do(t.Context(), jobA)
			if manner == "result before any run" {
				if reply.Exports != nil {
					t.Errorf("it was believed: %+v, %v", reply, err)
				}
				return
			}
			if err != nil || reply.Exports == nil {
				t.Fatalf("%+v, %v", reply, err)
			}
			for _, g := range pool.idle {
				for deadline := time.Now().Add(30 * time.Second); g.fit(); <-time.After(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("it counts as fit for another run")
					}
				}
			}
		})
	}
}

func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	for _, manner := range []string{"floods logs", "floods empty logs"} {
		reply, err := fakePool(t, manner, Config{}).Do(t.Context(), jobA)
		size := 0
		for _, l := range reply.Logs {
			size += len(l.Text) + logCost
		}
		if err != nil || reply.Exports == nil || size > maxLogs || size < maxLogs/2 {
			t.Errorf("%s: %d bytes in %d lines, error %v", manner, size, len(reply.Logs), err)
		}
	}
}

func TestAnUnknownTypeIsAnswered(t *testing.T) {
	t.Parallel()
	reply, err := fakePool(t, "speaks a newer language", Config{}).Do(t.Context(), jobA)
	if err != nil || reply.Exports == nil {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestADeadlineCutsARunAndItsChild(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "hang in run", Config{})
	job := jobA
	job.Timeout = time.Second
	reply, err := pool.Do(t.Context(), job)
	if err != nil || !reply.Cut || reply.Died != "" || len(reply.Logs) != 1 || reply.Logs[0].Text != "so far" {
		t.Errorf("%+v, %v", reply, err)
	}
	if len(pool.idle) != 0 {
		t.Error("the child is kept")
	}
}

func TestACancellationIsNoOutcome(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "hang in run", Config{})
	why := errors.New("the worker leaves")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
	_, err := pool.Do(ctx, jobA)
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("got %v", err)
	}
}

// What a child starts dies with it: in the sandbox by the pid namespace, bare because it is found below its parent.
func TestADetachedGrandchildDiesToo(t *testing.T) {
	t.Parallel()
	pool := fakePool(t, "ignores signals and forks", Config{})
	job := jobA
	job.Timeout = time.Second
	reply, err := pool.Do(t.Context(), job)
	if err != nil || !reply.Cut || len(reply.Logs) != 1 {
		t.Fatalf("%+v, %v", reply, err)
	}
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range cmdlines { // a zombie has none
		if cmdline, _ := os.ReadFile(file); strings.Contains(string(cmdline), fakeChild+"\x00grandchild") {
			t.Errorf("%s is alive", file)
		}
	}
}
