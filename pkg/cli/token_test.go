package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

// guardedFlow writes a workflow whose trigger has a token, and that answers with the run's id.
func guardedFlow(t *testing.T, dir string) {
	t.Helper()
	writeFolder(t, dir, map[string]string{
		"workflow.yaml": "name: Guarded\ntriggers:\n  - {type: http, auth: token, respond: custom}\nsteps:\n  - {name: say, run: say.mjs}\n",
		"say.mjs":       "export default defineComponent({ async run({ steps, $ }) { await $.respond({ status: 200, body: steps.trigger.context.trace_id }); } });\n",
	})
}

// A trigger's token is made anew: the new one opens, the old one soon does not, and a key's run is still the key's.
func TestRotateToken(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	s := terminal{t, dir}
	guardedFlow(t, filepath.Join(dir, "guarded"))
	var deployed deployedView
	if err := json.Unmarshal([]byte(s.must("deploy", filepath.Join(dir, "guarded"), "--env", "development", "--json")), &deployed); err != nil {
		t.Fatal(err)
	}
	call := func(token string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, deployed.PathURL, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{
			"Authorization": {"Bearer " + token}, "X-Pd-Environment": {"development"}, "Idempotency-Key": {"order-1"}, "Content-Type": {"application/json"},
		}
		return exchange(t, request)
	}
	status, first := call(deployed.TriggerToken)
	if status != http.StatusOK {
		t.Fatalf("the first token: %d %s", status, first)
	}

	var rotated rotatedView
	if err := json.Unmarshal([]byte(s.must("endpoints", "rotate-token", "guarded", "--env", "development", "--json")), &rotated); err != nil {
		t.Fatal(err)
	}
	if rotated.Token == deployed.TriggerToken || !strings.HasPrefix(rotated.Token, "behalf_tt_") || rotated.EndpointID != deployed.EndpointID {
		t.Errorf("got %+v", rotated)
	}
	bustest.Eventually(t, "the old token is refused", func() bool { status, _ := call(deployed.TriggerToken); return status == http.StatusUnauthorized })
	if status, again := call(rotated.Token); status != http.StatusOK || again != first {
		t.Errorf("under the new token the key's run is %d %s, not %s", status, again, first)
	}

	text := s.must("endpoints", "rotate-token", "guarded", "--env", "development")
	if !strings.Contains(text, "Guarded in development\n  token (shown this once): behalf_tt_") {
		t.Errorf("it says %s", text)
	}
	_, stderr, code := s.run("", "endpoints", "rotate-token", "notify", "--env", "development")
	if code != 2 || !strings.Contains(stderr, "auth: oauth") {
		t.Errorf("a trigger without a token: %d %s", code, stderr)
	}
	if _, stderr, code = s.run("", "endpoints", "rotate-token", "guarded"); code != 2 || !strings.Contains(stderr, "say which environment\nhint: behalf endpoints rotate-token guarded --env") {
		t.Errorf("no environment: %d %s", code, stderr)
	}
}

// Who knows a workflow's URL needs a trigger's token and no client; with a client, its token goes to our ingress alone.
func TestInvokeByURL(t *testing.T) {
	dir := t.TempDir()
	file := startDev(t, dir)
	s := terminal{t, dir}
	guardedFlow(t, filepath.Join(dir, "guarded"))
	var deployed deployedView
	if err := json.Unmarshal([]byte(s.must("deploy", filepath.Join(dir, "guarded"), "--env", "development", "--json")), &deployed); err != nil {
		t.Fatal(err)
	}
	stranger := terminal{t, t.TempDir()}
	for name, c := range map[string]struct {
		who    terminal
		called string
	}{
		"a stranger by URL": {stranger, deployed.PathURL}, "by name": {s, "guarded"}, "by endpoint": {s, string(deployed.EndpointID)},
	} {
		stdout, stderr, code := c.who.run(deployed.TriggerToken+"\n", "invoke", c.called, "--token", "-", "--env", "development", "-d", "{}")
		if code != 0 || !strings.HasPrefix(stdout, "run_") {
			t.Errorf("%s: %d %s%s", name, code, stdout, stderr)
		}
	}
	if _, stderr, code := s.run("behalf_tt_wrong", "invoke", "guarded", "--token", "-", "-d", "{}"); code != 1 || !strings.Contains(stderr, "Unauthorized") {
		t.Errorf("a wrong token: %d %s", code, stderr)
	}
	if _, stderr, code := s.run("", "invoke", "guarded", "--token", deployed.TriggerToken); code != 2 || strings.Contains(stderr, deployed.TriggerToken) || !strings.Contains(stderr, "never comes by argument") {
		t.Errorf("by argument: %d %s", code, stderr)
	}

	// The client's own token, by URL and by endpoint id: both below the ingress.
	notify := s.said("endpoints", "url", "notify")
	for _, called := range []string{notify, notify[strings.LastIndex(notify, "/")+1:]} {
		if stdout, stderr, code := s.run("", "invoke", called, "--user", "abc-123", "-d", `{"text":"x"}`); code != 0 || !strings.Contains(stdout, `"delivered_to":"abc-123"`) {
			t.Errorf("%s: %d %s%s", called, code, stdout, stderr)
		}
	}
	_, stderr, code := s.run("", "invoke", "http://localhost.evil.example/e/enabc", "-d", "{}")
	if code != 2 || !strings.Contains(stderr, "is not sent to http://localhost.evil.example") {
		t.Errorf("elsewhere: %d %s", code, stderr)
	}
	if file.IngressURL == "" {
		t.Error("dev.json names no ingress")
	}
}

// A client with the scope invoke alone, which may list nothing, invokes by the endpoint's id.
func TestInvokeNeedsNoMoreThanInvoke(t *testing.T) {
	t.Parallel()
	endpoint := string(behalf.NewEndpointID())
	var mu sync.Mutex
	var called []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		called = append(called, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		switch r.URL.Path {
		case "/v1/oauth/token":
			_, _ = w.Write([]byte(`{"access_token":"at-1","token_type":"Bearer","expires_in":3600}`))
		case "/e/" + endpoint:
			w.Header().Set("X-Behalf-Run-Id", "run_1")
			_, _ = w.Write([]byte(`{"ok":true}`))
		default:
			http.Error(w, `{"error":"the client lacks the scope manage","code":"forbidden"}`, http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	var out, errs bytes.Buffer
	environment := map[string]string{
		"BEHALF_API_URL": server.URL, "BEHALF_INGRESS_URL": server.URL, "BEHALF_CLIENT_ID": "oac_1", "BEHALF_CLIENT_SECRET": "shh",
	}
	code := run(t.Context(), []string{"invoke", endpoint, "--env", "production", "-d", "{}"}, world{
		lookupEnv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		stdin:     strings.NewReader(""), stdout: &out, stderr: &errs,
	})
	want := []string{"POST /v1/oauth/token ", "POST /e/" + endpoint + " Bearer at-1"}
	if code != 0 || out.String() != "{\"ok\":true}\n" || !slices.Equal(called, want) {
		t.Errorf("%d %s%s, called %q", code, out.String(), errs.String(), called)
	}
}
