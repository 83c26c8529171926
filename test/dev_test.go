//go:build integration

package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// home is a folder in which somebody uses `behalf dev`.
type home struct {
	*world // for its HTTP and its command line

	addr, metrics, nats, practice string
	dev                           *process
}

// newHome is a fresh folder, with the binary where `make dev` puts it.
func newHome(t *testing.T) *home {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), http: &http.Client{Timeout: 70 * time.Second}}
	t.Cleanup(w.http.CloseIdleConnections)
	w.env = []string{"BEHALF_NODE=" + node(t)}
	h := &home{world: w, addr: freeAddr(t), metrics: freeAddr(t), nats: freeAddr(t), practice: freeAddr(t)}
	if err := os.Symlink(program(t, behalfProgram), filepath.Join(w.folder("bin"), "behalf")); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) args(more ...string) []string {
	return append([]string{"dev", "--addr", h.addr, "--metrics-addr", h.metrics, "--nats-addr", h.nats, "--practice-addr", h.practice}, more...)
}

// serve starts dev and waits until it has said all it says at its start.
func (h *home) serve(more ...string) {
	h.t.Helper()
	began := 0
	if h.dev != nil {
		began = len(h.dev.output())
	}
	h.dev = start(h.t, h.dir, "dev", h.env, filepath.Join(h.dir, "bin", "behalf"), h.args(more...)...)
	h.dev.until(h.t, "say that it serves", func() bool { return strings.Contains(h.dev.output()[began:], "Ctrl-C stops it") })
	data := must(os.ReadFile(filepath.Join(h.dir, ".behalf", "dev.json")))(h.t)
	if err := json.Unmarshal(data, &h.file); err != nil {
		h.t.Fatal(err)
	}
	h.apiURL = h.file.APIURL
	h.token = h.newToken(h.file.ClientID, h.file.ClientSecret)
}

// curl runs a line as dev printed it, in a shell.
func (h *home) curl(line string) string {
	h.t.Helper()
	out, complaint, code := command(h.t, h.dir, "", append(h.env, "NO_PROXY=127.0.0.1"), "bash", "-c", strings.Replace(line, "curl ", "curl -sS ", 1))
	if code != 0 {
		h.t.Fatalf("%s: exit %d\n%s%s", line, code, out, complaint)
	}
	return out
}

// printedCurl is the line that dev printed for a workflow.
func (h *home) printedCurl(workflow string) string {
	h.t.Helper()
	scanner, found := bufio.NewScanner(strings.NewReader(h.dev.output())), false
	for scanner.Scan() {
		line := scanner.Text()
		if strings.HasPrefix(line, workflow+" (") {
			found = true
		}
		if _, curl, ok := strings.Cut(line, "curl "); ok && found {
			return "curl " + curl
		}
	}
	h.t.Fatalf("dev printed no curl line for %s:\n%s", workflow, h.dev.output())
	return ""
}

// inbox is what the practice app tells of its messages.
type inbox struct {
	Calls   int `json:"calls"`
	Effects int `json:"effects"`
	Users   []struct {
		User     string `json:"user"`
		Messages []struct {
			User string `json:"user"`
			Text string `json:"text"`
		} `json:"messages"`
	} `json:"users"`
}

func (h *home) inbox() (in inbox) {
	h.t.Helper()
	req := must(http.NewRequest(http.MethodGet, "http://"+h.practice+"/inbox.json", nil))(h.t)
	if err := json.Unmarshal([]byte(h.do(req).body), &in); err != nil {
		h.t.Fatal(err)
	}
	return in
}

// texts are the messages of one user.
func (in inbox) texts(user string) (texts []string) {
	for _, u := range in.Users {
		for _, m := range u.Messages {
			if u.User == user && m.User == user {
				texts = append(texts, m.Text)
			}
		}
	}
	return texts
}

