//go:build integration

package test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// vendors are Slack, GitHub and HubSpot behind one HTTPS server, which keeps what it was sent.
type vendors struct {
	*httptest.Server
	mu   sync.Mutex
	sent []sent
}

// sent is one call of a vendor's API.
type sent struct{ method, path, token, body string }

func newVendors(t *testing.T) *vendors {
	t.Helper()
	v := &vendors{}
	v.Server = httptest.NewTLSServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vendors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	v.mu.Lock()
	v.sent = append(v.sent, sent{r.Method, r.URL.Path, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), string(body)})
	v.mu.Unlock()
	status, answer := v.answer(r, string(body))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// answer is what the three say, as their documentation has it.
func (v *vendors) answer(r *http.Request, body string) (int, string) {
	switch path := r.URL.Path; {
	case path == "/slack/chat.postMessage" && strings.Contains(body, "#closed"):
		return http.StatusOK, `{"ok":false,"error":"channel_not_found"}`
	case path == "/slack/chat.postMessage":
		return http.StatusOK, `{"ok":true,"channel":"C1","ts":"1764000000.000100","message":{"text":"posted"}}`
	case path == "/github/repos/AcmeOrg/acme-repo/issues":
		return http.StatusCreated, `{"number":42,"html_url":"https://github.com/AcmeOrg/acme-repo/issues/42"}`
	case strings.HasPrefix(path, "/github/"):
		return http.StatusNotFound, `{"message":"Not Found","documentation_url":"https://docs.github.com"}`
	case path == "/hubspot/crm/lists/2026-03/object-type-id/0-1/name/prospects":
		return http.StatusOK, `{"list":{"listId":"7","name":"prospects"}}`
	case strings.HasPrefix(path, "/hubspot/crm/objects/2026-03/contacts/"):
		return http.StatusOK, `{"id":"901","properties":{"email":"foo@example.com"}}`
	case path == "/hubspot/crm/lists/2026-03/7/memberships/add":
		return http.StatusOK, `{"recordsIdsAdded":["901"],"recordIdsMissing":[],"recordIdsRemoved":[]}`
	}
	return http.StatusTeapot, `{"message":"nobody should ask this: ` + r.URL.Path + `"}`
}

func (v *vendors) take() []sent {
	v.mu.Lock()
	defer v.mu.Unlock()
	taken := v.sent
	v.sent = nil
	return taken
}

// The seed document's workflow: Slack, GitHub and HubSpot with each end user's own accounts.
const seedWorkflow = `name: Tell the customer's team
triggers:
  - type: http
    auth: oauth
    respond: custom
steps:
  - name: slack
    uses: slack-send-message@1
    account: end_user
    props:
      channel: "{{steps.trigger.event.body.slackChannel}}"
      text: "{{steps.trigger.event.body.messageText}}"
  - name: github
    uses: github-create-issue@1
    account: end_user
    props:
      repoFullname: "{{steps.trigger.event.body.gitRepo}}"
      title: "{{steps.trigger.event.body.issueTitle}}"
      body: "See {{steps.slack.$return_value.ts}}"
  - name: hubspot
    uses: hubspot-add-contact-to-list@1
    account: end_user
    props:
      list: "{{steps.trigger.event.body.hubSpotList}}"
      contactEmail: "{{steps.trigger.event.body.contactEmail}}"
  - name: answer
    uses: return-http-response@1
    props:
      status: 200
      body:
        issue: "{{steps.github.$return_value.number}}"
        ts: "{{steps.slack.$return_value.ts}}"
`

const seedBody = `{"slackChannel":"#general","messageText":"Hello, world! (sent via curl)","gitRepo":"AcmeOrg/acme-repo","issueTitle":"Test Issue","hubSpotList":"prospects","contactEmail":"foo@example.com"}`

