//go:build integration

package test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// presenting is a step that shows the user's token to the vendor.
const presenting = `export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ steps, $ }) {
  const event = steps.trigger.event.body.event;
  const res = await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event }), headers: {
    authorization: "Bearer " + this.practice.$auth.oauth_access_token, "idempotency-key": $.context.idempotency_key } });
  await res.text();
  ` + respond + `
} });
`

// vaultWorld is a Behalf whose credentials lie in a real Vault.
type vaultWorld struct {
	*world
	vault     *vaultServer
	secrets   string // a folder with what the roles log in by
	worker    *role
	side      string // of the worker
	flow      deployed
	canaries  []canary
	apiToken  string
	workToken string
}

func newVaultWorld(t *testing.T) *vaultWorld {
	t.Helper()
	v := &vaultWorld{vault: startVault(t), secrets: t.TempDir()}
	v.install(t)
	v.apiToken, v.workToken = v.vault.roleToken("behalf", "api-development", "api-production"), v.vault.roleToken("behalf", "worker-development")
	write(t, v.file("api"), v.apiToken)
	write(t, v.file("worker"), v.workToken)
	v.world = newWorldWith(t, ackWait, "BEHALF_CREDENTIALS=vault", "VAULT_ADDR="+v.vault.addr, "VAULT_CLIENT_TIMEOUT=2s", "BEHALF_VAULT_TOKEN_FILE="+v.file("api"))
	v.worker = v.workerOf(program(t, behalfProgram), development, []string{"BEHALF_VAULT_TOKEN_FILE=" + v.file("worker")}, "--slots", "4")
	v.side = v.sides[0]
	v.flow = v.deploy("present", map[string]string{
		"workflow.yaml": flow("oauth", "custom", "", "only , accounts: { practice: end_user }"), "only.mjs": presenting,
	})
	v.canaries = append(v.canaries, newCanary("the token of the API", v.apiToken), newCanary("the token of the worker", v.workToken),
		newCanary("the root token", v.vault.root.Token()), newCanary("the key of Vault", v.vault.key))
	return v
}

func (v *vaultWorld) file(name string) string { return filepath.Join(v.secrets, name) }

