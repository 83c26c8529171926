//go:build integration

package test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
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

// stage is a Behalf on which the seed's story is told: as one process, or with its roles apart.
type stage struct {
	*world

	vendors *vendors
	said    func(stdin string, args ...string) string // what a command of the command line prints
	urls    []string                                  // of the workflow, at each ingress
	logs    func() string
}

// onStage tells where the vendors are, and who signs for them.
func onStage(t *testing.T, dir string) (v *vendors, appURLs []string, trusting string) {
	t.Helper()
	v = newVendors(t)
	for _, app := range []string{"slack", "github", "hubspot"} {
		appURLs = append(appURLs, app+"="+v.URL+"/"+app)
	}
	ca := filepath.Join(dir, "vendors.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.Certificate().Raw})))
	return v, appURLs, "SSL_CERT_FILE=" + ca
}

// oneProcess is `behalf dev`, the shipped binary.
func oneProcess(t *testing.T) *stage {
	t.Helper()
	h := newHome(t)
	v, appURLs, trusting := onStage(t, h.dir)
	write(t, filepath.Join(h.folder("flows"), "tell", "workflow.yaml"), seedWorkflow)
	h.env = append(h.env, trusting)
	args := []string{"flows"}
	for _, pair := range appURLs {
		args = append(args, "--app-url", pair)
	}
	h.serve(args...)
	s := &stage{world: h.world, vendors: v, said: h.inHome, logs: h.dev.output}
	s.urls = []string{strings.TrimSpace(s.said("", "endpoints", "url", "tell"))}
	return s
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

// apart are the roles on a cluster of three servers: two ingresses, three workers of development, one of production, one
// API. Only workers that are built for tests can be told that an app is on this machine.
type apart struct {
	*stage

	cluster *natsCluster
	fronts  []*role
}

func rolesApart(t *testing.T) *apart {
	t.Helper()
	w := emptyWorld(t)
	a := &apart{cluster: startCluster(t, w.folder("nats"))}
	w.open(&a.cluster.natsServers, clusterAckWait)
	v, appURLs, trusting := onStage(t, w.dir)
	vars := []string{trusting, "BEHALF_FAILPOINT_APP_URLS=" + strings.Join(appURLs, ",")}
	processes := []*role{w.api, w.ingress, w.another("ingress-two")}
	for _, env := range []behalf.Environment{development, development, development, production} {
		processes = append(processes, w.workerOf(program(t, failpointProgram), env, vars))
	}
	a.fronts = processes[1:3]
	d := w.deploy("tell", map[string]string{"workflow.yaml": seedWorkflow})
	a.stage = &stage{world: w, vendors: v, said: w.mustRun, urls: []string{a.fronts[0].of(d), a.fronts[1].of(d)}}
	a.logs = func() string {
		var all strings.Builder
		for _, p := range processes {
			all.WriteString(p.output())
		}
		return all.String()
	}
	return a
}

// clusterAckWait is longer than a busy machine may need to elect another leader.
const clusterAckWait = 10 * time.Second

// accounts gives two users theirs: abc-123 has accounts of all three apps, xyz-9 of two.
func (s *stage) accounts() {
	s.t.Helper()
	for user, apps := range map[string][]string{"abc-123": {"slack", "github", "hubspot"}, "xyz-9": {"slack", "github"}} {
		for _, app := range apps {
			s.said(`{"oauth_access_token":"`+app+"-token-of-"+user+`"}`, "accounts", "create", "--app", app, "--user", user, "--env", "development", "--credential", "-")
		}
	}
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

// Its cluster has the machine to itself: three servers that elect a leader under load need it.
func TestTheSeedsStory(t *testing.T) {
	t.Run("in one process", func(t *testing.T) {
		t.Parallel()
		oneProcess(t).tell()
	})
	t.Run("with roles apart", func(t *testing.T) {
		t.Parallel()
		a := rolesApart(t)
		a.tell()
		a.oneKeyIsOneRun(a.fronts...)
		a.promoted()
		a.killed()
	})
}

// tell tells the story at each ingress.
func (s *stage) tell() {
	s.t.Helper()
	s.accounts()
	for _, url := range s.urls {
		s.succeeds(url)
		s.fails(url)
	}
}

func (s *stage) succeeds(url string) {
	t, v := s.t, s.vendors
	t.Helper()
	a := s.post(url, seedBody, seenAs("abc-123", "development"))
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
	s.neverTold(a.run())
}

func (s *stage) fails(url string) {
	t, v := s.t, s.vendors
	t.Helper()
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
		a := s.post(url, c.body, seenAs(c.user, c.env))
		if a.status != c.status || a.code() != c.code || a.body != c.answer {
			t.Errorf("%s: %d %s %q, want %d %s %q", name, a.status, a.code(), a.body, c.status, c.code, c.answer)
		}
		if calls := v.take(); len(calls) != c.calls {
			t.Errorf("%s: the vendors were called %d times, want %d: %v", name, len(calls), c.calls, calls)
		}
	}
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
func (s *stage) neverTold(run string) {
	s.t.Helper()
	for place, text := range map[string]string{"the run": s.said("", "runs", "show", run, "--env", "development", "--json"), "a log": s.logs()} {
		if strings.Contains(text, "-token-of-") {
			s.t.Errorf("%s tells a token", place)
		}
	}
}

// promoted promotes a version to production and takes it back, and every ingress answers with what is active.
func (a *apart) promoted() {
	t := a.t
	t.Helper()
	says := func(env behalf.Environment, d deployed, want string) {
		t.Helper()
		for _, f := range a.fronts {
			eventually(t, asLongAsItTakes, f.name+" does not answer "+want+" in "+string(env), func() bool {
				got := a.post(f.of(d), `{}`, in(env))
				return got.status == http.StatusOK && got.body == want
			})
		}
	}
	version := func(n string) deployed {
		t.Helper()
		return a.deploy("stable", map[string]string{
			"workflow.yaml": flow("oauth", "custom", "", "only"),
			"only.mjs":      `export default defineComponent({ async run({ $ }) { $.respond({ body: "version ` + n + `" }); } });`,
		})
	}
	first := version("1")
	if got := a.post(a.fronts[1].of(first), `{}`, in(production)); got.code() != "endpoint_not_found" {
		t.Errorf("before it was promoted, production answers %v", got)
	}
	a.said("", "promote", "stable")
	says(production, first, "version 1")
	second := version("2")
	says(development, second, "version 2")
	says(production, second, "version 1")
	a.said("", "promote", "stable")
	says(production, second, "version 2")
	a.said("", "rollback", "stable", "--env", "production")
	says(production, second, "version 1")
	says(development, second, "version 2")
}

// killed kills a server under load: whatever was accepted is done.
func (a *apart) killed() {
	t := a.t
	t.Helper()
	const clients, before, after = 8, 60, 60
	d := a.deploy("lasting", oneStep("custom", 30))
	var over atomic.Bool
	l, wait := a.load(clients, []string{a.fronts[0].of(d), a.fronts[1].of(d)}, func(int64) bool { return over.Load() })
	// By the answers: what was accepted and has none is in the middle.
	eventually(t, 2*asLongAsItTakes, "the load does not go on", func() bool { return l.len() >= before })
	victim := a.cluster.killLeader(t, a.js, subject.Events(development))
	answered := l.len()
	eventually(t, 2*time.Minute, "without "+victim+", the load does not go on", func() bool { return l.len() >= answered+after })
	over.Store(true)
	wait()
	found := a.tallied(l)
	if found.accepted+found.unknown != l.len() || found.dead > 0 {
		t.Errorf("%d accepted, %d unknown, %d dead letters of %d events", found.accepted, found.unknown, found.dead, l.len())
	}
	t.Logf("kill -9 of %s: %d events accepted, %d answered 409 and not stored, %d lost; calls %d, effects %d, after their finish %d; slowest answer %s",
		victim, found.accepted, found.unknown, found.lost, found.calls, found.effects, found.again, found.slowest.Round(time.Millisecond))
}