// newStory is a dev that serves the seed's workflow, with two users: abc-123 has accounts of all three apps, xyz-9 of two.
func newStory(t *testing.T) (*home, *vendors, string) {
	t.Helper()
	v, h := newVendors(t), newHome(t)
	ca := filepath.Join(h.dir, "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.Certificate().Raw})
	flow := filepath.Join(h.folder("flows"), "tell")
	for _, err := range []error{
		os.WriteFile(ca, block, 0o600), os.MkdirAll(flow, 0o700), os.WriteFile(filepath.Join(flow, "workflow.yaml"), []byte(seedWorkflow), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.env = append(h.env, "SSL_CERT_FILE="+ca)
	h.serve("flows", "--app-url", "slack="+v.URL+"/slack", "--app-url", "github="+v.URL+"/github", "--app-url", "hubspot="+v.URL+"/hubspot")
	for user, apps := range map[string][]string{"abc-123": {"slack", "github", "hubspot"}, "xyz-9": {"slack", "github"}} {
		for _, app := range apps {
			h.inHome(`{"oauth_access_token":"`+app+"-token-of-"+user+`"}`, "accounts", "create", "--app", app, "--user", user, "--env", "development", "--credential", "-")
		}
	}
	return h, v, strings.TrimSpace(h.inHome("", "endpoints", "url", "tell"))
}

// inHome runs the command line in the folder of dev.
func (h *home) inHome(stdin string, args ...string) string {
	h.t.Helper()
	out, complaint, code := command(h.t, h.dir, stdin, h.env, filepath.Join(h.dir, "bin", "behalf"), args...)
	if code != 0 {
		h.t.Fatalf("behalf %v: exit %d\n%s%s", args, code, out, complaint)
	}
	return out
}

func seenAs(user, env string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("x-pd-external-user-id")
		if user != "" {
			r.Header.Set("X-PD-External-User-ID", user)
		}
		r.Header.Set("X-PD-Environment", env)
	}
}

func TestTheSeedsStory(t *testing.T) {
	t.Parallel()
	h, v, url := newStory(t)
	a := h.post(url, seedBody, seenAs("abc-123", "development"))
	if a.status != http.StatusOK || a.body != `{"issue":42,"ts":"1764000000.000100"}` {
		t.Fatalf("the answer is %v", a)
	}
	checkSent(t, v.take(), []sent{
		{"POST", "/slack/chat.postMessage", "slack-token-of-abc-123", `{"channel":"#general","text":"Hello, world! (sent via curl)"}`},
		{"POST", "/github/repos/AcmeOrg/acme-repo/issues", "github-token-of-abc-123", `{"title":"Test Issue","body":"See 1764000000.000100"}`},
		{"GET", "/hubspot/crm/lists/2026-03/object-type-id/0-1/name/prospects", "hubspot-token-of-abc-123", ``},
		{"GET", "/hubspot/crm/objects/2026-03/contacts/foo@example.com", "hubspot-token-of-abc-123", ``},
		{"PUT", "/hubspot/crm/lists/2026-03/7/memberships/add", "hubspot-token-of-abc-123", `["901"]`},
	})
	for name, c := range map[string]struct {
		user, env, body string
		status          int
		code, answer    string
		calls           int
	}{
		"no user":           {"", "development", seedBody, 400, "external_user_required", "Connect Error: No external user ID passed, but step slack requires it", 0},
		"an unknown user":   {"nobody", "development", seedBody, 404, "external_user_not_found", "Connect Error: No matching external user ID nobody in development", 0},
		"a missing account": {"xyz-9", "development", seedBody, 400, "account_required", "Connect Error: Required account for hubspot not found for external user ID xyz-9 in development", 0},
		"not in production": {"abc-123", "production", seedBody, 404, "endpoint_not_found", "No workflow answers here in production", 0},
		"no such world":     {"abc-123", "staging", seedBody, 400, "environment_invalid", "x-pd-environment must be development or production", 0},
		"a vendor's no":     {"abc-123", "development", strings.Replace(seedBody, "#general", "#closed", 1), 400, "step_failed", "Step slack failed: slack: channel_not_found", 1},
		"a vendor's status": {"abc-123", "development", strings.Replace(seedBody, "acme-repo", "other", 1), 400, "step_failed", "Step github failed: GitHub answered 404: Not Found", 2},
		"a field left out":  {"abc-123", "development", `{"slackChannel":"#general"}`, 400, "step_failed", "Step slack failed: slack-send-message: text is missing", 0},
	} {
		a := h.post(url, c.body, seenAs(c.user, c.env))
		if a.status != c.status || a.code() != c.code || a.body != c.answer {
			t.Errorf("%s: %d %s %q, want %d %s %q", name, a.status, a.code(), a.body, c.status, c.code, c.answer)
		}
		if calls := v.take(); len(calls) != c.calls {
			t.Errorf("%s: the vendors were called %d times, want %d: %v", name, len(calls), c.calls, calls)
		}
	}
	h.neverTold(t, a.run())
}

func checkSent(t *testing.T, got, want []sent) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d calls, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		same := got[i].method == want[i].method && got[i].path == want[i].path && got[i].token == want[i].token
		if !same || got[i].body != want[i].body && !equalJSON(got[i].body, want[i].body) {
			t.Errorf("call %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func equalJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	first, err := json.Marshal(x)
	second, other := json.Marshal(y)
	return err == nil && other == nil && string(first) == string(second)
}

// neverTold checks that no token stands where somebody could read it.
func (h *home) neverTold(t *testing.T, run string) {
	t.Helper()
	for place, text := range map[string]string{"the run": h.inHome("", "runs", "show", run, "--json"), "the log": h.dev.output()} {
		if strings.Contains(text, "-token-of-") {
			t.Errorf("%s tells a token", place)
		}
	}
}