// The first minutes with Behalf: start it, send the line that it prints as two users, look at the page, start it again.
func TestDevAsItsUsersSeeIt(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	began := time.Now()
	h.serve()
	ready := time.Since(began)
	line := h.printedCurl("notify")
	users := map[string]string{"abc-123": "Hello from the first", "xyz-9": "Hello from the second"}
	for user, text := range users {
		as := strings.ReplaceAll(strings.Replace(line, `"text":"Hello"`, `"text":"`+text+`"`, 1), "abc-123", user)
		if out := h.curl(as); !strings.Contains(out, `"delivered_to":"`+user+`"`) || !strings.Contains(out, `"ok":true`) {
			t.Errorf("%s\nanswered %s", as, out)
		}
	}
	t.Logf("dev served after %s, and two users had their answers after %s", ready.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	check := func(when string) {
		t.Helper()
		in := h.inbox()
		page := h.do(must(http.NewRequest(http.MethodGet, "http://"+h.addr+"/practice", nil))(t)).body
		for user, text := range users {
			if got := in.texts(user); len(got) != 1 || got[0] != text || !strings.Contains(page, text) {
				t.Errorf("%s: %s has %q", when, user, got)
			}
		}
		if in.Effects != 2 {
			t.Errorf("%s: %d messages", when, in.Effects)
		}
	}
	check("at first")
	if out := h.curl(h.printedCurl("hello")); !strings.Contains(out, "Hello, Ada!") {
		t.Errorf("hello answered %s", out)
	}
	for _, url := range []string{"http://" + h.addr + "/healthz", "http://" + h.addr + "/readyz", "http://" + h.metrics + "/metrics"} {
		if a := h.do(must(http.NewRequest(http.MethodGet, url, nil))(t)); a.status != http.StatusOK {
			t.Errorf("%s: %v", url, a)
		}
	}
	if mode := must(os.Stat(filepath.Join(h.dir, ".behalf", "dev.json")))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("dev.json has mode %o", mode)
	}

	runs, before := h.mustRun("", "runs", "list", "--json"), h.file
	if n := strings.Count(runs, "\n"); n != 3 {
		t.Errorf("%d runs:\n%s", n, runs)
	}
	if err := h.dev.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-h.dev.ended
	if code := h.dev.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("stopped by Ctrl-C it ends with %d", code)
	}
	h.serve()
	if h.file.ProjectID != before.ProjectID || h.file.ClientID != before.ClientID || h.file.ClientSecret != before.ClientSecret {
		t.Errorf("a second start has another project or client: %v, %v", before.ProjectID, h.file.ProjectID)
	}
	if again := h.mustRun("", "runs", "list", "--json"); again != runs {
		t.Errorf("a second start lists other runs:\n%s\n%s", runs, again)
	}
	check("after a second start")
	if again := h.printedCurl("notify"); again != line {
		t.Errorf("a second start has another endpoint:\n%s\n%s", line, again)
	}
}

// posting sends a message to the practice app, without anybody waiting.
const posting = `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ steps, $ }) {
  const { base_url, oauth_access_token } = this.practice.$auth;
  const res = await fetch(base_url + "/messages", { method: "POST", body: JSON.stringify({ text: steps.trigger.event.body.event }), headers: {
    authorization: "Bearer " + oauth_access_token, "content-type": "application/json", "idempotency-key": $.context.idempotency_key } });
  if (!res.ok) throw new Error("practice answered " + res.status + await res.text());
  $.respond({ body: { version: 1 } });
} });
`

// dev is killed in the middle of its work, and started again on the same folder.
func TestDevIsKilled(t *testing.T) {
	t.Parallel()
	const clients, most = 8, 150 // the practice page keeps 200 messages
	h := newHome(t)
	write(t, filepath.Join(h.dir, "flows/later/workflow.yaml"), flow("oauth", "immediate", "", "only , accounts: { practice: end_user }"))
	write(t, filepath.Join(h.dir, "flows/later/only.mjs"), posting)
	h.serve("flows")
	url := strings.TrimSpace(h.mustRun("", "endpoints", "url", "later"))
	var running sync.WaitGroup
	var mu sync.Mutex
	var sent atomic.Int64
	accepted := map[string]string{}
	for range clients {
		running.Go(func() {
			for {
				n := sent.Add(1)
				if n > most {
					return
				}
				name := fmt.Sprintf("event-%d", n)
				a := h.post(url, event(name), as("abc-123"))
				if a.err != nil { // it is dead
					return
				}
				if a.status == http.StatusOK {
					mu.Lock()
					accepted[name] = a.run()
					mu.Unlock()
				}
			}
		})
	}
	h.dev.until(t, "make some messages", func() bool { return h.inbox().Effects >= 10 })
	h.dev.kill()
	running.Wait()
	h.serve("flows")
	for name, run := range accepted {
		eventually(t, 60*time.Second, name+" ("+run+") is not finished", func() bool { return h.result(run).status == http.StatusOK })
	}
	in, texts := h.inbox(), map[string]int{}
	for _, text := range in.texts("abc-123") {
		texts[text]++
	}
	for name := range accepted {
		if texts[name] != 1 {
			t.Errorf("%s made %d messages", name, texts[name])
		}
	}
	t.Logf("kill -9 of dev under load: %d accepted, %d messages, %d calls: none lost, none twice", len(accepted), in.Effects, in.Calls)
}

