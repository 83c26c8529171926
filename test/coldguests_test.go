//go:build integration

package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// slowNode is a Node that takes its time to start a guest, and says at once which Node it is. It lies in no place that
// bubblewrap shows its guests, so they run bare.
func slowNode(t *testing.T, dir string, delay time.Duration) []string {
	t.Helper()
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in -p) printf '24.0.0\\n%%s\\n' \"$0\"; exit ;; esac\n/bin/sleep %.1f\nexec '%s' \"$@\"\n", delay.Seconds(), node(t))
	file := filepath.Join(dir, "node")
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{"BEHALF_NODE=" + file, "PATH=" + dir}
}

// A run's timeout is for its steps: a guest that takes longer to start than the run may takes nothing of it, and a run
// that is too slow is answered so, not as one that waits.
func TestARunsTimeoutSparesTheWaitForAGuest(t *testing.T) {
	t.Parallel()
	const timeout, start = 2500 * time.Millisecond, 3 * time.Second // a busy machine has two seconds for Node itself
	w := newWorld(t)
	type run struct {
		deployed
		status int
		code   behalf.Code
	}
	runs := map[string]run{}
	for i := range 2 { // each workflow has guests of its own; one of them all may get the guest that was started in advance
		for name, r := range map[string]run{
			"too slow":    {w.deploy(fmt.Sprint("slow", i), timed(timeout, 10_000)), http.StatusBadRequest, behalf.CodeRunTimeout},
			"fast enough": {w.deploy(fmt.Sprint("fast", i), timed(timeout, 0)), http.StatusOK, ""},
		} {
			runs[fmt.Sprintf("%s %d", name, i)] = r
		}
	}
	w.workerOf(program(t, behalfProgram), development, slowNode(t, w.folder("node"), start))
	var calls sync.WaitGroup
	var mu sync.Mutex
	cold := 0
	for name, r := range runs {
		calls.Go(func() {
			a := w.post(r.PathURL, event(name))
			queued, worked := timing(a, "queue"), timing(a, "step")
			t.Logf("%s: %v, waited %s, worked %s", name, a, queued, worked)
			if a.status != r.status || a.code() != string(r.code) || worked > start+timeout {
				t.Errorf("%s: answered %v, worked %s", name, a, worked)
			}
			mu.Lock()
			defer mu.Unlock()
			if queued > timeout {
				cold++
			}
		})
	}
	calls.Wait()
	if cold < len(runs)-1 {
		t.Errorf("only %d of %d runs waited longer for their guest than they may run", cold, len(runs))
	}
	w.idle()
	for run, j := range w.journal() {
		if j.finishes != 1 || strings.Contains(strings.Join(j.records, " "), "wait") {
			t.Errorf("%s: records %v", run, j.records)
		}
	}
	if n := len(w.vendor.all()); n != len(runs) {
		t.Errorf("%d runs made %d calls", len(runs), n)
	}
}

// timed is a workflow whose one step works for so many milliseconds.
func timed(timeout time.Duration, hold int) map[string]string {
	return map[string]string{"workflow.yaml": flow("oauth", "custom", "settings: { timeout: "+timeout.String()+" }\n", "only"), "only.mjs": calling(hold, respond)}
}

// timing reads a part of what an answer tells about its time.
func timing(a answer, part string) time.Duration {
	_, rest, _ := strings.Cut(a.header.Get("Server-Timing"), part+";dur=")
	number, _, _ := strings.Cut(rest, ",")
	ms, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return -1
	}
	return time.Duration(ms * float64(time.Millisecond))
}
