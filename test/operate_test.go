//go:build integration

package test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// shown is what the API tells of a run, and `runs show --json` prints.
type shown struct {
	State    behalf.RunState   `json:"state"`
	Attempts int               `json:"attempts"`
	ReplayOf behalf.RunID      `json:"replay_of"`
	Version  behalf.VersionID  `json:"version"`
	Event    json.RawMessage   `json:"event"`
	Steps    []json.RawMessage `json:"steps"`
	Result   *behalf.Result    `json:"result"`
}

// shows asks the API, as `runs show` does. The command line would fetch a token each time, and those are rationed.
func (w *world) shows(run string) (s shown, known bool) {
	w.t.Helper()
	req := must(w.request(w.apiURL+"/v1/runs/"+run, ""))(w.t)
	req.Method, req.Body, req.ContentLength = http.MethodGet, http.NoBody, 0
	a := w.do(req)
	if a.status != http.StatusOK {
		return s, false
	}
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		w.t.Fatal(err)
	}
	return s, true
}

// becomes waits until a run is in a state.
func (w *world) becomes(run string, state behalf.RunState) shown {
	w.t.Helper()
	var s shown
	eventually(w.t, 2*asLongAsItTakes, "run "+run+" is never "+string(state), func() bool {
		var known bool
		s, known = w.shows(run)
		return known && s.State == state
	})
	return s
}

// accepted sends a request to a workflow that answers at once.
func (w *world) accepted(url, name string, change ...func(*http.Request)) string {
	w.t.Helper()
	a := w.post(url, event(name), change...)
	if a.status != http.StatusOK || a.run() == "" {
		w.t.Fatal(a)
	}
	return a.run()
}

func (w *world) calls(name string) int {
	calls, _ := w.vendor.of(name)
	return len(calls)
}

// replay runs `runs replay` and gives the new run.
func (w *world) replay(run string, args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(w.mustRun("", append([]string{"runs", "replay", run, "--env", "development"}, args...)...))
}

func TestReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()

	t.Run("of a run whose user has connected an account since", func(t *testing.T) {
		w := w.in(t)
		files := oneStep("immediate", 0)
		files["workflow.yaml"] = flow("oauth", "immediate", "settings: { retries: 0 }\n", "only , accounts: { practice: end_user }")
		files["only.mjs"] = strings.Replace(files["only.mjs"], "defineComponent({", `defineComponent({ props: { practice: { type: "app", app: "practice" } },`, 1)
		d := w.deploy("later", files)
		failed := w.accepted(d.PathURL, "connected", as("late-1"))
		if s := w.becomes(failed, behalf.StateFailed); s.Result.Failure.Code != behalf.CodeUserNotFound {
			t.Errorf("%+v", s.Result.Failure)
		}
		w.account(development, "late-1", "token-of-late")
		again := w.replay(failed)
		if s := w.becomes(again, behalf.StateOK); string(s.ReplayOf) != failed {
			t.Errorf("%+v", s)
		}
		if n := w.calls("connected"); n != 1 {
			t.Errorf("the vendor was called %d times", n)
		}
	})
	t.Run("from a step, of another version", func(t *testing.T) {
		w := w.in(t)
		files := map[string]string{
			"workflow.yaml": flow("oauth", "immediate", "settings: { retries: 0 }\n", "first", "second"),
			"first.mjs":     calling(0, "return event;"), "second.mjs": `export default defineComponent({ run() { throw new Error("not yet"); } });`,
		}
		old := w.deploy("steps", files)
		failed := w.accepted(old.PathURL, "from")
		w.becomes(failed, behalf.StateFailed)
		files["second.mjs"] = calling(0, "return event;")
		mended := w.deploy("steps", files)
		again := w.replay(failed, "--from", "second")
		if s := w.becomes(again, behalf.StateOK); s.Version != mended.Version || len(s.Steps) != 2 {
			t.Errorf("%+v", s)
		}
		if n := w.calls("from"); n != 2 { // the first step of the first run, and the second of the replay
			t.Errorf("the vendor was called %d times", n)
		}
		as := w.replay(failed, "--version", string(old.Version))
		if s := w.becomes(as, behalf.StateFailed); s.Version != old.Version {
			t.Errorf("%+v", s)
		}
		if n := w.calls("from"); n != 3 {
			t.Errorf("the vendor was called %d times", n)
		}
		_, stderr, code := w.run("", "runs", "replay", failed, "--env", "production")
		if code != 1 || !strings.Contains(stderr, "no such run") {
			t.Errorf("production knows it: %d %s", code, stderr)
		}
	})
}

func TestCancels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cancel := func(run string) {
		t.Helper()
		for range 2 { // a second time it is no error
			w.mustRun("", "runs", "cancel", run, "--env", "development")
		}
		if s, known := w.shows(run); !known || s.State != behalf.StateCanceled || len(s.Event) == 0 {
			t.Errorf("%+v", s)
		}
	}
	quick, custom := w.deploy("quick", oneStep("immediate", 0)), w.deploy("custom", oneStep("custom", 120_000))
	failing := w.deploy("failing", map[string]string{
		"workflow.yaml": flow("oauth", "immediate", "", "only"),
		"only.mjs":      calling(0, `throw new Error("again");`),
	})

	queued := w.accepted(quick.PathURL, "queued") // no worker runs
	cancel(queued)
	if n := w.waiting(development); n != 0 {
		t.Errorf("%d events wait", n)
	}

	w.worker()
	waiting := w.accepted(failing.PathURL, "waiting")
	w.becomes(waiting, behalf.StateWaiting)
	calls := w.calls("waiting")
	cancel(waiting)

	answers := w.postAsync(custom.PathURL, event("running"))
	eventually(t, asLongAsItTakes, "the step does not begin", func() bool { return w.calls("running") == 1 })
	running := ""
	_, runs := w.vendor.of("running")
	for run := range runs {
		running = run
	}
	cancel(running)
	if a := soon(t, answers); a.status != http.StatusBadRequest || a.code() != string(behalf.CodeNoResponse) || a.run() != running {
		t.Errorf("who waits is told %v", a)
	}

	w.idle()
	if w.calls("queued") != 0 || w.calls("waiting") != calls || w.calls("running") != 1 {
		t.Errorf("called: queued %d, waiting %d after %d, running %d", w.calls("queued"), w.calls("waiting"), calls, w.calls("running"))
	}
	done := w.accepted(quick.PathURL, "done")
	w.becomes(done, behalf.StateOK)
	if _, stderr, code := w.run("", "runs", "cancel", done, "--env", "development"); code != 1 || !strings.Contains(stderr, "finished already: ok") {
		t.Errorf("%d %s", code, stderr)
	}
}

