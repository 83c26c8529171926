//go:build integration

package test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/hashicorp/vault/api"

	policies "github.com/behalf-dev/behalf/deployments/vault"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// provision installs everything under a prefix of its own.
func (v *vaultServer) provision(t *testing.T, prefix string) []vault.Change {
	t.Helper()
	changes, err := vault.Provision(t.Context(), v.config(prefix, v.root.Token()), vault.Layout{
		Environments: behalf.Environments(), Policies: policies.All(), AppRole: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// roleToken is a token as a role gets it.
func (v *vaultServer) roleToken(prefix string, roles ...string) string {
	var names []string
	for _, role := range roles {
		names = append(names, prefix+"-"+role)
	}
	return v.token(api.TokenCreateRequest{Policies: names, NoDefaultPolicy: true, NoParent: true})
}

// One Vault for everything that does not hurt it.
func TestVault(t *testing.T) {
	t.Parallel()
	v := startVault(t)
	v.provision(t, "all")
	for name, test := range map[string]func(*testing.T, *vaultServer){
		"suite": vaultSuite, "provision": vaultProvision, "matrix": vaultMatrix, "delete": vaultDelete,
		"approle": vaultAppRole, "jwt": vaultJWT, "kubernetes": vaultKubernetes, "cert": vaultCert, "token": vaultToken,
		"max ttl": vaultMaxTTL, "revoked": vaultRevoked, "limited": vaultLimited,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine := *v
			mine.t = t
			test(t, &mine)
		})
	}
}

// The store in Vault passes the suite of the sealed store, with no more rights than those of the API.
func vaultSuite(t *testing.T, v *vaultServer) {
	t.Helper()
	credentialtest.Exercise(t, func(t *testing.T) credential.Store {
		t.Helper()
		prefix := "s-" + strings.ToLower(rand.Text()[:10])
		v.provision(t, prefix)
		return v.store(t, v.config(prefix, v.roleToken(prefix, "api-development", "api-production")))
	})
}

func vaultProvision(t *testing.T, v *vaultServer) {
	t.Helper()
	actions := func(changes []vault.Change) map[string]int {
		n := map[string]int{}
		for _, c := range changes {
			n[c.Action]++
		}
		return n
	}
	first := v.provision(t, "again")
	if got := actions(first); got["created"] < 10 {
		t.Errorf("at first: %v", first)
	}
	if second := v.provision(t, "again"); actions(second)["unchanged"] != len(second) {
		t.Errorf("the second time: %v", second)
	}
	v.write("again-production/config", map[string]any{"cas_required": false})
	v.write("auth/approle/role/again-worker-production", map[string]any{"token_policies": "default"})
	if err := v.root.Sys().PutPolicy("again-api-production", `path "again-*" { capabilities = ["list"] }`); err != nil {
		t.Fatal(err)
	}
	var mended []string
	for _, c := range v.provision(t, "again") {
		if c.Action != "unchanged" {
			mended = append(mended, c.Action+" "+c.Kind+" "+c.Name)
		}
	}
	if want := []string{"updated mount again-production", "updated policy again-api-production", "updated role approle/again-worker-production"}; !slices.Equal(mended, want) {
		t.Errorf("mended %v, want %v", mended, want)
	}
	if err := v.root.Sys().Mount("taken-production", &api.MountInput{Type: "kv"}); err != nil {
		t.Fatal(err)
	}
	_, err := vault.Provision(t.Context(), v.config("taken", v.root.Token()), vault.Layout{Environments: []behalf.Environment{production}})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("another's mount: %v", err)
	}
	_, err = vault.Provision(t.Context(), v.config("new", v.roleToken("all", "api-production")), vault.Layout{Environments: []behalf.Environment{production}})
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("without the right: %v", err)
	}
}

// vaultPlace is a kind of path, as one that exists and one that does not.
type vaultPlace struct{ there, missing string }

func vaultPlaces(env behalf.Environment) map[string]vaultPlace {
	mount := "all-" + string(env)
	return map[string]vaultPlace{
		"account":  {mount + "/%s/proj_a/c5h66b9h68pg/slack/apn_there", mount + "/%s/proj_a/c5h66b9h68pg/slack/apn_missing"},
		"own":      {mount + "/%s/proj_a/_own/slack/apn_there", mount + "/%s/proj_a/_own/slack/apn_missing"},
		"oauth":    {mount + "/%s/proj_a/_oauth/oa_there", mount + "/%s/proj_a/_oauth/oa_missing"},
		"settings": {mount + "/%s/proj_a/_env/there", mount + "/%s/proj_a/_env/missing"},
		"signing":  {mount + "/%s/_keys/signing", mount + "/%s/_keys/another"},
	}
}

