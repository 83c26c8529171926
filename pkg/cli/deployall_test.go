package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// One workflow's mistakes hide neither those of the others nor the others.
func TestEveryWorkflowOfAFolderIsTold(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	flows := filepath.Join(dir, "flows")
	flow(t, filepath.Join(flows, "first"), "first", "")
	flow(t, filepath.Join(flows, "last"), "last", "")
	flow(t, filepath.Join(flows, "needs"), "needs", "own/main")
	writeFolder(t, flows, map[string]string{"bad/workflow.yaml": "nam: x\n", "empty/workflow.yaml": ""})

	stdout, stderr, code := s.run("", "deploy", flows, "--env", "development")
	if code != 2 || strings.Count(stdout, "\n") != 4 || !strings.HasPrefix(stdout, "first ") || !strings.Contains(stdout, "\nlast ") {
		t.Errorf("it ended with %d and deployed\n%s", code, stdout)
	}
	for _, told := range []string{
		`behalf: bad/workflow.yaml:1: there is no field "nam" here; hint: did you mean name?`,
		"\nempty/workflow.yaml",
		"\nstep say needs account own/main of practice; not found in development; hint: behalf accounts create --app APP",
	} {
		if !strings.Contains(stderr, told) {
			t.Errorf("it does not say %q: %s", told, stderr)
		}
	}
}

func TestAWholeErrorIsShownOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ name, message, stack, want string }{
		"Node's":          {"Error", "no", "Error: no\n    at a.mjs:8:13\n", "Error: no\n    at a.mjs:8:13"},
		"of other words":  {"Error", "no", "    at a.mjs:8:13\n", "Error: no\n    at a.mjs:8:13"},
		"an action's":     {"VendorError", "Slack answered 500", "", "VendorError: Slack answered 500"},
		"one of no class": {"", "no", "", "-: no"},
	} {
		if got := thrown(behalf.StepError{Name: c.name, Message: c.message, Stack: c.stack}); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
