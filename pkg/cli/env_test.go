package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Variables are set, reach the steps that name them, change without a deploy, and are gone when they are unset.
func TestEnv(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	keys := filepath.Join(dir, "keys")
	writeFolder(t, keys, map[string]string{
		"workflow.yaml": "name: Keys\ntriggers:\n  - {type: http, auth: oauth, respond: custom}\nsteps:\n" +
			"  - name: code\n    run: code.mjs\n    env: [STRIPE_KEY]\n    props: { region: \"{{env.REGION}}\" }\n",
		"code.mjs": "export default defineComponent({ async run({ $ }) { const key = process.env.STRIPE_KEY; console.log(key);\n" +
			"  await $.respond({ status: 200, body: [Object.keys(process.env).join(), key.length, key.at(-1), this.region, key].join(\" \") }); } });\n",
	})
	_, stderr, code := s.run("", "deploy", keys, "--env", "development")
	if code != 2 || !strings.Contains(stderr, "step code needs the environment variable REGION; step code needs the environment variable STRIPE_KEY; not set in development") ||
		!strings.Contains(stderr, "not set in development\nhint: behalf env set NAME --env development") {
		t.Errorf("a deploy without its variables: %d %s", code, stderr)
	}
	set := func(value string) {
		t.Helper()
		if stdout, stderr, code := s.run(value+"\n", "env", "set", "STRIPE_KEY", "--env", "development"); code != 0 || stdout != "STRIPE_KEY is set in development\n" {
			t.Fatal(code, stdout, stderr)
		}
	}
	set("sk-canary-1")
	s.must("env", "set", "--plain", "REGION=eu-west-1", "--env", "development", "--json")
	list := s.must("env", "list", "--env", "development", "--json")
	if lines := strings.Split(strings.TrimSpace(list), "\n"); len(lines) != 2 || !strings.Contains(lines[0], `"name":"REGION","plain":true,"environment":"development"`) ||
		!strings.Contains(lines[1], `"name":"STRIPE_KEY","plain":false`) || strings.Contains(list, "canary") {
		t.Errorf("the list is %s", list)
	}
	if list := s.must("env", "list", "--env", "production", "--json"); list != "" {
		t.Errorf("production has %s", list)
	}
	s.must("deploy", keys, "--env", "development")
	says := func(want string) bool { return s.must("invoke", "keys", "--env", "development") == want+"\n" }
	if !says("STRIPE_KEY 11 1 eu-west-1 ***") {
		t.Errorf("it says %s", s.must("invoke", "keys", "--env", "development"))
	}
	set("sk-canary-22")
	for deadline := time.Now().Add(time.Minute); !says("STRIPE_KEY 12 2 eu-west-1 ***"); {
		if time.Now().After(deadline) {
			t.Fatal("the new value does not reach the step")
		}
	}
	if shown := s.must("runs", "list", "--env", "development", "--json"); strings.Contains(shown, "canary") {
		t.Errorf("a run shows the value: %s", shown)
	}
	if said := s.must("env", "unset", "STRIPE_KEY", "--env", "development"); said != "STRIPE_KEY is not set any more\n" {
		t.Errorf("unset says %s", said)
	}
	if _, stderr, code := s.run("", "env", "unset", "STRIPE_KEY", "--env", "development"); code != 1 || !strings.Contains(stderr, "no such environment variable") {
		t.Errorf("a second time: %d %s", code, stderr)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		_, stderr, code := s.run("", "invoke", "keys", "--env", "development")
		if code != 0 && strings.Contains(stderr, "the environment variable STRIPE_KEY is not set in development") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after unset: %d %s", code, stderr)
		}
	}
}
