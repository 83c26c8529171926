package sandbox

import (
	"cmp"
	"runtime"
	"strconv"
	"time"

	guestfiles "github.com/behalf-dev/behalf/pkg/sandbox/guest"
)

// NoBwrap as Config.Bwrap runs guests bare although there may be a bubblewrap.
const NoBwrap = "none"

// Config tunes a Pool. The zero value works.
type Config struct {
	// Node is the path of the Node binary, 24 or newer.
	//
	// Defaults to the node that is found on PATH.
	Node string
	// Bwrap is the path of bubblewrap, or NoBwrap.
	//
	// Defaults to the bwrap that is found on PATH.
	Bwrap string
	// Max is how many guests may be bound to keys at once.
	//
	// Defaults to twice the processors, at least 4.
	Max int
	// MaxPerKey is how many guests one key may have.
	//
	// Defaults to Max.
	MaxPerKey int
	// Eager is how many guests a key gets at once when it needs them. One more is started only when none of the key's
	// has become free for GrowAfter: steps that compute share the processors, steps that wait for others get more guests.
	//
	// Defaults to the processors.
	Eager int
	// GrowAfter is how long all guests of a key must have been busy before it gets one more.
	//
	// Defaults to 20 milliseconds.
	GrowAfter time.Duration
	// WaitTimeout is how long a job waits for a guest.
	//
	// Defaults to 30 seconds.
	WaitTimeout time.Duration
	// Blanks is how many started guests wait to be bound, on top of Max. Negative means none.
	//
	// Defaults to 1.
	Blanks int
	// IdleTimeout is how long a bound guest may have nothing to do.
	//
	// Defaults to 60 seconds.
	IdleTimeout time.Duration
	// MaxRuns is after how many runs a guest is replaced.
	//
	// Defaults to 100,000: a start costs as much as some thousand runs, and a leak of the author's shows in memory.
	MaxRuns int
	// StartTimeout is how long a guest may take to say hello.
	//
	// Defaults to 5 seconds.
	StartTimeout time.Duration
	// Heap is the size of a guest's JavaScript heap in MiB.
	//
	// Defaults to 256.
	Heap int
	// MaxMemory bounds what each process of a guest may allocate, in bytes: its heap does not count what lies outside of it,
	// such as Buffers. Node reserves some 600 MiB of it for itself and as much for each of its threads with code, and uses
	// little of that.
	//
	// Defaults to 2 GiB.
	MaxMemory uint64
	// TmpSize bounds a guest's /tmp, its /dev/shm, and each file that it writes, in bytes.
	//
	// Defaults to 256 MiB.
	TmpSize int64
	// MaxFiles and MaxProcesses bound the open files and the threads of a guest. Threads are counted in the sandboxed
	// tier only, and not where the operator is root.
	//
	// Default to 1024 and 128.
	MaxFiles, MaxProcesses uint64
}

func (c Config) withDefaults() Config {
	c.Max = cmp.Or(c.Max, max(4, 2*runtime.NumCPU()))
	c.MaxPerKey = min(cmp.Or(c.MaxPerKey, c.Max), c.Max)
	c.Eager = cmp.Or(c.Eager, runtime.NumCPU())
	c.GrowAfter = cmp.Or(c.GrowAfter, 20*time.Millisecond)
	c.WaitTimeout = cmp.Or(c.WaitTimeout, 30*time.Second)
	c.Blanks = max(0, cmp.Or(c.Blanks, 1))
	c.IdleTimeout = cmp.Or(c.IdleTimeout, time.Minute)
	c.MaxRuns = cmp.Or(c.MaxRuns, 100_000)
	c.StartTimeout = cmp.Or(c.StartTimeout, 5*time.Second)
	c.Heap = cmp.Or(c.Heap, 256)
	c.MaxMemory = cmp.Or(c.MaxMemory, 2<<30)
	c.TmpSize = cmp.Or(c.TmpSize, 256<<20)
	c.MaxFiles = cmp.Or(c.MaxFiles, 1024)
	c.MaxProcesses = max(64, cmp.Or(c.MaxProcesses, 128)) // Node hangs with too few
	return c
}

// guestArgs are Node's. They can be read by everyone on the machine.
func (c Config) guestArgs() []string {
	return []string{"--max-old-space-size=" + strconv.Itoa(c.Heap), "--no-warnings", "--input-type=commonjs", "-e", guestfiles.Node}
}