// vaultRights is all that roles may do, by role and kind of path, in their own environment. What is not here is denied.
func vaultRights(role, place string) []string {
	return map[string][]string{
		"worker account": {"read", "update"}, "worker own": {"read", "update"}, "worker oauth": {"read"}, "worker settings": {"read"},
		"api account": {"create", "read", "update", "erase"}, "api own": {"create", "read", "update", "erase"},
		"api oauth": {"create", "read", "update", "erase"}, "api settings": {"create", "read", "update", "erase"}, "api signing": {"read", "update"},
	}[role+" "+place]
}

var policyPath = regexp.MustCompile(`(?m)^\s*path\s+"([^"]+)"`)

// vaultCovered holds the places to having one for every path that a policy's file names, and counts those paths. What is
// not of a mount is a role's own token.
func vaultCovered(t *testing.T) (paths int) {
	t.Helper()
	var tried []string
	for _, env := range behalf.Environments() {
		for _, p := range vaultPlaces(env) {
			for _, where := range []string{"data", "metadata"} {
				tried = append(tried, fmt.Sprintf(p.there, where), fmt.Sprintf(p.missing, where))
			}
		}
	}
	for name, text := range policies.All() {
		if strings.Count(text, "path ") != len(policyPath.FindAllString(text, -1)) {
			t.Errorf("%s has paths that cannot be read", name)
		}
		for _, found := range policyPath.FindAllStringSubmatch(text, -1) {
			paths++
			path, ours := strings.CutPrefix(found[1], vault.DefaultPrefix+"-")
			own := slices.Contains([]string{"auth/token/lookup-self", "auth/token/renew-self"}, found[1])
			pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta("all-"+path), `\+`, "[^/]+") + "$")
			if !own && (!ours || !slices.ContainsFunc(tried, pattern.MatchString)) {
				t.Errorf("%s of %s is not tried", found[1], name)
			}
		}
	}
	return paths
}

// Every role tries everything in every environment, on the real server. The roles come from the policies' own files, and
// every path that one names is tried.
func vaultMatrix(t *testing.T, v *vaultServer) {
	t.Helper()
	paths := vaultCovered(t)
	fields := map[string]any{"data": map[string]any{"v": 1}, "options": map[string]any{"cas": 0}}
	for _, env := range behalf.Environments() {
		for _, p := range vaultPlaces(env) {
			v.write(fmt.Sprintf(p.there, "data"), fields)
		}
	}
	tried, crossed := 0, 0
	for name := range policies.All() {
		role, home, _ := strings.Cut(name, "-")
		c := v.client(v.roleToken("all", name))
		for _, env := range behalf.Environments() {
			for kind, place := range vaultPlaces(env) {
				for what, do := range vaultDeeds(c, place) {
					_, err := do()
					tried++
					may := string(env) == home && slices.Contains(vaultRights(role, kind), what)
					if allowed := !denied(err); allowed != may {
						crossed++
						t.Errorf("%s may %s %s of %s: %v (%v)", name, what, kind, env, allowed, err)
					}
				}
			}
		}
		for _, path := range []string{"sys/policies/acl/all-" + name, "sys/mounts", "sys/audit", "auth/token/create", "auth/approle/role/all-" + name + "/secret-id", "all-" + home + "/config", "sys/raw/x", "cubbyhole/x", "identity/entity"} {
			tried++
			if _, err := c.Logical().Write(path, map[string]any{"policy": "", "cas_required": false}); !denied(err) {
				crossed++
				t.Errorf("%s may write %s: %v", name, path, err)
			}
		}
	}
	if tried < 400 {
		t.Errorf("only %d attempts", tried)
	}
	t.Logf("%d attempts of %d roles on the %d paths of their policies, %d crossings", tried, len(policies.All()), paths, crossed)
}

