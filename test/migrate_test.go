//go:build integration

package test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
)

// removal is a Behalf that moves house: from the sealed store into a real Vault.
type removal struct {
	*vaultWorld

	sealed map[string]string // a text that must lie in Vault, by what it is
	here   []string          // where Vault and the login are
	said   bytes.Buffer      // all that the command has said
}

// keyed is a step that shows the user's token to the vendor together with a variable, and answers with another.
const keyed = `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ steps, $ }) {
  const event = steps.trigger.event.body.event;
  const res = await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event: event + " with " + process.env.STRIPE_KEY }), headers: {
    authorization: "Bearer " + this.practice.$auth.oauth_access_token, "idempotency-key": $.context.idempotency_key } });
  await res.text();
  $.respond({ status: 200, body: { event, region: this.region } });
} });
`

func newRemoval(t *testing.T) *removal {
	t.Helper()
	m := &removal{vaultWorld: &vaultWorld{vault: startVault(t), secrets: t.TempDir()}, sealed: map[string]string{}}
	m.install(t)
	m.apiToken, m.workToken = m.vault.roleToken("behalf", "api-development", "api-production"), m.vault.roleToken("behalf", "worker-development")
	write(t, m.file("api"), m.apiToken)
	write(t, m.file("worker"), m.workToken)
	m.here = []string{"BEHALF_CREDENTIALS=vault", "VAULT_ADDR=" + m.vault.addr, "VAULT_CLIENT_TIMEOUT=2s", "BEHALF_VAULT_TOKEN_FILE=" + m.file("api")}
	m.world = newWorld(t)
	m.worker = m.world.worker("--slots", "4")
	m.side = m.sides[0]
	m.canaries = append(m.canaries, newCanary("the token of the API", m.apiToken), newCanary("the token of the worker", m.workToken),
		newCanary("the root token", m.vault.root.Token()), newCanary("the key of Vault", m.vault.key))
	return m
}

// secret is a new one, which must lie in Vault in the end.
func (m *removal) secret(what string) string {
	text := "canary+" + strings.ReplaceAll(what, " ", "-") + "/" + rand.Text()
	m.sealed[what] = text
	m.canaries = append(m.canaries, newCanary(what, text))
	return text
}

// furnish seals something of every kind in both environments, and many accounts.
func (m *removal) furnish(many int) {
	m.t.Helper()
	var file strings.Builder
	for i := range many {
		user := fmt.Sprintf("user-%03d", i)
		_, _ = fmt.Fprintf(&file, `{"app":"practice","user":%q,"credential":{"oauth_access_token":%q}}`+"\n", user, m.secret("the token of "+user))
	}
	m.mustRun(file.String(), "accounts", "import", "-", "--env", "development")
	for _, env := range behalf.Environments() {
		in := func(what string) string { return what + " of " + string(env) }
		own := m.secret(in("the project's own token"))
		m.mustRun(fmt.Sprintf(`{"oauth_access_token":%q,"oauth_refresh_token":%q}`, own, m.secret(in("the refresh token"))), "accounts", "create", "--app", "practice", "--name", "main", "--env", string(env), "--credential", "-")
		m.mustRun(m.secret(in("the client's secret")), "oauth-apps", "create", "slack", "--client-id", "1.2", "--secret", "-", "--env", string(env))
		m.mustRun(m.secret(in("the variable")), "env", "set", "STRIPE_KEY", "--env", string(env))
		m.mustRun("", "env", "set", "--plain", "REGION=eu-west-1", "--env", string(env))
	}
	m.flow = m.deploy("present", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", `only , accounts: { practice: end_user }, env: [STRIPE_KEY], props: { region: "{{env.REGION}}" }`), "only.mjs": keyed,
	})
}

// migrate runs the command to its end.
func (m *removal) migrate(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	stdout, stderr, code = command(m.t, m.dir, "", append(slices.Clone(m.env), m.here...), program(m.t, behalfProgram), append([]string{"credentials", "migrate", "--from", "sealed", "--to", "vault"}, args...)...)
	_, _ = fmt.Fprintln(&m.said, stdout, stderr)
	return stdout, stderr, code
}

// outcomes counts those that the command has printed as JSON, a line each.
func outcomes(t *testing.T, out string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		var o struct {
			Outcome string `json:"outcome"`
		}
		if !strings.HasSuffix(line, "\n") || !strings.HasPrefix(line, "{") { // what a kill has left of one, or progress
			continue
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		counts[o.Outcome]++
	}
	return counts
}

// cutOff kills the command after so many outcomes, one credential at a time.
func (m *removal) cutOff(name string, after int) {
	m.t.Helper()
	p := m.start(name, m.here, "credentials", "migrate", "--from", "sealed", "--to", "vault", "--json", "--parallel", "1")
	p.until(m.t, "come so far", func() bool { return strings.Count(p.output(), `"outcome"`) >= after })
	p.kill()
	_, _ = fmt.Fprintln(&m.said, p.output())
	m.t.Logf("killed after %v", outcomes(m.t, p.output()))
}

