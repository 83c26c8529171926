//go:build failpoint

package cli

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/worker"
)

// failpoints stop a run at the point that BEHALF_FAILPOINT names, as `point` or `point:n` for the nth time it is
// reached: the file BEHALF_FAILPOINT_DIR/reached appears, and the run stands still until the file `go` appears or the
// process is killed. For tests that kill at every place where a crash matters.
func failpoints() func(context.Context, worker.Point) {
	name, nth, _ := strings.Cut(os.Getenv("BEHALF_FAILPOINT"), ":")
	dir := os.Getenv("BEHALF_FAILPOINT_DIR")
	if name == "" || dir == "" {
		return nil
	}
	want, _ := strconv.ParseInt(nth, 10, 64)
	var reached atomic.Int64
	return func(_ context.Context, at worker.Point) {
		if string(at) != name || reached.Add(1) != max(want, 1) {
			return
		}
		_ = os.WriteFile(filepath.Join(dir, "reached"), []byte(at), 0o600)
		hold(filepath.Join(dir, "go"))
	}
}

// hold waits for a file to appear.
func hold(file string) {
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		if _, err := os.Stat(file); err == nil {
			return
		}
	}
}

// practiceURLs are those of BEHALF_FAILPOINT_APP_URLS, SLUG=URL with commas between: where a worker's apps are in tests,
// which no worker that is shipped can be told.
func practiceURLs() []string {
	list := os.Getenv("BEHALF_FAILPOINT_APP_URLS")
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
