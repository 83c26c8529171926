package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

const greeting = `export default defineComponent({
  async run({ steps, $ }) {
    const { external_user, external_user_id } = steps.trigger.context;
    await $.respond({ status: 200, body: { user: external_user_id, config: external_user.config } });
    return "story-of-" + external_user_id;
  },
});
`

// What is stored beside a user reaches steps; the user is forgotten with all that ran, and nothing runs for them any more.
func TestAUserIsConfiguredAndForgotten(t *testing.T) {
	dir := t.TempDir()
	writeFolder(t, filepath.Join(dir, "greet"), map[string]string{
		"workflow.yaml": "name: Greet\ntriggers:\n  - { type: http, auth: oauth, respond: custom }\nsteps:\n  - { name: say, run: say.mjs }\n",
		"say.mjs":       greeting,
	})
	startDev(t, dir)
	s := terminal{t, dir}
	s.must("deploy", filepath.Join(dir, "greet"), "--env", "development")
	s.must("users", "set", "jane-7", "channel=C0123", "language=de", "plan=a=b", "--env", "development")
	s.must("users", "unset", "jane-7", "language", "--env", "development")
	invoke := func(user string) string {
		stdout, stderr, _ := s.run("", "invoke", "greet", "--user", user, "--env", "development", "-d", "{}", "--json")
		return stdout + stderr
	}
	if answer := invoke("jane-7"); !strings.Contains(answer, `"config":{"channel":"C0123","plan":"a=b"}`) {
		t.Fatalf("the step answers %s", answer)
	}
	if answer := invoke("xyz-9"); !strings.Contains(answer, `"config":{}`) {
		t.Errorf("the step answers %s", answer)
	}
	history := func(user string) string {
		return s.must("runs", "list", "--user", user, "--env", "development", "--json")
	}
	bustest.Eventually(t, "both runs are in the history", func() bool { return history("jane-7") != "" && history("xyz-9") != "" })
	if _, stderr, code := s.run(`{"token":"canary-of-abc"}`, "accounts", "create", "--app", "practice", "--user", "jane-7", "--env", "development", "--credential", "-"); code != 0 {
		t.Fatal(stderr)
	}

	receipt, stderr, code := s.run("", "users", "forget", "jane-7", "--env", "development")
	var told struct {
		Accounts int `json:"accounts"`
		Erased   struct {
			Records int      `json:"records"`
			History int      `json:"history"`
			Kept    []string `json:"kept"`
		} `json:"erased"`
		Settled bool     `json:"settled"`
		Beyond  []string `json:"beyond"`
	}
	if err := json.Unmarshal([]byte(receipt), &told); err != nil || code != 0 {
		t.Fatalf("%d %s %s: %v", code, receipt, stderr, err)
	}
	if told.Accounts != 1 || told.Erased.Records < 1 || told.Erased.History < 1 || len(told.Erased.Kept) != 0 || told.Settled || len(told.Beyond) == 0 ||
		!strings.Contains(stderr, "hint: ") || strings.Contains(receipt, "jane-7") {
		t.Errorf("the receipt is %s, and says %s", receipt, stderr)
	}
	if history("jane-7") != "" || history("xyz-9") == "" {
		t.Errorf("the history has %q of who was forgotten, and %q of another", history("jane-7"), history("xyz-9"))
	}
	if _, _, code := s.run("", "users", "show", "jane-7", "--env", "development"); code != 1 {
		t.Error("the user is still there")
	}
	if answer := invoke("jane-7"); !strings.Contains(answer, "was forgotten") || strings.Contains(answer, "C0123") {
		t.Errorf("who was forgotten is answered %s", answer)
	}
	s.must("users", "forget", "jane-7", "--env", "development", "--json")
	s.must("users", "set", "jane-7", "channel=C9", "--env", "development")
	if answer := invoke("jane-7"); !strings.Contains(answer, `"config":{"channel":"C9"}`) {
		t.Errorf("who was made again is answered %s", answer)
	}
}

// An import says what became of each line in their order, never says a credential, and may be run again at will.
func TestAccountsAreImported(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	made, stderr, code := s.run("word", "oauth-apps", "create", "slack", "--client-id", "1.2", "--secret", "-", "--env", "development", "--json")
	var own struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(made), &own); err != nil || code != 0 {
		t.Fatalf("%d %s%s", code, made, stderr)
	}
	var file strings.Builder
	for i := range 30 {
		_, _ = fmt.Fprintf(&file, `{"app":"slack","user":"user-%d","credential":{"oauth_access_token":"canary-%d","expires_at":"2030-01-01T00:00:00Z","scopes":["chat:write"],"oauth_app_id":%q}}`+"\n", i, i, own.ID)
	}
	file.WriteString(`{"id":"apn_Old1","app":"slack","user":"user-1","name":"Second","credential":{"oauth_access_token":"canary-old"}}` + "\n\n")
	file.WriteString(`{"app":"slack","user":"user-1","credential":"canary-bad"}` + "\n" + `canary-worse` + "\n" + `{"id":"x","app":"slack"}` + "\n")
	_, _ = fmt.Fprintf(&file, `{"app":"github","user":"user-1","credential":{"oauth_access_token":"canary-other","oauth_app_id":%q}}`+"\n", own.ID)
	for _, want := range []string{"created", "kept"} {
		stdout, stderr, code := s.run(file.String(), "accounts", "import", "-", "--env", "development", "--json")
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		if code != 1 || len(lines) != 35 || strings.Contains(stdout+stderr, "canary") || !strings.Contains(stderr, "4 accounts were not imported") {
			t.Fatalf("%d %s\n%s", code, stdout, stderr)
		}
		for i, line := range lines {
			var o importOutcome
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatal(err)
			}
			outcome := want
			if i >= 31 {
				outcome = "failed"
			}
			number := i + 1
			if i > 30 {
				number++ // the empty line
			}
			if o.Outcome != outcome || o.Line != number || (o.Error == "") != (outcome != "failed") {
				t.Errorf("%s, want %s of line %d", line, outcome, number)
			}
		}
	}
	if list := s.must("accounts", "list", "--user", "user-1", "--env", "development", "--json"); strings.Count(list, "\n") != 2 || !strings.Contains(list, `"apn_Old1"`) {
		t.Errorf("the user has %s", list)
	}
	if users := s.must("users", "list", "--search", "USER-2", "--env", "development"); strings.Count(users, "\n") != 11 || !strings.Contains(users, "user-29") {
		t.Errorf("the search finds %s", users)
	}
	if _, stderr, code := s.run("", "accounts", "import", filepath.Join(dir, "nowhere"), "--env", "development"); code != 2 || !strings.Contains(stderr, "cannot be read") {
		t.Errorf("%d %s", code, stderr)
	}
	s.must("users", "delete", "user-1", "--env", "development")
	if _, _, code := s.run("", "accounts", "show", "apn_Old1", "--env", "development"); code != 1 {
		t.Error("an account outlived its user")
	}
}
