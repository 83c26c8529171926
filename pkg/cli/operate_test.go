package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

// eventually runs a command until what it prints is as it should be.
func (s terminal) eventually(holds func(stdout string) bool, args ...string) string {
	s.t.Helper()
	deadline := time.After(time.Minute)
	for tick := time.Tick(300 * time.Millisecond); ; { // each run fetches a token, and those are rationed
		stdout, stderr, _ := s.run("", args...)
		if holds(stdout) {
			return stdout
		}
		select {
		case <-deadline:
			s.t.Fatalf("behalf %v says\n%s%s", args, stdout, stderr)
		case <-tick:
		}
	}
}

func fieldsOf[T any](t *testing.T, line string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return v
}

// What was received is listed, kept in a file and sent again; a run is run once more; what is over cannot be canceled.
func TestEventsAndReplay(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	v := fieldsOf[invoked](t, s.must("invoke", "notify", "--user", "abc-123", "-d", `{"text":"first"}`, "--json"))
	id := string(behalf.RunID(v.Run).Event())
	listed := s.eventually(func(out string) bool { return strings.Contains(out, id) }, "events", "list", "--workflow", "notify", "--json")
	if e := fieldsOf[savedEvent](t, listed); e.ID != behalf.EventID(id) || e.Test || e.State != "ok" || e.User != "abc-123" || e.Trigger != nil {
		t.Errorf("%s", listed)
	}
	if out := s.must("runs", "list", "--workflow", "notify", "--state", "ok"); !strings.Contains(out, v.Run) {
		t.Errorf("runs list by the folder's name: %s", out)
	}
	if _, stderr, code := s.run("", "runs", "list", "--workflow", "nobody"); code != 1 || !strings.Contains(stderr, "no workflow is called nobody here") {
		t.Errorf("runs list of no workflow: %d %s", code, stderr)
	}
	if out := s.must("events", "show", id); !strings.Contains(out, `"text": "first"`) {
		t.Errorf("shown as %s", out)
	}
	file := filepath.Join(dir, "first.json")
	if out := s.must("events", "save", id, "-o", file); out != file+"\n" {
		t.Errorf("save says %q", out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, event := range []string{file, id} {
		if out := s.must("invoke", "notify", "--event", event); !strings.Contains(out, `"delivered_to":"abc-123"`) {
			t.Errorf("%s: %s", event, out)
		}
	}
	again := strings.TrimSpace(s.must("runs", "replay", v.Run))
	s.eventually(func(out string) bool {
		return strings.Contains(out, "  ok  ") && strings.Contains(out, "replay of "+v.Run)
	}, "runs", "show", again)
	if _, stderr, code := s.run("", "runs", "cancel", again); code != 1 || !strings.Contains(stderr, "the run is finished already: ok") {
		t.Errorf("%d %s", code, stderr)
	}
	if _, stderr, code := s.run("", "runs", "replay", v.Run, "--from", "nowhere"); code != 2 || !strings.Contains(stderr, "has no step nowhere") {
		t.Errorf("%d %s", code, stderr)
	}
	if out := s.must("deadletters", "list") + s.must("deadletters", "list", "--count"); out != "" {
		t.Errorf("there are letters: %s", out)
	}
	for _, args := range [][]string{{"runs", "replay"}, {"runs", "cancel"}} {
		if _, stderr, code := s.run("", append(args, string(behalf.NewRunID()))...); code != 1 || !strings.Contains(stderr, "no such run") {
			t.Errorf("%v: %d %s", args, code, stderr)
		}
	}
	letter := string(behalf.NewLetterID(1, time.Unix(1, 0)))
	if _, stderr, code := s.run("", "deadletters", "replay", letter); code != 1 || !strings.Contains(stderr, "no such dead letter") {
		t.Errorf("%d %s", code, stderr)
	}
	if out := s.must("deadletters", "discard", letter); !strings.Contains(out, "is not there") {
		t.Errorf("%s", out)
	}
}

// A test event runs nothing, and can be sent later.
func TestTestEvents(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	url := strings.TrimSpace(s.must("endpoints", "url", "notify"))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/a/b?q=1&x-pd-notrigger=1", strings.NewReader(`{"text":"for later"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(s.must("token")))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Pd-External-User-Id", "xyz-9")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	id := fieldsOf[struct {
		Event string `json:"event_id"`
	}](t, string(body)).Event
	if e := fieldsOf[savedEvent](t, s.must("events", "list", "--kind", "test", "--json")); string(e.ID) != id || !e.Test || e.Run != "" || e.Method != http.MethodPut || e.Path != "/a/b" {
		t.Errorf("%+v", e)
	}
	if out := s.must("runs", "list"); out != "" {
		t.Errorf("it ran: %s", out)
	}
	if out := s.must("invoke", "notify", "--event", id); !strings.Contains(out, `"delivered_to":"xyz-9"`) {
		t.Errorf("%s", out)
	}
	sent := s.eventually(func(out string) bool { return out != "" }, "events", "list", "--kind", "run", "--json")
	e := fieldsOf[savedEvent](t, s.must("events", "save", string(fieldsOf[savedEvent](t, sent).ID), "-o", "-"))
	var was trigger
	if err := json.Unmarshal(e.Trigger, &was); err != nil || was.Method != http.MethodPut || was.Path != "/a/b" || len(was.Query) != 1 || string(was.Query["q"]) != `"1"` || !strings.Contains(string(was.Body), "for later") {
		t.Errorf("%+v, %v", was, err)
	}
}

// printed collects what a command prints while it runs.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestRunsTail(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	ctx, stop := context.WithCancel(t.Context())
	out, ended := &printed{}, make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"runs", "tail", "--workflow", "hello", "--state", "ok", "--json"}, world{
			lookupEnv: func(name string) (string, bool) { return dir, name == "BEHALF_DATA_DIR" }, stdin: strings.NewReader(""), stdout: out, stderr: out,
		})
	}()
	s.eventually(func(string) bool { return strings.Contains(out.String(), `"state":"ok"`) }, "invoke", "hello", "-d", `{"name":"Ada"}`)
	s.must("invoke", "notify", "--user", "abc-123", "-d", `{"text":"of another workflow"}`)
	last := fieldsOf[invoked](t, s.must("invoke", "hello", "-d", `{"name":"Eve"}`, "--json"))
	bustest.Eventually(t, "the last run is printed", func() bool { return strings.Contains(out.String(), last.Run) })
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("tail ended with %d: %s", code, out)
	}
	hello := s.workflow("hello")
	for line := range strings.Lines(out.String()) {
		if r := fieldsOf[listedRun](t, line); r.State != "ok" || r.Workflow != hello.WorkflowID {
			t.Errorf("%s", line)
		}
	}
}

// workflow is the one of this folder, as the server lists it.
func (s terminal) workflow(folder string) endpointView {
	s.t.Helper()
	for line := range strings.Lines(s.must("endpoints", "list", "--json")) {
		if v := fieldsOf[endpointView](s.t, line); v.Folder == folder {
			return v
		}
	}
	s.t.Fatalf("there is no workflow %s", folder)
	return endpointView{}
}
