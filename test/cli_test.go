//go:build integration

package test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The command line against roles that run apart.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("--slots", "2")
	ok := w.deploy("ok", map[string]string{"workflow.yaml": flow("oauth", "custom", "", "first", "second"), "first.mjs": calling(0, `console.log("a line"); return { n: 1 };`), "second.mjs": calling(0, respond)})
	bad := w.deploy("bad", map[string]string{"workflow.yaml": flow("oauth", "custom", "", "only"), "only.mjs": calling(0, `throw new TypeError("out of paper");`)})
	good, failed := w.post(ok.PathURL, event("good"), as("abc-123")), w.post(bad.PathURL, event("failed"))
	if good.status != http.StatusOK || failed.code() != string(behalf.CodeStepFailed) {
		t.Fatal(good, failed)
	}
	const dev = "--env=development"
	t.Run("runs", func(t *testing.T) { commandRuns(t, w.in(t), ok, good.run(), failed.run(), dev) })
	t.Run("accounts and users", func(t *testing.T) { commandAccounts(t, w.in(t), dev) })
	t.Run("mistakes", func(t *testing.T) { commandMistakes(t, w.in(t), dev) })
}

func commandRuns(t *testing.T, w *world, ok deployed, good, failed, dev string) {
	t.Helper()
	type listed struct {
		ID    string `json:"id"`
		State string `json:"state"`
		User  string `json:"user"`
	}
	list := func(args ...string) (all []listed) {
		for line := range strings.Lines(w.mustRun("", append([]string{"runs", "list", dev, "--json"}, args...)...)) {
			var l listed
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			all = append(all, l)
		}
		return all
	}
	if all := list(); len(all) != 2 || all[0].ID != failed || all[1].ID != good || all[0].State != "failed" || all[1].User != "abc-123" {
		t.Errorf("runs list: %v", all)
	}
	for name, args := range map[string][]string{
		"by state": {"--state", "ok"}, "by user": {"--user", "abc-123"}, "by workflow": {"--workflow", string(ok.WorkflowID)},
	} {
		if all := list(args...); len(all) != 1 || all[0].ID != good {
			t.Errorf("runs list %s: %v", name, all)
		}
	}
	if all := list("--limit", "1"); len(all) != 1 || all[0].ID != failed {
		t.Errorf("runs list --limit 1: %v", all)
	}
	var run behalf.Run
	if err := json.Unmarshal([]byte(w.mustRun("", "runs", "show", good, dev, "--json")), &run); err != nil {
		t.Fatal(err)
	}
	if run.State != behalf.StateOK || len(run.Steps) != 2 || len(run.Steps[0].Logs) != 1 || !strings.Contains(string(run.Steps[0].Exports), `"n":1`) || run.Attempts != 1 {
		t.Errorf("runs show: %+v", run)
	}
	if text := w.mustRun("", "runs", "show", failed, dev); !strings.Contains(text, "TypeError: out of paper") || !strings.Contains(text, "step_failed") || !strings.Contains(text, "only.mjs") {
		t.Errorf("runs show of a failed run:\n%s", text)
	}
	if text := w.mustRun("", "runs", "list", dev); !strings.Contains(text, good) || !strings.Contains(text, "out of paper") {
		t.Errorf("runs list:\n%s", text)
	}
}

func commandAccounts(t *testing.T, w *world, dev string) {
	t.Helper()
	const token = "token-from-standard-input"
	var made behalf.Account
	out := w.mustRun(`{"oauth_access_token":"`+token+`"}`, "accounts", "create", "--app", "practice", "--user", "Zoë/1", dev, "--credential", "-")
	if err := json.Unmarshal([]byte(out), &made); err != nil || !strings.HasPrefix(string(made.ID), "apn_") {
		t.Fatalf("accounts create: %s, %v", out, err)
	}
	own := w.mustRun(`{"oauth_access_token":"`+token+`"}`, "accounts", "create", "--app", "practice", "--name", "main", dev, "--credential", "-")
	shown := w.mustRun("", "accounts", "show", string(made.ID), dev, "--json")
	users := w.mustRun("", "users", "list", dev, "--json")
	user := w.mustRun("", "users", "show", "Zoë/1", dev, "--json")
	all := w.mustRun("", "accounts", "list", "--user", "Zoë/1", dev, "--json")
	for name, text := range map[string]string{"create": out, "show": shown, "list": all, "own": own} {
		if !strings.Contains(text, `"id":"apn_`) || strings.Contains(text, token) {
			t.Errorf("accounts %s: %s", name, text)
		}
	}
	if !strings.Contains(user, "exu_") || !strings.Contains(users, "exu_") || !strings.Contains(user, "Zoë/1") {
		t.Errorf("users: %s%s", users, user)
	}
	if text := w.mustRun("", "accounts", "list", dev); !strings.Contains(text, "own/main") || strings.Contains(text, "Zoë") {
		t.Errorf("the project's own accounts: %s", text)
	}
	w.mustRun("", "accounts", "delete", string(made.ID), dev)
	if text := w.mustRun("", "accounts", "list", "--user", "Zoë/1", dev, "--json"); text != "" {
		t.Errorf("a deleted account is listed: %s", text)
	}
	if text := w.mustRun("", "users", "show", "Zoë/1", dev); !strings.Contains(text, "exu_") {
		t.Errorf("a user does not outlive the last account: %s", text)
	}
}

