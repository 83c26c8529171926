package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// kv answers as a Vault does as far as a migration asks it. The real one is tried in test/.
type kv struct {
	mu     sync.Mutex
	values map[string][]json.RawMessage
	refuse func(*http.Request) (status int, message string) // instead, where it says so
}

func (v *kv) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	say := func(status int, doc any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(doc)
	}
	if v.refuse != nil {
		if status, message := v.refuse(r); status != 0 {
			say(status, map[string]any{"errors": []string{message}})
			return
		}
	}
	versions := v.values[r.URL.Path]
	switch {
	case r.URL.Path == "/v1/sys/health":
		say(http.StatusOK, map[string]any{"initialized": true})
	case r.URL.Path == "/v1/auth/token/lookup-self":
		say(http.StatusOK, map[string]any{"data": map[string]any{"ttl": 0, "renewable": false}})
	case r.Method == http.MethodGet && len(versions) == 0:
		say(http.StatusNotFound, map[string]any{"errors": []string{}})
	case r.Method == http.MethodGet:
		say(http.StatusOK, map[string]any{"data": map[string]any{"data": versions[len(versions)-1], "metadata": map[string]int{"version": len(versions)}}})
	default:
		var body struct {
			Options struct {
				CAS int `json:"cas"`
			} `json:"options"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Options.CAS != len(versions) {
			say(http.StatusBadRequest, map[string]any{"errors": []string{"check-and-set parameter did not match the current version"}})
			return
		}
		v.values[r.URL.Path] = append(versions, body.Data)
		say(http.StatusOK, map[string]any{"data": map[string]int{"version": len(versions) + 1}})
	}
}

func (v *kv) set(change func(*kv)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

// removal is a house to move out of: a NATS with something of every kind in both environments, and an empty Vault.
type removal struct {
	t     *testing.T
	vars  map[string]string
	vault *kv
	paths []credential.Path
}

func newRemoval(t *testing.T) *removal {
	t.Helper()
	dir := t.TempDir()
	nats, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, "nats"), Addr: "127.0.0.1:0", MaxStorage: 8 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nats.Close)
	m := &removal{t: t, vault: &kv{values: map[string][]json.RawMessage{}}}
	server := httptest.NewServer(m.vault)
	t.Cleanup(server.Close)
	m.vars = map[string]string{
		"BEHALF_NATS_URL": nats.URL(), "BEHALF_DATA_DIR": dir, "BEHALF_LOG_LEVEL": "error", "VAULT_ADDR": server.URL, "VAULT_TOKEN": credentialtest.Canary, "HOME": dir,
		"BEHALF_NATS_CREDS_DEVELOPMENT": nats.CredsFile(behalf.Development), "BEHALF_NATS_CREDS_PRODUCTION": nats.CredsFile(behalf.Production),
	}
	if _, stderr, code := m.run("provision"); code != 0 {
		t.Fatal(stderr)
	}
	m.fill()
	return m
}

func (m *removal) world(stdout, stderr *bytes.Buffer) world {
	return world{
		lookupEnv: func(name string) (string, bool) { v, ok := m.vars[name]; return v, ok },
		stdin:     strings.NewReader(""), stdout: stdout, stderr: stderr,
	}
}

func (m *removal) run(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	var out, errs bytes.Buffer
	code = run(m.t.Context(), args, m.world(&out, &errs))
	if credentialtest.Leaks(out.String()) || credentialtest.Leaks(errs.String()) || strings.Contains(out.String()+errs.String(), "abc-123") {
		m.t.Errorf("%v shows a value or a user:\n%s%s", args, &out, &errs)
	}
	return out.String(), errs.String(), code
}

func (m *removal) migrate(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	return m.run(append([]string{"credentials", "migrate", "--from", "sealed", "--to", "vault", "--patience", "100ms"}, args...)...)
}

func (m *removal) fill() {
	m.t.Helper()
	w := m.world(&bytes.Buffer{}, &bytes.Buffer{})
	s, err := readSettings(w, behalf.Environments(), "")
	if err != nil {
		m.t.Fatal(err)
	}
	all, err := openAll(m.t.Context(), s, "test", bus.Config{}, zerolog.Nop())
	if err != nil {
		m.t.Fatal(err)
	}
	defer all.close()
	store, err := openSealed(m.t.Context(), s.dataDir, all)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, env := range behalf.Environments() {
		m.paths = append(m.paths, credential.PathOf(env, credentialtest.Account("abc-123")), credential.PathOf(env, credentialtest.Account("")),
			credential.OAuthAppPath(env, "proj_a", "oa_1"), credential.VariablePath(env, "proj_a", "STRIPE_KEY"), credential.SigningKeyPath(env))
	}
	for _, p := range m.paths {
		c := credential.Credential{Fields: map[string]secret.String{"value": secret.New(credentialtest.Canary)}}
		if _, err := store.Put(m.t.Context(), p, c, 0); err != nil {
			m.t.Fatal(err)
		}
	}
}

// at is where a path lies in Vault.
func (m *removal) at(p credential.Path) string {
	m.t.Helper()
	key, err := p.Key()
	if err != nil {
		m.t.Fatal(err)
	}
	return "/v1/behalf-" + string(p.Environment) + "/data/" + key
}

func (m *removal) says(code int, stdout, stderr string, args ...string) {
	m.t.Helper()
	out, errs, got := m.migrate(args...)
	if got != code || !strings.Contains(out, stdout) || !strings.Contains(errs, stderr) || stdout == "" && out != "" {
		m.t.Errorf("migrate %v: exit %d\n%s%s", args, got, out, errs)
	}
}

func TestCredentialsMigrate(t *testing.T) {
	t.Parallel()
	m := newRemoval(t)
	m.says(0, "10 moved, 0 replaced, 0 same, 0 kept, 0 gone, 0 failed; nothing was written", "production: 5 of 5\n", "--dry-run")
	if len(m.vault.values) != 0 {
		t.Errorf("a dry run wrote %d", len(m.vault.values))
	}
	m.says(0, "10 moved, 0 replaced, 0 same, 0 kept, 0 gone, 0 failed\n", "BEHALF_CREDENTIALS=vault; once they serve, delete "+filepath.Join(m.vars["BEHALF_DATA_DIR"], "sealed.key"))
	for _, p := range m.paths {
		if len(m.vault.values[m.at(p)]) != 1 {
			t.Errorf("%s is there %d times", p, len(m.vault.values[m.at(p)]))
		}
	}

	// What is another in Vault stays, and can be told not to.
	p := m.paths[3]
	m.vault.set(func(v *kv) {
		v.values[m.at(p)] = append(v.values[m.at(p)], json.RawMessage(`{"v":1,"fields":{"value":"another"}}`))
	})
	out, errs, code := m.migrate("--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	kept := fmt.Sprintf(`{"environment":"%s","kind":"variable","path":%q,"outcome":"kept","reason":"differs"}`, p.Environment, p)
	if code != 0 || len(lines) != 10 || !strings.Contains(out, kept+"\n") || !strings.Contains(errs, "0 moved, 0 replaced, 9 same, 1 kept") || !strings.Contains(errs, "--overwrite") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	m.says(0, "replaced\t"+p.String(), "", "--overwrite")
	m.says(0, "0 moved, 0 replaced, 10 same, 0 kept", "")
}

func TestCredentialsMigrateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := newRemoval(t)
	refuse := func(status int, message string, only func(*http.Request) bool) {
		m.vault.set(func(v *kv) {
			v.refuse = func(r *http.Request) (int, string) {
				if only(r) {
					return status, message
				}
				return 0, ""
			}
		})
	}
	always := func(*http.Request) bool { return true }
	writing := func(r *http.Request) bool { return r.Method != http.MethodGet }
	refuse(http.StatusServiceUnavailable, "Vault is sealed", always)
	m.says(1, "", "behalf: credentials: Vault is sealed\nhint: VAULT_ADDR says where Vault is")
	refuse(http.StatusForbidden, "permission denied", always)
	m.says(1, "", "behalf: credentials: Vault refuses our login\n")
	refuse(http.StatusForbidden, "permission denied", writing)
	m.says(1, "0 moved", "hint: the login needs the rights of the API in each environment")
	refuse(http.StatusServiceUnavailable, "Vault is sealed", writing)
	m.says(1, "0 moved", "behalf: credentials are away: Vault is sealed")
	m.says(1, "0 moved", "hint: run the same again: what is in Vault stays as it is")
	refuse(0, "", always)

	address := m.vars["VAULT_ADDR"]
	m.vars["VAULT_ADDR"] = "http://127.0.0.1:1"
	m.says(1, "", "behalf: credentials: Vault does not answer\n")
	m.vars["VAULT_ADDR"], m.vars["VAULT_TOKEN"] = address, ""
	m.says(2, "", "behalf: Vault needs a login")
	m.vars["VAULT_TOKEN"] = credentialtest.Canary

	key := filepath.Join(m.vars["BEHALF_DATA_DIR"], "sealed.key")
	right, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if _, err := credential.OpenSealed(t.Context(), filepath.Join(other, "sealed.key"), nil); err != nil {
		t.Fatal(err)
	}
	m.vars["BEHALF_DATA_DIR"] = other
	m.says(2, "0 moved", "behalf: none of the first 5 credentials of production opens: they were sealed with another key\nhint: BEHALF_DATA_DIR names")
	m.vars["BEHALF_DATA_DIR"] = t.TempDir()
	m.says(1, "", "sealed.key\nhint: BEHALF_DATA_DIR names the data folder")
	if left, err := os.ReadDir(m.vars["BEHALF_DATA_DIR"]); err != nil || len(left) != 0 {
		t.Errorf("a key was made: %v, %v", left, err)
	}
	m.vars["BEHALF_DATA_DIR"] = filepath.Dir(key)
	if err := os.WriteFile(key, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.says(2, "", "holds no key set in JSON")
	if err := os.WriteFile(key, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(m.vault.values) != 0 {
		t.Errorf("%d were written", len(m.vault.values))
	}
	m.says(0, "10 moved", "")
}

// Where nothing else says where NATS is, the file of `behalf dev` does.
func TestCredentialsMigrateFromDev(t *testing.T) {
	t.Parallel()
	m := newRemoval(t)
	file := devFile{NATSURL: m.vars["BEHALF_NATS_URL"], NATSCreds: make(map[behalf.Environment]string)}
	for _, env := range behalf.Environments() {
		file.NATSCreds[env] = m.vars[credsVariable(env)]
		delete(m.vars, credsVariable(env))
	}
	delete(m.vars, "BEHALF_NATS_URL")
	if err := file.write(m.vars["BEHALF_DATA_DIR"]); err != nil {
		t.Fatal(err)
	}
	m.says(0, "10 moved", "")
}
