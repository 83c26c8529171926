package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

// slowly is a service whose requests wait until it lets them go, and that knows them by their name.
type slowly struct {
	*httptest.Server

	let  chan struct{}
	mu   sync.Mutex
	seen []string
}

func newSlowly(t *testing.T) *slowly {
	t.Helper()
	s := &slowly{let: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.URL.Query().Get("name"))
		s.mu.Unlock()
		select {
		case <-s.let:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *slowly) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Clone(s.seen)
	slices.Sort(names)
	return names
}

// queueing is a flow that asks the service for each of its events.
func queueing(t *testing.T, dir, service string) {
	t.Helper()
	for _, name := range []string{"held", "other"} {
		writeFolder(t, filepath.Join(dir, name), map[string]string{
			"workflow.yaml": "name: " + name + "\ntriggers:\n  - { type: http, auth: oauth, respond: immediate }\nsteps:\n" +
				"  - name: ask\n    run: ask.mjs\nsettings: { timeout: 5m }\n",
			"ask.mjs": "export default defineComponent({ async run({ steps }) {\n" +
				"  return (await fetch(`" + service + "/?name=${steps.trigger.event.body.name}`)).status; } });\n",
		})
	}
}

// A queue takes as many events as --max-queued says. What comes above it is told to come again, and nothing of it is kept;
// other workflows do not notice; and when the queue has moved on, there is room again.
func TestAQueueIsBounded(t *testing.T) {
	const most = 5
	dir, service := t.TempDir(), newSlowly(t)
	queueing(t, filepath.Join(dir, "flows"), service.URL)
	startDev(t, filepath.Join(dir, "data"), filepath.Join(dir, "flows"), "--max-queued", fmt.Sprint(most))
	s := terminal{t, filepath.Join(dir, "data")}
	held, other, token := s.said("endpoints", "url", "held"), s.said("endpoints", "url", "other"), s.said("token")
	var accepted []string
	send := func(url, name string) told {
		t.Helper()
		resp := posted(t, url, token, name)
		if resp.status < 300 {
			accepted = append(accepted, name)
		}
		return resp
	}
	for i := range most {
		if resp := send(held, fmt.Sprintf("first-%d", i)); resp.status != http.StatusOK {
			t.Fatalf("the event %d of %d is answered %d", i+1, most, resp.status)
		}
	}
	for i := range 20 {
		resp := send(held, fmt.Sprintf("above-%d", i))
		if resp.status != http.StatusServiceUnavailable || resp.header.Get("Retry-After") != "5" || resp.header.Get("X-Behalf-Error") != "queue_full" || resp.header.Get("X-Behalf-Run-Id") != "" {
			t.Fatalf("above the limit: %d %v", resp.status, resp.header)
		}
	}
	if resp := send(other, "other"); resp.status != http.StatusOK {
		t.Errorf("another workflow: %d", resp.status)
	}
	close(service.let)
	bustest.Eventually(t, "there is room again", func() bool { return send(held, "above-0").status == http.StatusOK })
	slices.Sort(accepted)
	bustest.Eventually(t, "what was accepted has run", func() bool { return len(service.names()) >= len(accepted) })
	bustest.Eventually(t, "the history has all runs", func() bool {
		return strings.Count(s.must("runs", "list", "--env", "development", "--json"), `"state":"ok"`) == len(accepted)
	})
	if ran := slices.Compact(service.names()); !slices.Equal(ran, accepted) {
		t.Errorf("ran      %v\naccepted %v", ran, accepted)
	}
}

// told is an answer without its body.
type told struct {
	status int
	header http.Header
}

// posted is the answer to an event with this name.
func posted(t *testing.T, url, token, name string) told {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "X-Pd-Environment": {"development"}}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return told{resp.StatusCode, resp.Header}
}