// install brings Vault to what Behalf needs by the command for it, twice.
func (v *vaultWorld) install(t *testing.T) {
	t.Helper()
	env := []string{"VAULT_ADDR=" + v.vault.addr, "VAULT_TOKEN=" + v.vault.root.Token()}
	for _, want := range []string{"created", "unchanged"} {
		out, stderr, code := command(t, t.TempDir(), "", env, program(t, behalfProgram), "provision", "vault", "--approle", "--json")
		if code != 0 {
			t.Fatalf("provision vault: exit %d\n%s%s", code, out, stderr)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		for _, line := range lines {
			var change struct {
				Kind   string `json:"kind"`
				Name   string `json:"name"`
				Action string `json:"action"`
			}
			if err := json.Unmarshal([]byte(line), &change); err != nil || change.Action != want || !strings.Contains(change.Name, "behalf") && change.Kind != "auth" {
				t.Errorf("provision vault printed %s, want it %s: %v", line, want, err)
			}
		}
		if len(lines) != 2+4+1+5 {
			t.Errorf("provision vault printed %d lines:\n%s", len(lines), out)
		}
	}
	_, stderr, code := command(t, t.TempDir(), "", []string{"VAULT_ADDR=" + v.vault.addr, "VAULT_TOKEN=hvs.nothing"}, program(t, behalfProgram), "provision", "vault")
	if code != 1 || !strings.Contains(stderr, "hint: it takes a token that may") {
		t.Errorf("provision vault by a stranger: exit %d, %s", code, stderr)
	}
}

// user gives a new user an account, and returns its token and where it lies.
func (v *vaultWorld) user(name string) (token string, p credential.Path) {
	v.t.Helper()
	token = "canary+" + name + "/" + rand.Text()
	v.canaries = append(v.canaries, newCanary("the token of "+name, token))
	out := v.mustRun(fmt.Sprintf(`{"oauth_access_token":%q}`, token), "accounts", "create", "--app", "practice", "--user", name, "--env", "development", "--credential", "-", "--json")
	var made struct {
		ID behalf.AccountID `json:"id"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.ID == "" {
		v.t.Fatalf("accounts create printed %s: %v", out, err)
	}
	return token, credential.PathOf(development, behalf.Account{ID: made.ID, Project: v.world.file.ProjectID, App: "practice", User: behalf.ExternalUserID(name)})
}

// call runs the workflow for a user.
func (v *vaultWorld) call(user string) answer {
	return v.post(v.flow.PathURL, fmt.Sprintf(`{"event":%q}`, user), as(user))
}

// served holds a call to its answer, with this token.
func (v *vaultWorld) served(user, token string) {
	v.t.Helper()
	if a := v.call(user); a.status != http.StatusOK {
		v.t.Errorf("%s: %v", user, a)
	}
	v.presented(user, token)
}

// presented holds the last call of a user's step to this token.
func (v *vaultWorld) presented(user, token string) {
	v.t.Helper()
	calls, _ := v.vendor.of(user)
	if len(calls) == 0 || calls[len(calls)-1].Token != token {
		v.t.Errorf("the vendor saw another token of %s, or none of %d calls", user, len(calls))
	}
}

// reasons is what a role says of itself.
func (v *vaultWorld) reasons(url string) string {
	v.t.Helper()
	req := must(http.NewRequest(http.MethodGet, url+"/readyz", nil))(v.t)
	res, err := v.http.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body := must(io.ReadAll(res.Body))(v.t)
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// outage has Vault be away, and holds the rest to what it must do meanwhile and after.
func (v *vaultWorld) outage(name, cached, token, why string, begin, end func()) {
	v.t.Helper()
	user := "user-of-" + strings.ReplaceAll(name, " ", "-")
	mine, _ := v.user(user)
	begin()
	v.served(cached, token)

	a := v.call(user)
	if a.status != http.StatusAccepted || a.code() != "waiting" {
		v.t.Errorf("%s: whose token is not in memory got %v", name, a)
	}
	eventually(v.t, asLongAsItTakes, name+": the worker does not say why", func() bool {
		said := v.reasons("http://" + v.side)
		return strings.HasPrefix(said, "503 ") && strings.Contains(said, why)
	})
	if said := v.reasons(v.apiURL); !strings.HasPrefix(said, "200 ") {
		v.t.Errorf("%s: the API no longer serves: %s", name, said)
	}
	v.newToken(v.world.file.ClientID, v.world.file.ClientSecret) // its key is in memory
	_, stderr, code := v.run(`{"oauth_access_token":"not-to-be-stored"}`, "accounts", "create", "--app", "practice", "--user", "nobody", "--env", "development", "--credential", "-")
	if code != 1 || strings.Contains(stderr, "not-to-be-stored") {
		v.t.Errorf("%s: an account was made: exit %d, %s", name, code, stderr)
	}

	end()
	eventually(v.t, 2*time.Minute, name+": the run does not go on", func() bool { return v.result(a.run()).status == http.StatusOK })
	v.presented(user, mine)
	f := v.journal()[a.run()]
	if f.finishes != 1 || f.state != "ok" || v.dead() != 0 {
		v.t.Errorf("%s: the run ended %+v, %d dead letters", name, f, v.dead())
	}
	eventually(v.t, asLongAsItTakes, name+": the worker is not ready again", func() bool { return strings.HasPrefix(v.reasons("http://"+v.side), "200 ") })
	v.t.Logf("%s: records %v", name, f.records)
}

// Vault goes away in every way, and comes back: whoever is in memory is served, whoever is not waits without spending an
// attempt, no process ends, everybody says why, and no secret is where it does not belong.
func TestVaultGoesAway(t *testing.T) {
	t.Parallel()
	v := newVaultWorld(t)
	alice, place := v.user("alice")
	v.served("alice", alice)

	v.outage("sealed", "alice", alice, "Vault is sealed", v.vault.seal, v.vault.unseal)
	v.outage("stopped", "alice", alice, "Vault does not answer", v.vault.stop, func() { v.vault.start(); v.vault.unseal() })
	v.outage("hung", "alice", alice, "Vault does not answer", func() { v.vault.docker("pause") }, func() { v.vault.docker("unpause") })

	v.changed("alice", place)
	v.revoked()
	v.late()

	h := newHunt(t, v.canaries...)
	h.answer("answer", v.call("alice"))
	h.processes(v.world, v.worker.process)
	v.idle()
	h.metrics(v.world)
	h.streams(v.world)
	h.files(v.world)
	h.vaultPaths(v.vault)
	h.report()
}

// changed has somebody write another token into Vault and tell of it, as an API or another worker does.
func (v *vaultWorld) changed(user string, p credential.Path) {
	v.t.Helper()
	const next = "canary+next/0123456789"
	v.canaries = append(v.canaries, newCanary("the next token", next))
	key := must(p.Key())(v.t)
	kv := v.vault.root.KVv2("behalf-development")
	now := must(kv.Get(v.t.Context(), key))(v.t)
	must(kv.Put(v.t.Context(), key, map[string]any{"v": 1, "fields": map[string]string{credential.FieldAccessToken: next}}, api.WithCheckAndSet(now.VersionMetadata.Version)))(v.t)
	nc, _ := v.nats.connect(v.t, development)
	if err := nc.Publish(subject.CredentialChanged(development, p.Name()), nil); err != nil {
		v.t.Fatal(err)
	}
	if err := nc.FlushTimeout(asLongAsItTakes); err != nil {
		v.t.Fatal(err)
	}
	eventually(v.t, asLongAsItTakes, "the next token is not used", func() bool {
		if a := v.call(user); a.status != http.StatusOK {
			v.t.Errorf("after the change: %v", a)
		}
		calls, _ := v.vendor.of(user)
		return calls[len(calls)-1].Token == next
	})
}

// revoked takes the worker's token away: there is another in its file, and runs go on.
func (v *vaultWorld) revoked() {
	v.t.Helper()
	next := v.vault.roleToken("behalf", "worker-development")
	v.canaries = append(v.canaries, newCanary("the worker's next token", next))
	write(v.t, v.file("worker"), next)
	if err := v.vault.root.Auth().Token().RevokeTree(v.workToken); err != nil {
		v.t.Fatal(err)
	}
	token, _ := v.user("dora")
	a := v.call("dora") // 200, or 202 where the token was looked at a moment ago
	eventually(v.t, time.Minute, "the run does not go on", func() bool { return v.result(a.run()).status == http.StatusOK })
	v.presented("dora", token)
}

// late starts an API and a worker while Vault is sealed: they say so, live, and serve once it is open.
func (v *vaultWorld) late() {
	v.t.Helper()
	v.vault.seal()
	addr, side := freeAddr(v.t), freeAddr(v.t)
	second := v.start("api-2", []string{"BEHALF_ADDR=" + addr}, "api")
	third := v.start("worker-late", []string{"BEHALF_METRICS_ADDR=" + side, "BEHALF_VAULT_TOKEN_FILE=" + v.file("worker")}, "worker", "--env", "development", "--unsafe-no-sandbox", "--ack-wait", v.ackWait.String())
	for _, url := range []string{"http://" + addr, "http://" + side} {
		eventually(v.t, asLongAsItTakes, url+" does not say why it is not ready", func() bool {
			said := v.reasons(url)
			return strings.HasPrefix(said, "503 ") && strings.Contains(said, "Vault is sealed")
		})
	}
	body := fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q}`, v.world.file.ClientID, v.world.file.ClientSecret)
	plain := func(r *http.Request) { r.Header.Del("Authorization") }
	if a := v.post("http://"+addr+"/v1/oauth/token", body, plain); a.status != http.StatusServiceUnavailable {
		v.t.Errorf("a token without its key: %v", a)
	}
	v.vault.unseal()
	second.serves(v.t, "http://"+addr+"/readyz")
	third.serves(v.t, "http://"+side+"/readyz")
	if a := v.post("http://"+addr+"/v1/oauth/token", body, plain); a.status != http.StatusOK {
		v.t.Errorf("a token: %d", a.status)
	}
	second.kill()
	third.kill()
}