// everything is all that lies in Vault, by its path, with how often it was written.
func (m *removal) everything() (values map[string]string, versions map[string]int) {
	m.t.Helper()
	values, versions = map[string]string{}, map[string]int{}
	for _, env := range behalf.Environments() {
		m.list("behalf-"+string(env), "", func(kv *api.KVv2, key string) {
			found := must(kv.Get(m.t.Context(), key))(m.t)
			path := string(env) + "/" + key
			must(credential.ParsePath(env, key))(m.t)
			values[path], versions[path] = string(must(json.Marshal(found.Data))(m.t)), found.VersionMetadata.Version
		})
	}
	return values, versions
}

func (m *removal) list(mount, folder string, each func(*api.KVv2, string)) {
	m.t.Helper()
	found := must(m.vault.root.Logical().List(mount + "/metadata/" + folder))(m.t)
	if found == nil {
		return
	}
	for _, name := range found.Data["keys"].([]any) {
		if key := folder + name.(string); strings.HasSuffix(key, "/") {
			m.list(mount, key, each)
		} else {
			each(m.vault.root.KVv2(mount), key)
		}
	}
}

// moved holds Vault to having each secret once, at its place, written no more than once.
func (m *removal) moved(total int) {
	m.t.Helper()
	values, versions := m.everything()
	if len(values) != total {
		m.t.Errorf("%d credentials lie in Vault, want %d", len(values), total)
	}
	for path, n := range versions {
		if n != 1 {
			m.t.Errorf("%s was written %d times", path, n)
		}
	}
	all := strings.Join(slices.Collect(maps.Values(values)), "\n")
	for what, text := range m.sealed {
		if strings.Count(all, text) != 1 {
			m.t.Errorf("%s lies in Vault %d times", what, strings.Count(all, text))
		}
	}
}

// reopen starts API and worker again, on Vault.
func (m *removal) reopen() {
	m.t.Helper()
	m.env = append(m.env, m.here...)
	m.api.start()
	m.worker.vars = append(m.worker.vars, "BEHALF_VAULT_TOKEN_FILE="+m.file("worker"))
	m.worker.start()
}

// sees holds a user's run to the user's token, this key and this region.
func (m *removal) sees(user, key, region string) {
	m.t.Helper()
	a := m.call(user)
	if a.status != http.StatusOK || a.body != fmt.Sprintf(`{"event":%q,"region":%q}`, user, region) {
		m.t.Errorf("%s: %v", user, a)
	}
	m.presented(user+" with "+key, m.sealed["the token of "+user])
}

// Everything moves from the sealed store into Vault, through crashes and outages; nothing is written twice, nobody's newer
// value is lost, what waited meanwhile runs then, and no secret is said.
func TestCredentialsMoveIntoVault(t *testing.T) {
	t.Parallel()
	m := newRemoval(t)
	const many = 150
	m.furnish(many)
	total := many + 2*4 + 1 // the key that signs tokens
	m.sees("user-000", m.sealed["the variable of development"], "eu-west-1")

	m.worker.leaves(t)
	m.api.leaves(t)
	waiting := m.postAsync(m.flow.PathURL, `{"event":"user-001"}`, as("user-001")) // the ingress stays

	if out, stderr, code := m.migrate("--dry-run", "--json"); code != 0 || outcomes(t, out)["moved"] != total {
		t.Fatalf("exit %d: %v\n%s", code, outcomes(t, out), stderr)
	}
	if values, _ := m.everything(); len(values) != 0 {
		t.Errorf("a dry run has written %d", len(values))
	}
	m.cutOff("migrate-1", 1)
	m.cutOff("migrate-2", total/4)
	m.vault.seal()
	if out, stderr, code := m.migrate("--json"); code != 1 || out != "" || !strings.Contains(stderr, "behalf: credentials: Vault is sealed\nhint: ") {
		t.Errorf("Vault is sealed: exit %d\n%s%s", code, out, stderr)
	}
	m.vault.unseal()
	m.cutOff("migrate-3", total/2)
	out, stderr, code := m.migrate("--json")
	if got := outcomes(t, out); code != 0 || got["moved"]+got["same"] != total || got["moved"] == 0 || got["same"] < total/2 {
		t.Errorf("exit %d: %v\n%s", code, got, stderr)
	}
	m.moved(total)
	m.refusals()

	m.reopen()
	if a := soon(t, waiting); a.status != http.StatusOK && a.status != http.StatusAccepted { // 202, where the move took long
		t.Errorf("what waited meanwhile: %v", a)
	}
	eventually(t, asLongAsItTakes, "what waited meanwhile does not run", func() bool {
		calls, _ := m.vendor.of("user-001 with " + m.sealed["the variable of development"])
		return len(calls) == 1
	})
	m.presented("user-001 with "+m.sealed["the variable of development"], m.sealed["the token of user-001"])
	m.sees("user-002", m.sealed["the variable of development"], "eu-west-1") // with the bearer of before: its key has moved too
	m.newToken(m.world.file.ClientID, m.world.file.ClientSecret)

	m.variables()
	m.again(total)

	h := newHunt(t, m.canaries...)
	h.look("answers", "migrate", m.said.Bytes())
	h.processes(m.world, m.worker.process)
	m.idle()
	h.metrics(m.world)
	h.streams(m.world)
	h.files(m.world)
	h.report()
}

