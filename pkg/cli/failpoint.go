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

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
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

// testClients are those of BEHALF_FAILPOINT_OAUTH_CLIENTS, SLUG=ID:SECRET with commas between: what a worker in tests has
// for accounts that were connected with a client that we ship.
func testClients() map[behalf.AppSlug]oauth.Registration {
	clients := map[behalf.AppSlug]oauth.Registration{}
	for _, one := range strings.Split(os.Getenv("BEHALF_FAILPOINT_OAUTH_CLIENTS"), ",") {
		slug, client, _ := strings.Cut(one, "=")
		id, word, _ := strings.Cut(client, ":")
		clients[behalf.AppSlug(slug)] = oauth.Registration{ID: id, Secret: secret.New(word)}
	}
	return clients
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