func commandMistakes(t *testing.T, w *world, dev string) {
	t.Helper()
	write(t, filepath.Join(w.dir, "broken/workflow.yaml"), "name: x\ntriggers:\n  - { type: http, auth: oauth }\nsteps:\n  - { name: a, run: gone.mjs, colour: red }\n")
	for name, c := range map[string]struct {
		stdin string
		args  []string
		code  int
		says  string
	}{
		"a credential by argument":  {"", []string{"accounts", "create", "--app", "practice", "--user", "u", dev, "--credential", `{"oauth_access_token":"x"}`}, 2, "never comes by argument"},
		"a credential of no shape":  {"not json", []string{"accounts", "create", "--app", "practice", "--user", "u", dev, "--credential", "-"}, 2, "not JSON"},
		"an app that nobody knows":  {`{"oauth_access_token":"x"}`, []string{"accounts", "create", "--app", "nowhere", "--user", "u", dev, "--credential", "-"}, -1, "nowhere"},
		"an account that is not":    {"", []string{"accounts", "show", "apn_00000000000000000000", dev}, 1, ""},
		"a run that is not":         {"", []string{"runs", "show", "run_01a20e9a4ec87c4384ee8721323b8fb6", dev}, 1, "no such run"},
		"a state that is not":       {"", []string{"runs", "list", "--state", "sleeping", dev}, 2, "state must be"},
		"a user that is not":        {"", []string{"users", "show", "nobody", dev}, 1, ""},
		"a workflow that is not":    {"", []string{"endpoints", "url", "nowhere", dev}, 1, "nowhere"},
		"an environment that isn't": {"", []string{"runs", "list", "--env", "staging"}, 2, "development or production"},
		"an unknown flag":           {"", []string{"runs", "list", "--colour"}, 2, "--help"},
		"an unknown command":        {"", []string{"rums"}, 2, "rums"},
		"a broken workflow":         {"", []string{"deploy", "broken", dev}, 2, "broken/workflow.yaml:5"},
		"no workflow":               {"", []string{"deploy", w.folder("empty"), dev}, 2, "workflow.yaml"},
		"deploy to nowhere":         {"", []string{"deploy", "broken"}, 2, "--env"},
		"a worker for nowhere":      {"", []string{"worker"}, 2, "--env"},
		"a worker without vault":    {"", []string{"worker", dev, "--credentials", "sealed"}, 2, "--allow-sealed"},
	} {
		stdout, stderr, code := w.run(c.stdin, c.args...)
		if c.code >= 0 && code != c.code || code == 0 || !strings.HasPrefix(stderr, "behalf: ") || !strings.Contains(stderr, c.says) || stdout != "" {
			t.Errorf("%s: exit %d\n%s%s", name, code, stdout, stderr)
		}
	}
	env := append([]string{"BEHALF_API_URL=http://" + freeAddr(t), "BEHALF_CLIENT_ID=x", "BEHALF_CLIENT_SECRET=y"}, "BEHALF_DATA_DIR="+w.dir)
	if _, stderr, code := command(t, w.dir, "", env, program(t, behalfProgram), "runs", "list"); code != 1 || !strings.Contains(stderr, "no Behalf answers") || !strings.Contains(stderr, "hint: ") {
		t.Errorf("where nothing answers: exit %d\n%s", code, stderr)
	}
	// A worker that was not told that steps share its network refuses them.
	d := w.deployTo(production, "refused", oneStep("custom", 0))
	side := freeAddr(t)
	p := w.start("careful", []string{"BEHALF_METRICS_ADDR=" + side}, "worker", "--env", "production", "--allow-sealed", "--ack-wait", ackWait.String())
	p.serves(t, "http://"+side+"/readyz")
	if a := w.post(d.PathURL, event("refused"), in(production)); a.code() != string(behalf.CodeStepFailed) || !strings.Contains(a.body, "--unsafe-no-sandbox") {
		t.Errorf("a careful worker: %v", a)
	}
	p.kill()
}
