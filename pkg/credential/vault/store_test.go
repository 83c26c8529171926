package vault_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/vault"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// server answers as Vault does where all is well, and otherwise as told. The real one is tried in test/.
type server struct {
	*httptest.Server

	mu      sync.Mutex
	values  map[string][]json.RawMessage
	tokens  map[string]bool
	asked   int
	instead http.HandlerFunc
	health  string
	mute    bool // lookup-self is denied, and login by JWT works
	logins  int
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{values: map[string][]json.RawMessage{}, tokens: map[string]bool{"first": true, "second": true}, health: `{"initialized":true}`}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// answer has every request about values answered so, until told nil.
func (s *server) answer(instead http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = instead
}

func (s *server) set(change func(*server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *server) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	instead, health, token := s.instead, s.health, s.tokens[r.Header.Get("X-Vault-Token")] && (!s.mute || !strings.HasSuffix(r.URL.Path, "/lookup-self"))
	if strings.HasSuffix(r.URL.Path, "/login") {
		s.logins++
	}
	about := strings.Contains(r.URL.Path, "/data/") || strings.Contains(r.URL.Path, "/metadata/")
	if about {
		s.asked++
	}
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/v1/sys/health":
		_, _ = io.WriteString(w, health)
	case r.URL.Path == "/v1/auth/jwt/login":
		_, _ = io.WriteString(w, `{"auth":{"client_token":"first"}}`)
	case !token:
		refuse(w, http.StatusForbidden, "permission denied")
	case r.URL.Path == "/v1/auth/token/lookup-self":
		_, _ = io.WriteString(w, `{"data":{"ttl":0,"renewable":false}}`)
	case about && instead != nil:
		instead(w, r)
	case about:
		s.value(w, r)
	default:
		refuse(w, http.StatusNotFound, "no handler for route")
	}
}

func refuse(w http.ResponseWriter, status int, messages ...string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"errors": append([]string{}, messages...)})
}

func (s *server) value(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.Replace(r.URL.Path, "/metadata/", "/data/", 1)
	versions := s.values[key]
	switch r.Method {
	case http.MethodGet:
		if len(versions) == 0 {
			refuse(w, http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"data": versions[len(versions)-1], "metadata": map[string]int{"version": len(versions)}}})
	case http.MethodPut:
		var body struct {
			Options struct {
				CAS int `json:"cas"`
			} `json:"options"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Options.CAS != len(versions) {
			refuse(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
			return
		}
		s.values[key] = append(versions, body.Data)
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]int{"version": len(versions) + 1}})
	case http.MethodDelete:
		delete(s.values, key)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *server) config() vault.Config {
	return vault.Config{
		Server: vault.Server{Addr: s.URL}, Login: vault.Login{Given: secret.New("first")}, Timeout: 5 * time.Second,
		Probe: 10 * time.Millisecond, RetryLogin: 10 * time.Millisecond,
	}
}

// run runs a store for the time of the test, and waits for its first login.
func run(tb testing.TB, cfg vault.Config) *vault.Store {
	tb.Helper()
	store, err := vault.New(cfg, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case <-store.Tried():
	case <-time.After(patience):
		tb.Fatal("no login was tried")
	}
	return store
}

func eventually(tb testing.TB, otherwise string, done func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	for tick := time.Tick(5 * time.Millisecond); !done(); {
		select {
		case <-tick:
		case <-deadline:
			tb.Fatal(otherwise)
		}
	}
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	credentialtest.Exercise(t, func(t *testing.T) credential.Store {
		t.Helper()
		return run(t, newServer(t).config())
	})
}

func status(code int, messages ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, code, messages...) }
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// Whatever Vault answers, the caller is told in our words, and nothing of what was asked for.
func TestEveryAnswerIsToldInOurWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   fault.Kind
		says   string
	}{
		"nothing there": {status(http.StatusNotFound), fault.NotFound, "no such credential"},
		"deleted, not erased": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"data":{"data":null,"metadata":{"version":3}}}`)
		}, fault.NotFound, "no such credential"},
		"no such mount": {status(http.StatusNotFound, `no handler for route "behalf-development/data/abc-123"`), fault.Unavailable, "Vault has no mount"},
		"404 of a proxy": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<html>")
		}, fault.Unavailable, "no Vault that works"},
		"sealed":               {status(http.StatusServiceUnavailable, "Vault is sealed"), fault.Unavailable, "Vault is sealed"},
		"overloaded":           {status(http.StatusServiceUnavailable), fault.Unavailable, "does not answer"},
		"limited":              {status(http.StatusTooManyRequests, "request path: rate limit quota exceeded"), fault.Unavailable, "limits our requests"},
		"denied":               {status(http.StatusForbidden, "1 error occurred: permission denied"), fault.Unavailable, "denies our requests"},
		"a fault of its own":   {status(http.StatusInternalServerError, "xoxb"), fault.Unavailable, "does not answer"},
		"a gateway":            {status(http.StatusBadGateway), fault.Unavailable, "does not answer"},
		"a teapot":             {status(http.StatusTeapot), fault.Unavailable, "no Vault that works"},
		"a page":               {body("<html>xoxb</html>"), fault.Unavailable, "no Vault that works"},
		"nothing":              {body(""), fault.Unavailable, "no Vault that works"},
		"another object":       {body(`{"status":"ok"}`), fault.Unavailable, "no Vault that works"},
		"KV of version 1":      {body(`{"data":{"v":1}}`), fault.Unavailable, "no Vault that works"},
		"something else there": {body(`{"data":{"data":{"password":"xoxb"},"metadata":{"version":1}}}`), fault.Internal, "internal"},
		"the line is cut":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.Unavailable, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			store := run(t, s.config())
			s.answer(c.answer)
			_, _, err := store.Get(t.Context(), credential.PathOf(behalf.Development, credentialtest.Account("abc-123")))
			if !fault.Is(err, c.kind) || !strings.Contains(fault.Safe(err), c.says) {
				t.Errorf("got %v: %s", fault.KindOf(err), fault.Safe(err))
			}
			for _, leak := range []string{"abc-123", "c5h66b9h68pg", "xoxb", s.URL, "first"} {
				if strings.Contains(err.Error()+fault.Safe(err)+strings.Join(store.Ready(), " "), leak) {
					t.Errorf("%q is in %v, %v", leak, err, store.Ready())
				}
			}
		})
	}
}

func TestAWriteIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := run(t, s.config())
	s.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	if _, err := store.Put(t.Context(), p, credential.Credential{}, 0); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	if n := s.requests(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestOneThatIsDeletedButNotErasedMayBeWrittenAnew(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := run(t, s.config())
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	var wrote []string
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"data":{"data":null,"metadata":{"version":3,"deletion_time":"2026-11-27T00:00:00Z"}}}`)
			return
		}
		sent, _ := io.ReadAll(r.Body)
		if wrote = append(wrote, string(sent)); !strings.Contains(string(sent), `"cas":3`) {
			refuse(w, http.StatusBadRequest, "check-and-set parameter did not match the current version")
			return
		}
		_, _ = io.WriteString(w, `{"data":{"version":4}}`)
	})
	if r, err := store.Put(t.Context(), p, credential.Credential{}, 0); err != nil || r != 4 || len(wrote) != 2 {
		t.Errorf("revision %d after %d writes: %v", r, len(wrote), err)
	}
	if _, err := store.Put(t.Context(), p, credential.Credential{}, 2); !fault.Is(err, fault.Conflict) {
		t.Errorf("a later write is %v", err)
	}
}

// A Vault in trouble is asked little: five failures close the gate, and one request in two seconds looks again.
func TestAVaultInTroubleIsLeftInPeace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		most   int
	}{
		"it fails": {status(http.StatusServiceUnavailable, "Vault is sealed"), 40}, "it limits us": {status(http.StatusTooManyRequests), 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			store := run(t, s.config())
			s.answer(c.answer)
			p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
			for range 500 {
				if _, _, err := store.Get(t.Context(), p); !fault.Is(err, fault.Unavailable) {
					t.Fatal(err)
				}
			}
			if n := s.requests(); n > c.most { // those of a slow machine's many seconds are among them
				t.Errorf("it was asked %d times", n)
			}
			s.answer(nil)
			eventually(t, "it is not asked again", func() bool {
				_, _, err := store.Get(t.Context(), p)
				return fault.Is(err, fault.NotFound)
			})
			eventually(t, "it is not ready again", func() bool { return store.Ready() == nil })
		})
	}
}

func TestWhoeverLeavesSaysNothingAboutVault(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := run(t, s.config())
	arrived := make(chan struct{}, 20)
	s.answer(func(_ http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-r.Context().Done() })
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		if _, _, err := store.Get(ctx, credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))); !fault.Is(err, fault.Canceled) {
			t.Error(err)
		}
	}
	if why := store.Ready(); why != nil {
		t.Error(why)
	}
}

func TestASlowVaultIsAway(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cfg := s.config()
	cfg.Timeout = 50 * time.Millisecond
	store := run(t, cfg)
	eventually(t, "no login within its time", func() bool { return store.Ready() == nil })
	s.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, _, err := store.Get(t.Context(), credential.PathOf(behalf.Development, credentialtest.Account("abc-123")))
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.Safe(err), "does not answer") {
		t.Error(err)
	}
}

func TestReadySaysWhatTheProbeFinds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	store := run(t, s.config())
	for _, c := range []struct{ health, says string }{
		{`{"initialized":true,"sealed":true}`, "credentials: Vault is sealed"},
		{`{"initialized":false}`, "credentials: Vault is not initialized"},
		{`<html>`, "credentials: Vault does not answer"},
		{`{"initialized":true,"standby":true}`, ""},
	} {
		s.set(func(s *server) { s.health = c.health })
		eventually(t, "it does not say "+c.says, func() bool { return strings.Join(store.Ready(), "; ") == c.says })
	}
}

// A token that is revoked costs one failed request inside, and nobody outside.
func TestARevokedTokenIsReplacedWithinTheCall(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	cfg := s.config()
	cfg.Login = vault.Login{File: filepath.Join(t.TempDir(), "token")}
	if err := os.WriteFile(cfg.Login.File, []byte("first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := run(t, cfg)
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	if _, err := store.Put(t.Context(), p, credential.Credential{}, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.Login.File, []byte("second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.set(func(s *server) { delete(s.tokens, "first") })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := store.Get(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	s.set(func(s *server) { clear(s.tokens) })
	eventually(t, "it does not say so", func() bool {
		if _, _, err := store.Get(t.Context(), p); !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
		return strings.Contains(strings.Join(store.Ready(), ""), "Vault refuses our login")
	})
	s.set(func(s *server) { s.tokens["second"] = true })
	eventually(t, "it does not log in again", func() bool { _, _, err := store.Get(t.Context(), p); return err == nil })
}

// A policy that lets us neither read nor look at our own token does not have us log in for every request.
func TestADeniedRequestIsNoLoginEach(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.mute, s.instead = true, status(http.StatusForbidden, "permission denied")
	cfg := s.config()
	cfg.Login = vault.Login{Method: vault.JWT, Role: "worker", File: filepath.Join(t.TempDir(), "jwt")}
	if err := os.WriteFile(cfg.Login.File, []byte("a.b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, began := run(t, cfg), time.Now()
	for range 500 {
		if _, _, err := store.Get(t.Context(), credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := 2 + int(time.Since(began)/time.Second); s.logins > most { // one a second, however slow the machine
		t.Errorf("%d logins in %s", s.logins, time.Since(began))
	}
}

func TestALoginOfNoShapeIsRefusedWithWhatToSet(t *testing.T) {
	t.Parallel()
	for says, login := range map[string]vault.Login{
		"VAULT_TOKEN": {}, "BEHALF_VAULT_AUTH": {Method: "ldap"}, "BEHALF_VAULT_ROLE": {Method: vault.Kubernetes},
		"BEHALF_VAULT_JWT_FILE": {Method: vault.JWT, Role: "r"}, "BEHALF_VAULT_SECRET_ID_FILE": {Method: vault.AppRole, Role: "r"},
	} {
		_, err := vault.New(vault.Config{Login: login}, zerolog.Nop())
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Safe(err), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	token := vault.Login{Given: secret.New("x")}
	for name, server := range map[string]vault.Server{"no certificate": {CACert: "missing"}, "half a pair": {ClientCert: "missing"}} {
		if _, err := vault.New(vault.Config{Server: server, Login: token}, zerolog.Nop()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