// vaultDeeds are all that one can try on a path. Writes name a revision that is not there, so that whoever may write
// changes nothing for the others.
func vaultDeeds(c *api.Client, p vaultPlace) map[string]func() (*api.Secret, error) {
	at := func(path, where string) string { return fmt.Sprintf(path, where) }
	stale := map[string]any{"data": map[string]any{"v": 1}, "options": map[string]any{"cas": 1000}}
	versions := map[string]any{"versions": []int{1000}}
	folder := p.there[:strings.LastIndex(p.there, "/")]
	return map[string]func() (*api.Secret, error){
		"create": func() (*api.Secret, error) { return c.Logical().Write(at(p.missing, "data"), stale) },
		"read":   func() (*api.Secret, error) { return c.Logical().Read(at(p.there, "data")) },
		"update": func() (*api.Secret, error) { return c.Logical().Write(at(p.there, "data"), stale) },
		"patch": func() (*api.Secret, error) {
			return c.Logical().JSONMergePatch(context.Background(), at(p.there, "data"), stale)
		},
		"delete":        func() (*api.Secret, error) { return c.Logical().Delete(at(p.there, "data")) },
		"undelete":      func() (*api.Secret, error) { return c.Logical().Write(at(p.there, "undelete"), versions) },
		"destroy":       func() (*api.Secret, error) { return c.Logical().Write(at(p.there, "destroy"), versions) },
		"erase":         func() (*api.Secret, error) { return c.Logical().Delete(at(p.missing, "metadata")) },
		"read metadata": func() (*api.Secret, error) { return c.Logical().Read(at(p.there, "metadata")) },
		"set metadata": func() (*api.Secret, error) {
			return c.Logical().Write(at(p.there, "metadata"), map[string]any{"max_versions": 9})
		},
		"list":    func() (*api.Secret, error) { return c.Logical().List(at(folder, "metadata")) },
		"subkeys": func() (*api.Secret, error) { return c.Logical().Read(at(p.there, "subkeys")) },
	}
}

func denied(err error) bool {
	var answered *api.ResponseError
	return errors.As(err, &answered) && answered.StatusCode == http.StatusForbidden
}

// vaultPath is the path of an account that nothing else has.
func vaultPath() credential.Path {
	return credential.PathOf(development, credentialtest.Account("abc-123"))
}

func canaryCredential(value string) credential.Credential {
	return credential.Credential{Fields: map[string]secret.String{credential.FieldAccessToken: secret.New(value)}}
}

// Deleting leaves no version behind, and no more than three are kept before.
func vaultDelete(t *testing.T, v *vaultServer) {
	t.Helper()
	s := v.store(t, v.config("all", v.roleToken("all", "api-development")))
	p := vaultPath()
	key := must(p.Key())(t)
	var r credential.Revision
	for i := range 5 {
		r = must(s.Put(t.Context(), p, canaryCredential(fmt.Sprint("value ", i)), r))(t)
	}
	kept := must(v.root.KVv2("all-development").GetVersionsAsList(t.Context(), key))(t)
	if len(kept) != 3 {
		t.Errorf("%d versions are kept", len(kept))
	}
	if err := v.root.KVv2("all-development").Delete(t.Context(), key); err != nil { // an operator, softly
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), p); !fault.Is(err, fault.NotFound) {
		t.Errorf("what an operator deleted: %v", err)
	}
	must(s.Put(t.Context(), p, canaryCredential("connected again"), 0))(t)
	if err := s.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if left, err := v.root.KVv2("all-development").GetMetadata(t.Context(), key); err == nil {
		t.Errorf("after deleting: %v", left)
	}
	if _, _, err := v.store(t, v.config("nowhere", v.roleToken("all", "api-development"))).Get(t.Context(), p); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a mount: %v", err)
	}
}

// works holds a login to what it is for.
func (v *vaultServer) works(t *testing.T, login vault.Login, change ...func(*vault.Config)) *vault.Store {
	t.Helper()
	cfg := v.config("all", "")
	cfg.Login = login
	for _, f := range change {
		f(&cfg)
	}
	s := v.store(t, cfg)
	if why := s.Ready(); why != nil {
		t.Fatal(why)
	}
	if _, _, err := s.Get(t.Context(), vaultPath()); !fault.Is(err, fault.NotFound) {
		t.Errorf("it cannot read: %v", err)
	}
	other := vaultPath()
	other.Environment = production
	if _, _, err := s.Get(t.Context(), other); !fault.Is(err, fault.Unavailable) {
		t.Errorf("it reads production: %v", err)
	}
	return s
}

