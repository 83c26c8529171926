package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

const acme = `# A vendor that takes its key twice: in a header, and as a parameter of the URL.
slug: acme
name: Acme
description: Things of all kinds
docs: https://acme.example/docs
base_url: https://{region}.api.acme.example/v1
auth:
  type: keys
  send:
    - { header: X-Acme-Key, value: "Key {api_key}" }
    - { query: acme_key, value: "{api_key}" }
fields:
  region: { from: credential, public: true, description: Where the account is }
  api_key: { from: credential, label: Key }
  base_url: { from: app }
`

// acmeFlow uses the app by an action and by a code step.
func acmeFlow(t *testing.T, dir string) {
	t.Helper()
	writeFolder(t, dir, map[string]string{
		"workflow.yaml": `name: Ask Acme
triggers:
  - { type: http, auth: oauth, respond: custom }
steps:
  - name: ask
    uses: http-request@1
    accounts: { acme: end_user }
    props: { url: "/things?page=2", method: GET }
  - name: tell
    run: tell.mjs
    accounts: { acme: end_user }
`,
		"tell.mjs": `export default defineComponent({
  async run({ steps, $ }) {
    const { base_url, region, api_key } = this.acme.$auth;
    const answer = await fetch(base_url + "/code?acme_key=" + api_key, { headers: { "x-acme-key": "Key " + api_key } });
    console.log("region " + region + ", key " + api_key);
    await $.respond({ status: 200, body: { asked: steps.ask.$return_value, told: await answer.json(), region, leaked: api_key } });
  },
});
`,
	})
}

// vendorOf answers every request with its path, and keeps what it was sent.
func vendorOf(t *testing.T) (url string, sent func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("page")+" "+r.Header.Get("X-Acme-Key")+" "+r.URL.Query().Get("acme_key"))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"path":"` + r.URL.Path + `"}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// A team adds an app by one file: workflows that use it are deployed and run, with each user's own key where the file
// says, and only what is secret is taken out of what a run leaves.
func TestAnAppOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	vendor, sent := vendorOf(t)
	writeFolder(t, filepath.Join(dir, "apps"), map[string]string{"acme.yaml": acme})
	startDev(t, dir, "--apps", filepath.Join(dir, "apps"), "--app-url", "acme="+vendor)
	s := terminal{t, dir}
	acmeFlow(t, filepath.Join(dir, "ask-acme"))
	s.must("deploy", filepath.Join(dir, "ask-acme"), "--env", "development")
	for user, key := range map[string]string{"abc-123": "key-of-abc", "xyz-9": "key-of-xyz"} {
		_, stderr, code := s.run(`{"region":"eu-west","api_key":"`+key+`"}`, "accounts", "create", "--app", "acme", "--user", user, "--env", "development", "--credential", "-")
		if code != 0 {
			t.Fatal(stderr)
		}
		answer := s.must("invoke", "ask-acme", "--user", user, "--env", "development", "-d", "{}", "--json")
		if !strings.Contains(answer, `"region":"eu-west"`) || !strings.Contains(answer, `"/things"`) || !strings.Contains(answer, `"/code"`) || strings.Contains(answer, key) {
			t.Errorf("%s is answered %s", user, answer)
		}
		var v invoked
		if err := json.Unmarshal([]byte(answer), &v); err != nil {
			t.Fatal(err)
		}
		bustest.Eventually(t, "the run can be shown", func() bool {
			_, _, code := s.run("", "runs", "show", v.Run, "--env", "development", "--json")
			return code == 0
		})
		shown := s.must("runs", "show", v.Run, "--env", "development", "--json")
		if !strings.Contains(shown, "region eu-west, key ***") || strings.Contains(shown, key) {
			t.Errorf("the run shows %s", shown)
		}
		got := sent()
		want := []string{"GET /things 2 Key " + key + " " + key, "GET /code  Key " + key + " " + key}
		if len(got) < 2 || strings.Join(got[len(got)-2:], "\n") != strings.Join(want, "\n") {
			t.Errorf("the vendor was sent %q, want %q", got, want)
		}
	}

	// The catalogue of the running server has it, and shows that it is the team's own.
	if list := s.must("apps", "list"); !strings.Contains(list, "acme") || !strings.Contains(list, "slack") {
		t.Errorf("the list is %s", list)
	}
	var shown shownApp
	if err := json.Unmarshal([]byte(s.must("apps", "show", "acme", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.App != "acme" || !shown.Own || shown.AuthType != "keys" || shown.CustomFields == nil || !strings.Contains(*shown.CustomFields, `"name":"api_key","label":"Key","type":"password"`) {
		t.Errorf("got %+v", shown)
	}
	if text := s.must("apps", "show", "acme"); !strings.Contains(text, "region") || !strings.Contains(text, "public") || !strings.Contains(text, "secret") {
		t.Errorf("it shows %s", text)
	}
	if text := s.must("actions", "show", "http-request@1"); !strings.Contains(text, "any app") {
		t.Errorf("it shows %s", text)
	}
	if _, stderr, code := s.run("", "apps", "show", "trello"); code != 1 || !strings.Contains(stderr, "hint: `behalf apps list`") {
		t.Errorf("%d %s", code, stderr)
	}
}

// A folder of apps that cannot be read stops a role before it does anything.
func TestARoleRefusesBadApps(t *testing.T) {
	dir := t.TempDir()
	writeFolder(t, dir, map[string]string{"slack.yaml": strings.ReplaceAll(acme, "slug: acme", "slug: slack"), "b.yaml": "slug: b\n"})
	s := terminal{t, t.TempDir()}
	for _, args := range [][]string{
		{"dev", "--apps", dir, "--addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0", "--practice-addr", "127.0.0.1:0", "--nats-addr", "none"},
		{"api", "--apps", dir},
		{"worker", "--env", "development", "--apps", dir},
	} {
		_, stderr, code := s.run("", args...)
		for _, part := range []string{filepath.Join(dir, "slack.yaml") + ":1: there is an app slack already; hint: give yours another slug", filepath.Join(dir, "b.yaml") + ":1: name is missing"} {
			if code != 2 || !strings.Contains(stderr, part) {
				t.Errorf("%s: %d, it does not say %q: %s", args[0], code, part, stderr)
			}
		}
	}
	if _, stderr, code := s.run("", "api", "--apps", filepath.Join(dir, "nowhere")); code != 2 || !strings.Contains(stderr, "there is no folder") {
		t.Errorf("%d %s", code, stderr)
	}
}
