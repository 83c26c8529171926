package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// flow writes a workflow that answers with a text, and uses an own account where it is given one.
func flow(t *testing.T, dir, text, account string) {
	t.Helper()
	yaml := "name: Say it\ntriggers:\n  - {type: http, auth: oauth, respond: custom}\nsteps:\n  - name: say\n    run: say.mjs\n"
	if account != "" {
		yaml += "    accounts: {practice: " + account + "}\n"
	}
	writeFolder(t, dir, map[string]string{
		"workflow.yaml": yaml,
		"say.mjs":       "export default defineComponent({ async run({ $ }) { await $.respond({ status: 200, body: \"" + text + "\" }); } });\n",
	})
}

// From development to production: the version that was tried is the version that serves.
func TestPromote(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	say := filepath.Join(dir, "say")
	says := func(env, want string) {
		t.Helper()
		if got := s.must("invoke", "say", "--env", env); got != want+"\n" {
			t.Errorf("%s says %q, not %q", env, got, want)
		}
	}
	of := func(text string) (v deployedView) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	flow(t, say, "one", "")
	one := of(s.must("deploy", say, "--env", "development", "--json"))
	flow(t, say, "a file that nobody deployed", "")
	promoted := of(s.must("promote", "say", "--json"))
	if promoted.Version != one.Version || promoted.EndpointID != one.EndpointID || promoted.Environment != "production" {
		t.Errorf("%+v was promoted to %+v", one, promoted)
	}
	says("production", "one")

	flow(t, say, "two", "own/main")
	_, stderr, code := s.run("", "deploy", say, "--env", "development")
	if code != 2 || !strings.Contains(stderr, "step say needs account own/main of practice; not found in development\nhint: behalf accounts create --app APP --name NAME --env development") {
		t.Errorf("a deploy without its account: %d %s", code, stderr)
	}
	own := func(env string) {
		t.Helper()
		if _, stderr, code := s.run(`{"oauth_access_token":"x"}`, "accounts", "create", "--app", "practice", "--name", "main", "--env", env, "--credential", "-"); code != 0 {
			t.Fatal(stderr)
		}
	}
	own("development")
	s.must("deploy", say, "--env", "development")
	_, stderr, code = s.run("", "promote", "say")
	if code != 2 || !strings.Contains(stderr, "step say needs account own/main of practice; not found in production\nhint: behalf accounts create") {
		t.Errorf("without its account: %d %s", code, stderr)
	}
	says("production", "one")
	own("production")
	if said := s.must("promote", "say"); !strings.Contains(said, "Say it in production") {
		t.Errorf("promote says %s", said)
	}
	says("production", "two")
	s.must("promote", "say", "--version", string(one.Version))
	says("production", "one")

	// Back again, in production alone: to what served before, then to what is named.
	if said := s.must("rollback", "say", "--env", "production"); !strings.Contains(said, "Say it in production") {
		t.Errorf("rollback says %s", said)
	}
	says("production", "two")
	if v := of(s.must("rollback", "say", "--env", "production", "--version", string(one.Version), "--json")); v.Version != one.Version {
		t.Errorf("rolled back to %+v", v)
	}
	says("production", "one")
	_, stderr, code = s.run("", "rollback", "say", "--env", "production", "--version", "d_abc")
	if code != 1 || !strings.Contains(stderr, "d_abc is none of the last versions") || !strings.Contains(stderr, "hint: `behalf endpoints list --env production --json`") {
		t.Errorf("to nowhere: %d %s", code, stderr)
	}
	if _, stderr, code := s.run("", "promote", "nowhere"); code != 1 || !strings.Contains(stderr, "no workflow is called nowhere here") {
		t.Errorf("nothing to promote: %d %s", code, stderr)
	}
}