// refused holds a login to saying why it does not work, and to going on trying.
func (v *vaultServer) refused(t *testing.T, login vault.Login, says string) *vault.Store {
	t.Helper()
	cfg := v.config("all", "")
	cfg.Login = login
	s := v.store(t, cfg)
	if why := strings.Join(s.Ready(), "; "); !strings.Contains(why, says) {
		t.Errorf("it says %q", why)
	}
	if _, _, err := s.Get(t.Context(), vaultPath()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("it answers %v", err)
	}
	return s
}

func vaultAppRole(t *testing.T, v *vaultServer) {
	t.Helper()
	const role = "auth/approle/role/all-worker-development"
	id := must(v.root.Logical().Read(role + "/role-id"))(t).Data["role_id"].(string)
	file := filepath.Join(t.TempDir(), "secret-id")
	login := vault.Login{Method: vault.AppRole, Role: id, File: file}
	write(t, file, v.write(role+"/secret-id", nil).Data["secret_id"].(string)+"\n")
	v.works(t, login)

	login.Wrapped = true
	wrap := func(path string) string {
		c := v.client(v.root.Token())
		c.SetWrappingLookupFunc(func(string, string) string { return "60s" })
		return must(c.Logical().Write(path, nil))(t).WrapInfo.Token
	}
	write(t, file, wrap(role+"/secret-id"))
	s := v.works(t, login)
	v.revokeOf(t, "approle") // the wrapping token is used up, and the secret id is still known
	eventually(t, asLongAsItTakes, "it does not log in again", func() bool {
		_, _, err := s.Get(t.Context(), vaultPath())
		return fault.Is(err, fault.NotFound)
	})

	v.refused(t, login, "somebody else may have opened it") // the token in the file was opened above
	login.File = filepath.Join(t.TempDir(), "secret-id")    // which the stores before leave alone
	write(t, login.File, wrap("auth/token/create"))
	again := v.refused(t, login, "not of this role")
	write(t, login.File, wrap(role+"/secret-id")) // an operator puts another there
	eventually(t, asLongAsItTakes, "a new file is not used", func() bool { return again.Ready() == nil })
	login.File = filepath.Join(t.TempDir(), "missing")
	v.refused(t, login, "cannot be read")
}

// revokeOf revokes every token that an auth method gave.
func (v *vaultServer) revokeOf(t *testing.T, method string) {
	t.Helper()
	if err := v.root.Sys().RevokePrefix("auth/" + method + "/login"); err != nil {
		t.Fatal(err)
	}
}

func vaultJWT(t *testing.T, v *vaultServer) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.root.Sys().EnableAuthWithOptions("jwt", &api.EnableAuthOptions{Type: "jwt"}); err != nil {
		t.Fatal(err)
	}
	v.write("auth/jwt/config", map[string]any{
		"jwt_validation_pubkeys": encodePEM("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(public))(t)), "jwt_supported_algs": []string{"EdDSA"},
	})
	v.write("auth/jwt/role/worker", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "bound_subject": "worker-1",
		"token_policies": "all-worker-development", "token_no_default_policy": true, "token_period": "1h",
	})
	sign := func(subject string) string {
		claims := jwt.MapClaims{"sub": subject, "aud": "vault", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
		return must(jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(private))(t)
	}
	login := vault.Login{Method: vault.JWT, Role: "worker", File: filepath.Join(t.TempDir(), "jwt")}
	write(t, login.File, sign("worker-1"))
	v.works(t, login)
	write(t, login.File, sign("worker-2"))
	s := v.refused(t, login, "Vault refuses our login")
	write(t, login.File, sign("worker-1")) // files are read at each login
	eventually(t, asLongAsItTakes, "a new JWT is not used", func() bool { return s.Ready() == nil })
}

