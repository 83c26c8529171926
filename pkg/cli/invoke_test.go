package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInvoke(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	file := filepath.Join(dir, "event.json")
	if err := os.WriteFile(file, []byte(`{"text":"from a file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ input, data string }{
		"an argument": {"", `{"text":"from the line"}`}, "a file": {"", "@" + file}, "standard input": {`{"text":"from a pipe"}`, "-"},
	} {
		stdout, stderr, code := s.run(c.input, "invoke", "notify", "--user", "abc-123", "--env", "development", "-d", c.data)
		if code != 0 || stderr != "" || !strings.Contains(stdout, `"delivered_to":"abc-123"`) || !strings.HasSuffix(stdout, "\n") {
			t.Errorf("%s: %d\n%s%s", name, code, stdout, stderr)
		}
	}
	var v invoked
	if err := json.Unmarshal([]byte(s.must("invoke", "Notify the user's team", "--user", "xyz-9", "-d", `{"text":"x"}`, "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if body, ok := v.Body.(map[string]any); !ok || body["delivered_to"] != "xyz-9" || v.Status != http.StatusOK || v.Run == "" || v.Headers["x-behalf-run-id"] != v.Run {
		t.Errorf("--json: %+v", v)
	}

	stdout, stderr, code := s.run("", "invoke", "notify", "--user", "nobody", "-d", "{}")
	if code != 1 || stdout != "" || stderr != "behalf: Connect Error: No matching external user ID nobody in development\n" {
		t.Errorf("a user that is not: %d\n%s%s", code, stdout, stderr)
	}
	stdout, stderr, code = s.run("", "invoke", "notify", "-d", "{}", "--json")
	if code != 1 || !strings.Contains(stdout, `"error":"external_user_required"`) || !strings.Contains(stdout, `"step":"notify"`) || !strings.HasPrefix(stderr, "behalf: Connect Error") {
		t.Errorf("no user, --json: %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code = s.run("", "invoke", "nowhere"); code != 1 || !strings.Contains(stderr, "no workflow is called nowhere here\nhint: behalf endpoints list") {
		t.Errorf("a workflow that is not: %d %s", code, stderr)
	}
}

func TestInvokedFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		headers []string
		body    string
		want    string
	}{
		"the workflow's own answer":         {200, []string{"X-Behalf-Run-Id", "run_1"}, "fine", ""},
		"the workflow's own bad answer":     {503, []string{"X-Behalf-Run-Id", "run_1"}, "come again", ""},
		"a redirect":                        {302, []string{"X-Behalf-Run-Id", "run_1"}, "", ""},
		"a step that threw":                 {400, []string{"X-Behalf-Run-Id", "run_1", "X-Behalf-Error", "step_failed"}, "Step a failed: b", "behalf: Step a failed: b\nhint: behalf runs show run_1 --env production\n"},
		"a run that goes on":                {202, []string{"X-Behalf-Run-Id", "run_1", "X-Behalf-Error", "running"}, "", "behalf: running\nhint: behalf runs show run_1 --env production\n"},
		"nothing accepted":                  {503, []string{"X-Behalf-Error", "unavailable"}, "away", "behalf: away\n"},
		"something in front of the ingress": {502, nil, "", "behalf: Bad Gateway\n"},
	} {
		h := http.Header{}
		for i := 0; i+1 < len(c.headers); i += 2 {
			h.Set(c.headers[i], c.headers[i+1])
		}
		var said bytes.Buffer
		err := newInvoked(c.status, h, []byte(c.body)).failure("production")
		if err != nil {
			complain(&said, err)
		}
		if said.String() != c.want || err != nil && exitCode(err) != 1 {
			t.Errorf("%s: %s", name, said.String())
		}
	}
}