// A worker is killed when it has ended the step of a canceled run and not written so yet.
func TestCancelOutlivesItsWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.deploy("long", oneStep("custom", 120_000))
	doomed := w.stopping("before_record")
	answers := w.postAsync(d.PathURL, event("doomed"))
	eventually(t, asLongAsItTakes, "the step does not begin", func() bool { return w.calls("doomed") == 1 })
	_, runs := w.vendor.of("doomed")
	for run := range runs {
		over := make(chan string, 1)
		go func() {
			_, stderr, _ := w.run("", "runs", "cancel", run, "--env", "development")
			over <- stderr
		}()
		doomed.reached()
		doomed.kill()
		w.worker()
		if stderr := <-over; stderr != "" {
			t.Error(stderr)
		}
		if a := soon(t, answers); a.status != http.StatusBadRequest || a.code() != string(behalf.CodeNoResponse) {
			t.Errorf("who waits is told %v", a)
		}
		w.idle()
		if s, _ := w.shows(run); s.State != behalf.StateCanceled || w.calls("doomed") != 1 {
			t.Errorf("%+v; the vendor was called %d times", s, w.calls("doomed"))
		}
		if f := w.journal()[run]; f.finishes != 1 {
			t.Errorf("%+v", f)
		}
	}
}

func TestDeadLetterIsReplayedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := oneStep("immediate", 0)
	d := w.deploy("gone", files)
	definitions := must(w.js.KeyValue(t.Context(), subject.Definitions(development)))(t)
	if err := definitions.Purge(t.Context(), subject.VersionKey(w.file.ProjectID, d.Version)); err != nil {
		t.Fatal(err)
	}
	w.worker()
	was := w.accepted(d.PathURL, "letter")
	var letter struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
		Run    string `json:"run"`
	}
	eventually(t, asLongAsItTakes, "there is no letter", func() bool { return w.dead() == 1 })
	if err := json.Unmarshal([]byte(w.mustRun("", "deadletters", "list", "--env", "development", "--json")), &letter); err != nil {
		t.Fatal(err)
	}
	if letter.Run != was || letter.Reason != "version_unavailable" {
		t.Errorf("%+v", letter)
	}
	if out := w.mustRun("", "deadletters", "list", "--count", "--env", "development"); !strings.Contains(out, "1  version_unavailable") {
		t.Errorf("counts: %s", out)
	}
	if out := w.mustRun("", "deadletters", "show", letter.ID, "--env", "development"); !strings.Contains(out, `"event":"letter"`) {
		t.Errorf("the letter is shown as %s", out)
	}
	w.deploy("gone", files) // the same content is the same version

	runs := make(chan string, 2)
	for range 2 { // two operators at once
		go func() {
			stdout, stderr, _ := w.run("", "deadletters", "replay", letter.ID, "--env", "development")
			runs <- strings.TrimSpace(stdout + stderr)
		}()
	}
	one, other := <-runs, <-runs
	if one != other || one == was {
		t.Errorf("%q and %q", one, other)
	}
	if s := w.becomes(one, behalf.StateOK); string(s.ReplayOf) != was {
		t.Errorf("%+v", s)
	}
	w.idle()
	if w.calls("letter") != 1 || w.dead() != 0 {
		t.Errorf("the vendor was called %d times; %d letters are left", w.calls("letter"), w.dead())
	}
	if out := w.mustRun("", "deadletters", "replay", letter.ID, "--env", "development"); strings.TrimSpace(out) != one {
		t.Errorf("a third time it is %q", out)
	}
	if out := w.mustRun("", "deadletters", "discard", letter.ID, "--env", "development"); !strings.Contains(out, "is not there") {
		t.Errorf("discard says %q", out)
	}
}

func TestTailPrintsRunsAsTheyFinish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	d, other := w.deploy("tailed", oneStep("immediate", 0)), w.deploy("other", oneStep("immediate", 0))
	tail := w.start("tail", nil, "runs", "tail", "--workflow", "tailed", "--status", "ok", "--env", "development", "--json")
	// Runs are sent until the tail, which tells of those that finish after it has begun, tells of one.
	eventually(t, 2*asLongAsItTakes, "the tail prints nothing", func() bool {
		w.accepted(other.PathURL, "other")
		w.accepted(d.PathURL, "tailed")
		return strings.Contains(tail.output(), `"state":"ok"`)
	})
	for line := range strings.Lines(tail.output()) {
		var run struct {
			Workflow behalf.WorkflowID `json:"workflow"`
			State    behalf.RunState   `json:"state"`
		}
		if err := json.Unmarshal([]byte(line), &run); err != nil || run.Workflow != d.WorkflowID || run.State != behalf.StateOK {
			t.Errorf("%q, %v", line, err)
		}
	}
}