// reviewer answers as the API server of a cluster does when it is asked whose token that is.
func reviewer(t *testing.T, token, account string) (port string) {
	t.Helper()
	var listen net.ListenConfig
	ln := must(listen.Listen(t.Context(), "tcp", "0.0.0.0:0"))(t) // the container has to reach it
	server := &httptest.Server{Listener: ln, Config: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct {
				Token string `json:"token"`
			} `json:"spec"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		status := map[string]any{"authenticated": false}
		if review.Spec.Token == token {
			status = map[string]any{"authenticated": true, "audiences": []string{"vault"}, "user": map[string]any{
				"username": "system:serviceaccount:behalf:" + account, "uid": "u-1", "groups": []string{"system:serviceaccounts", "system:serviceaccounts:behalf"},
			}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
	})}}
	server.Start()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// enableKubernetes enables the method as the server has it: the one that CI builds has it as a plugin.
func (v *vaultServer) enableKubernetes(t *testing.T) {
	t.Helper()
	err := v.root.Sys().EnableAuthWithOptions("kubernetes", &api.EnableAuthOptions{Type: "kubernetes"})
	if err == nil {
		return
	}
	const plugin = "vault-plugin-auth-kubernetes"
	binary := must(v.container.CopyFileFromContainer(t.Context(), "/vault/plugins/"+plugin))(t)
	defer binary.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	must(io.Copy(sum, binary))(t)
	v.write("sys/plugins/catalog/auth/"+plugin, map[string]any{"command": plugin, "sha256": hex.EncodeToString(sum.Sum(nil))})
	if err := v.root.Sys().EnableAuthWithOptions("kubernetes", &api.EnableAuthOptions{Type: plugin}); err != nil {
		t.Fatal(err)
	}
}

func vaultKubernetes(t *testing.T, v *vaultServer) {
	t.Helper()
	v.enableKubernetes(t)
	claims := jwt.MapClaims{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:behalf:all-worker-development", "aud": []string{"vault"},
		"exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(), "iat": time.Now().Add(-time.Minute).Unix(), "kubernetes.io": map[string]any{
			"namespace": "behalf", "serviceaccount": map[string]any{"name": "all-worker-development", "uid": "u-1"},
		},
	}
	private := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	token := must(jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(private))(t)
	v.write("auth/kubernetes/config", map[string]any{
		"kubernetes_host": "http://" + net.JoinHostPort(v.host(), reviewer(t, token, "all-worker-development")), "disable_local_ca_jwt": true,
		"token_reviewer_jwt": token, "kubernetes_ca_cert": v.ca.pem,
	})
	layout := vault.Layout{Policies: policies.All(), KubernetesNamespace: "behalf", KubernetesAudience: "vault"}
	if _, err := vault.Provision(t.Context(), v.config("all", v.root.Token()), layout); err != nil {
		t.Fatal(err)
	}
	login := vault.Login{Method: vault.Kubernetes, Role: "all-worker-development", File: filepath.Join(t.TempDir(), "token")}
	write(t, login.File, token)
	v.works(t, login)
	login.Role = "all-worker-production" // that of another service account
	v.refused(t, login, "Vault refuses our login")
}

func vaultCert(t *testing.T, v *vaultServer) {
	t.Helper()
	if err := v.root.Sys().EnableAuthWithOptions("cert", &api.EnableAuthOptions{Type: "cert"}); err != nil {
		t.Fatal(err)
	}
	v.write("auth/cert/certs/worker", map[string]any{
		"certificate": v.ca.pem, "allowed_common_names": "worker-1", "token_policies": "all-worker-development", "token_no_default_policy": true,
	})
	dir := t.TempDir()
	files := func(name string) vault.Server {
		cert, key := v.ca.issue(t, name)
		s := vault.Server{
			Addr: v.tlsAddr, CACert: filepath.Join(dir, "ca.pem"), ClientCert: filepath.Join(dir, name+".pem"), ClientKey: filepath.Join(dir, name+".key"),
		}
		write(t, s.CACert, v.ca.pem)
		write(t, s.ClientCert, cert)
		write(t, s.ClientKey, key)
		return s
	}
	login := vault.Login{Method: vault.Cert, Role: "worker"}
	v.works(t, login, func(c *vault.Config) { c.Server = files("worker-1") })
	cfg := v.config("all", "")
	cfg.Server, cfg.Login = files("worker-2"), login
	if why := strings.Join(v.store(t, cfg).Ready(), "; "); !strings.Contains(why, "Vault refuses our login") {
		t.Errorf("another's certificate: %q", why)
	}
	cfg.Server = files("worker-1")
	cfg.Server.CACert = "" // nobody has vouched for this Vault
	if why := strings.Join(v.store(t, cfg).Ready(), "; "); !strings.Contains(why, "Vault does not answer") {
		t.Errorf("an unknown CA: %q", why)
	}
}

func vaultToken(t *testing.T, v *vaultServer) {
	t.Helper()
	v.works(t, vault.Login{Given: secret.New(v.roleToken("all", "worker-development"))})
	login := vault.Login{File: filepath.Join(t.TempDir(), "token")}
	write(t, login.File, v.roleToken("all", "worker-development")+"\n")
	v.works(t, login)
	v.refused(t, vault.Login{Given: secret.New("hvs.nothing")}, "Vault refuses our login")
}

// A token that can no longer be renewed is replaced before it ends, and nobody notices.
func vaultMaxTTL(t *testing.T, v *vaultServer) {
	t.Helper()
	if err := v.root.Sys().EnableAuthWithOptions("brief", &api.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	v.write("auth/brief/role/short", map[string]any{
		"token_policies": "all-worker-development", "token_ttl": "2s", "token_max_ttl": "4s", "token_no_default_policy": true,
	})
	id := must(v.root.Logical().Read("auth/brief/role/short/role-id"))(t).Data["role_id"].(string)
	login := vault.Login{Method: vault.AppRole, Mount: "brief", Role: id, File: filepath.Join(t.TempDir(), "secret-id")}
	write(t, login.File, v.write("auth/brief/role/short/secret-id", nil).Data["secret_id"].(string))
	s := v.works(t, login)
	accessors := func() []any {
		var mine []any
		for _, a := range must(v.root.Logical().List("auth/token/accessors"))(t).Data["keys"].([]any) {
			found, err := v.root.Auth().Token().LookupAccessor(a.(string))
			if err != nil { // it has ended meanwhile
				continue
			}
			if meta, ok := found.Data["meta"].(map[string]any); ok && meta["role_name"] == "short" {
				mine = append(mine, a)
			}
		}
		return mine
	}
	seen := map[any]bool{}
	asked := 0
	eventually(t, 2*asLongAsItTakes, "three logins were not made", func() bool {
		if _, _, err := s.Get(t.Context(), vaultPath()); !fault.Is(err, fault.NotFound) {
			t.Errorf("after %d reads: %v", asked, err)
		}
		asked++
		for _, a := range accessors() {
			seen[a] = true
		}
		return len(seen) >= 3
	})
	if why := s.Ready(); why != nil {
		t.Error(why)
	}
}

// A token that is revoked is replaced within the call that found it out.
func vaultRevoked(t *testing.T, v *vaultServer) {
	t.Helper()
	first, second := v.roleToken("all", "worker-development"), v.roleToken("all", "worker-development")
	login := vault.Login{File: filepath.Join(t.TempDir(), "token")}
	write(t, login.File, first)
	s := v.works(t, login)
	write(t, login.File, second)
	if err := v.root.Auth().Token().RevokeTree(first); err != nil {
		t.Fatal(err)
	}
	eventually(t, asLongAsItTakes, "it does not log in again", func() bool { // within the first second it trusts what it has just seen
		_, _, err := s.Get(t.Context(), vaultPath())
		if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
		return fault.Is(err, fault.NotFound)
	})
}

// A limit of Vault's own is kept to, and named.
func vaultLimited(t *testing.T, v *vaultServer) {
	t.Helper()
	v.provision(t, "limited")
	s := v.store(t, v.config("limited", v.roleToken("limited", "api-development")))
	p := vaultPath()
	must(s.Put(t.Context(), p, canaryCredential("x"), 0))(t)
	v.write("sys/quotas/rate-limit/limited", map[string]any{"path": "limited-development/", "rate": 1, "interval": "1s"})
	eventually(t, asLongAsItTakes, "it is not limited", func() bool {
		_, _, err := s.Get(t.Context(), p)
		return fault.Is(err, fault.Unavailable) && strings.Contains(fault.Safe(err), "limits our requests")
	})
	if _, err := v.root.Logical().Delete("sys/quotas/rate-limit/limited"); err != nil {
		t.Fatal(err)
	}
	eventually(t, asLongAsItTakes, "it does not come back", func() bool { _, _, err := s.Get(t.Context(), p); return err == nil })
}