// A changed file is deployed again; a broken one is told, and what ran goes on.
func TestDevDeploysWhatChanges(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	step := filepath.Join(h.dir, "flows/one/only.mjs")
	code := `export default defineComponent({ async run({ $ }) { $.respond({ body: "version 1" }); } });`
	write(t, filepath.Join(h.dir, "flows/one/workflow.yaml"), flow("oauth", "custom", "", "only"))
	write(t, step, code)
	h.serve("flows")
	url := strings.TrimSpace(h.mustRun("", "endpoints", "url", "one"))
	if a := h.post(url, `{}`); a.body != "version 1" {
		t.Errorf("answered %v", a)
	}
	write(t, step, strings.ReplaceAll(code, "version 1", "version 2"))
	began := time.Now()
	eventually(t, asLongAsItTakes, "the change is not deployed", func() bool { return h.post(url, `{}`).body == "version 2" })
	t.Logf("a changed file answers after %s", time.Since(began).Round(time.Millisecond))
	write(t, filepath.Join(h.dir, "flows/one/workflow.yaml"), flow("oauth", "custom", "", "other"))
	h.dev.until(t, "tell the mistake", func() bool { return strings.Contains(h.dev.output(), "one/workflow.yaml:5") })
	if a := h.post(url, `{}`); a.body != "version 2" {
		t.Errorf("after a mistake it answers %v", a)
	}
}

// What is in the way of dev is told in a line, with what to type.
func TestDevSaysWhatIsInItsWay(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.serve()
	second := func(args ...string) (string, int) {
		_, complaint, code := command(t, h.dir, "", h.env, program(t, behalfProgram), args...)
		return complaint, code
	}
	for name, args := range map[string][]string{
		"its own address":      {"dev", "--data-dir", h.folder("other"), "--addr", h.addr},
		"that of practice":     {"dev", "--data-dir", h.folder("other"), "--addr", freeAddr(t), "--practice-addr", h.practice},
		"that of NATS":         {"dev", "--data-dir", h.folder("other"), "--addr", freeAddr(t), "--practice-addr", freeAddr(t), "--nats-addr", h.nats},
		"that of the metrics":  {"dev", "--data-dir", h.folder("other"), "--addr", freeAddr(t), "--practice-addr", freeAddr(t), "--nats-addr", freeAddr(t), "--metrics-addr", h.metrics},
		"its data folder":      {"dev", "--addr", freeAddr(t), "--practice-addr", freeAddr(t), "--nats-addr", freeAddr(t), "--metrics-addr", freeAddr(t)},
		"a folder of no shape": {"dev", "no-such-folder", "--data-dir", h.folder("other"), "--addr", freeAddr(t), "--practice-addr", freeAddr(t), "--nats-addr", "none", "--metrics-addr", freeAddr(t)},
	} {
		complaint, code := second(args...)
		want := 1
		if name == "a folder of no shape" {
			want = 2
		}
		if code != want || !strings.Contains(complaint, "behalf: ") || strings.Contains(complaint, "goroutine ") {
			t.Errorf("%s is in use: exit %d\n%s", name, code, complaint)
		}
		t.Logf("%s: exit %d, %s", name, code, strings.TrimSpace(lastLines(complaint)))
	}
}

// lastLines are the lines that are no log.
func lastLines(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		if line != "" && !strings.HasPrefix(line, "{") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " | ")
}

// Without Node everything starts, and a run says what to type.
func TestDevWithoutNode(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.env = []string{"BEHALF_NODE=" + filepath.Join(h.dir, "no-node")}
	h.serve()
	out := h.curl(h.printedCurl("notify"))
	if !strings.Contains(out, "steps need Node 24 or newer") || !strings.Contains(out, "export BEHALF_NODE=") {
		t.Errorf("answered %s", out)
	}
	t.Log(out)
}
