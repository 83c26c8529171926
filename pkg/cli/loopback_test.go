package cli

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// A server of this machine is what a workflow is tried against: dev reaches it where it is told so, and only there.
func TestDevReachesThisMachineWhereItIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		code  int
		says  string
	}{
		"told":     {[]string{"--allow-loopback"}, 0, `"it is here"`},
		"not told": {nil, 1, "Step ask failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Path
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`"it is here"`))
			}))
			t.Cleanup(server.Close)
			dir := t.TempDir()
			startDev(t, dir, c.flags...)
			s := terminal{t, dir}
			writeFolder(t, filepath.Join(dir, "ask"), map[string]string{"workflow.yaml": "name: Ask\n" +
				"triggers:\n  - { type: http, auth: oauth, respond: custom }\n" +
				"steps:\n  - name: ask\n    uses: http-request@1\n    props: { url: " + server.URL + "/here }\n" +
				"  - name: answer\n    uses: return-http-response@1\n    props: { body: \"{{JSON.stringify(steps.ask.$return_value)}}\" }\n"})
			s.must("deploy", filepath.Join(dir, "ask"), "--env", "development")
			stdout, stderr, code := s.run("", "invoke", "ask", "--env", "development")
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("it ended with %d\n%s%s", code, stdout, stderr)
			}
			if reached := len(asked) > 0; reached != (c.code == 0) {
				t.Errorf("the server was reached: %v", reached)
			}
		})
	}
}
