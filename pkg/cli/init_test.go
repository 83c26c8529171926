package cli

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What init makes deploys as it is, and answers.
func TestInitDeployInvoke(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	for template, want := range map[string]string{
		"hello": `"message":"Hello, Ada!"`, "notify": `"delivered_to":"abc-123"`, "actions": `"delivered_to":"abc-123"`,
	} {
		folder := filepath.Join(dir, "my-"+template)
		var made initialized
		if err := json.Unmarshal([]byte(s.must("init", folder, "--template", template, "--json")), &made); err != nil {
			t.Fatal(err)
		}
		if made.Next != "behalf deploy "+folder+" --env development" || made.Workflow != "my-"+template {
			t.Errorf("%s: got %+v", template, made)
		}
		s.must(strings.Fields(strings.TrimPrefix(made.Next, "behalf "))...)
		if got := s.must("invoke", made.Workflow, "--user", "abc-123", "--env", "development", "-d", `{"name":"Ada","text":"Hello"}`); !strings.Contains(got, want) {
			t.Errorf("%s answers %s", template, got)
		}
	}
}
