package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"behalf": func() { os.Exit(Main()) }})
}

// The scripts are the manual of the command line: what each command prints, where, and with which exit code.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// lines collects what a command prints, and tells of each line as it comes.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	feed *io.PipeWriter
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.text.Write(b)
	l.mu.Unlock()
	return l.feed.Write(b)
}

// startDev runs `behalf dev` in this process on free ports, waits until it has said all that it has to say, and
// returns what it wrote to dev.json. It is stopped, and must end well, before the test does.
func startDev(t *testing.T, dir string, args ...string) devFile {
	t.Helper()
	reader, writer := io.Pipe()
	out := &lines{feed: writer}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	environment := map[string]string{
		"BEHALF_DATA_DIR": dir, "BEHALF_ADDR": "127.0.0.1:0", "BEHALF_METRICS_ADDR": "127.0.0.1:0",
		"BEHALF_PRACTICE_ADDR": "127.0.0.1:0", "BEHALF_NATS_ADDR": "none", "BEHALF_NODE": os.Getenv("BEHALF_NODE"),
		"BEHALF_LOG_LEVEL": "error",
	}
	w := world{
		lookupEnv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		stdin:     strings.NewReader(""), stdout: out, stderr: out,
	}
	go func() {
		ended <- run(ctx, append([]string{"dev"}, args...), w)
		_ = writer.Close()
	}()
	serving := make(chan bool, 1)
	go func() {
		scanner := bufio.NewScanner(reader)
		for scanner.Scan() {
			if strings.HasPrefix(scanner.Text(), "Ctrl-C") {
				serving <- true
			}
		}
		serving <- false
	}()
	if !<-serving {
		t.Fatalf("dev ended with %d:\n%s", <-ended, out.text.String())
	}
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("dev ended with %d:\n%s", code, out.text.String())
		}
	})
	file, err := readDevFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// The main job, as the README tells it: two requests as two users, and two messages, each under its own user.
func TestDevRunsAWorkflowOnBehalfOfEachUser(t *testing.T) {
	dir := t.TempDir()
	file := startDev(t, dir)
	said := terminal{t, dir}.said
	url, token := said("endpoints", "url", "notify"), said("token")
	for _, user := range practiceUsers {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"text":"Hello from `+string(user)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{
			"Authorization": {"Bearer " + token}, "X-Pd-Environment": {"development"},
			"X-Pd-External-User-Id": {string(user)}, "Content-Type": {"application/json"},
		}
		status, body := exchange(t, request)
		if status != http.StatusOK || !strings.Contains(body, `"delivered_to":"`+string(user)+`"`) {
			t.Errorf("as %s: %d %s", user, status, body)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, file.APIURL+"/practice", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, page := exchange(t, request); !strings.Contains(page, "Hello from abc-123") || !strings.Contains(page, "Hello from xyz-9") {
		t.Errorf("the practice page is\n%s", page)
	}
	bustest.Eventually(t, "the history has both runs", func() bool { return strings.Count(said("runs", "list", "--json"), `"state":"ok"`) == 2 })
}

// A second start with the same data folder keeps everything.
func TestDevKeepsItsDataOverARestart(t *testing.T) {
	dir := t.TempDir()
	var first devFile
	t.Run("first", func(t *testing.T) { first = startDev(t, dir) })
	t.Run("second", func(t *testing.T) {
		second := startDev(t, dir)
		if second.ProjectID != first.ProjectID || second.ClientID != first.ClientID || second.ClientSecret != first.ClientSecret {
			t.Errorf("first %v, then %v", first.ProjectID, second.ProjectID)
		}
	})
	info, err := os.Stat(devFilePath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("dev.json has mode %v, %v", info.Mode(), err)
	}
}

func exchange(t *testing.T, request *http.Request) (int, string) {
	t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestDevFileIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := devFile{APIURL: "http://127.0.0.1:8080", ProjectID: "proj_a", ClientID: "oac_b", ClientSecret: "shh"}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := readDevFile(dir)
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("%s became %s, %v", b, a, err)
	}
}