// refusals tries the command by who may not, and without the key.
func (m *removal) refusals() {
	m.t.Helper()
	here := m.here
	defer func() { m.here = here }()
	m.here = append(slices.Clone(here), "BEHALF_VAULT_TOKEN_FILE="+m.file("worker"), "BEHALF_ENVIRONMENTS=production")
	if out, stderr, code := m.migrate(); code != 1 || !strings.Contains(stderr, "hint: the login needs the rights of the API") {
		m.t.Errorf("by a worker of development: exit %d\n%s%s", code, out, stderr)
	}
	m.here = append(slices.Clone(here), "BEHALF_DATA_DIR="+m.t.TempDir())
	if out, stderr, code := m.migrate(); code != 1 || out != "" || !strings.Contains(stderr, "there is no key file") {
		m.t.Errorf("without the key: exit %d\n%s%s", code, out, stderr)
	}
	m.here = append(slices.Clone(here), "VAULT_ADDR=http://127.0.0.1:1")
	if out, stderr, code := m.migrate(); code != 1 || out != "" || !strings.Contains(stderr, "behalf: credentials: Vault does not answer\nhint: ") {
		m.t.Errorf("without Vault: exit %d\n%s%s", code, out, stderr)
	}
}

// variables are set, changed, listed and unset in Vault, and steps see them within moments.
func (m *removal) variables() {
	m.t.Helper()
	next := m.secret("the next variable")
	m.mustRun(next, "env", "set", "STRIPE_KEY", "--env", "development")
	m.mustRun("", "env", "set", "--plain", "REGION=us-east-1", "--env", "development")
	eventually(m.t, asLongAsItTakes, "the next value is not used", func() bool {
		if a := m.call("user-003"); a.status != http.StatusOK {
			m.t.Errorf("after the change: %v", a)
		}
		calls, _ := m.vendor.of("user-003 with " + next)
		return len(calls) > 0
	})
	m.sees("user-004", next, "us-east-1")
	for _, env := range behalf.Environments() {
		list := m.mustRun("", "env", "list", "--env", string(env), "--json")
		if strings.Count(list, "\n") != 2 || !strings.Contains(list, `"STRIPE_KEY"`) || !strings.Contains(list, `"REGION"`) || strings.Contains(list, "canary") {
			m.t.Errorf("env list of %s: %s", env, list)
		}
	}
	kv := m.vault.root.KVv2("behalf-development")
	key := string(m.world.file.ProjectID) + "/_env/STRIPE_KEY"
	if found := must(kv.Get(m.t.Context(), key))(m.t); found.VersionMetadata.Version != 2 || !strings.Contains(fmt.Sprint(found.Data), next) {
		m.t.Errorf("in Vault at version %d", found.VersionMetadata.Version)
	}
	m.mustRun("", "env", "unset", "STRIPE_KEY", "--env", "development")
	if left, err := kv.GetMetadata(m.t.Context(), key); err == nil {
		m.t.Errorf("after unset there is %v", left)
	}
	eventually(m.t, asLongAsItTakes, "a step still has what was unset", func() bool {
		a := m.call("user-005")
		return a.status != http.StatusOK && strings.Contains(a.body, "STRIPE_KEY")
	})
	m.mustRun(next, "env", "set", "STRIPE_KEY", "--env", "development")
	eventually(m.t, asLongAsItTakes, "what was set again is not used", func() bool { return m.call("user-006").status == http.StatusOK })
}

// again runs the command once more, when Vault has moved on: nothing that is newer there is lost.
func (m *removal) again(total int) {
	m.t.Helper()
	before, _ := m.everything()
	out, stderr, code := m.migrate("--json")
	if got := outcomes(m.t, out); code != 0 || got["kept"] != 2 || got["same"] != total-2 || !strings.Contains(stderr, "--overwrite") {
		m.t.Errorf("exit %d: %v\n%s", code, got, stderr)
	}
	if after, _ := m.everything(); !maps.Equal(before, after) {
		m.t.Error("something in Vault has changed")
	}
}
