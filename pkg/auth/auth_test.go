package auth_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const (
	project behalf.ProjectID = "proj_abc"
	client  behalf.ClientID  = "oac_abc"
)

// book is one environment's clients and keys in memory.
type book struct {
	mu      sync.Mutex
	clients map[behalf.ClientID]behalf.Client
	keys    map[string]ed25519.PublicKey
	away    error
	asked   []string
}

func newBook() *book {
	return &book{clients: map[behalf.ClientID]behalf.Client{}, keys: map[string]ed25519.PublicKey{}}
}

func (b *book) Client(_ context.Context, id behalf.ClientID) (behalf.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.clients[id]
	switch {
	case b.away != nil:
		return behalf.Client{}, b.away
	case !ok:
		return behalf.Client{}, fault.New(fault.NotFound, "book.Client", "no such client")
	}
	return c, nil
}

func (b *book) PublicKey(_ context.Context, kid string) (ed25519.PublicKey, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, kid)
	k, ok := b.keys[kid]
	switch {
	case b.away != nil:
		return nil, b.away
	case !ok:
		return nil, fault.New(fault.NotFound, "book.PublicKey", "no such key")
	}
	return k, nil
}

func (b *book) PutPublicKey(_ context.Context, kid string, key ed25519.PublicKey) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys[kid] = key
	return nil
}

func (b *book) put(c behalf.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[c.ID] = c
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = err
}

func aClient() behalf.Client {
	return behalf.Client{
		ID: client, Project: project, Generation: 3,
		Scopes:       []behalf.Scope{behalf.ScopeConnect, behalf.ScopeInvoke, behalf.ScopeManage},
		Environments: behalf.Environments(),
	}
}

func identityOf(c behalf.Client) behalf.Identity {
	return behalf.Identity{
		Client: c.ID, Project: c.Project, Scopes: c.Scopes, Environments: c.Environments, Generation: c.Generation,
	}
}

// world is a signer, both environments' books, and a verifier of them.
type world struct {
	key        secret.String
	signer     *auth.Signer
	production *book
	develop    *book
	verifier   *auth.Verifier
}

func newWorld(tb testing.TB) world {
	tb.Helper()
	w := world{key: auth.NewKey(), production: newBook(), develop: newBook()}
	var err error
	if w.signer, err = auth.NewSigner(auth.Config{}, w.key); err != nil {
		tb.Fatal(err)
	}
	for _, b := range []*book{w.production, w.develop} {
		b.put(aClient())
		b.keys[w.signer.KeyID()] = w.signer.PublicKey()
	}
	w.verifier = auth.NewVerifier(auth.Config{}, map[behalf.Environment]auth.Copy{
		behalf.Production: w.production, behalf.Development: w.develop,
	})
	return w
}

func (w world) token(tb testing.TB, id behalf.Identity) secret.String {
	tb.Helper()
	token, err := w.signer.Sign(id)
	if err != nil {
		tb.Fatal(err)
	}
	return token.Text
}

// safe is where a signing key lies, in memory.
type safe struct {
	key   secret.String
	raced secret.String
	away  error
}

func (s *safe) SigningKey(context.Context) (secret.String, error) {
	switch {
	case s.away != nil:
		return secret.String{}, s.away
	case s.key.IsZero():
		return secret.String{}, fault.New(fault.NotFound, "safe.SigningKey", "no key yet")
	}
	return s.key, nil
}

func (s *safe) PutSigningKey(_ context.Context, key secret.String) error {
	if !s.raced.IsZero() {
		s.key = s.raced
		return fault.New(fault.Conflict, "safe.PutSigningKey", "there is one")
	}
	s.key = key
	return nil
}

func TestOpenSigner(t *testing.T) {
	t.Parallel()
	t.Run("the first start makes a key and publishes it, the second finds it", func(t *testing.T) {
		t.Parallel()
		s, b := &safe{}, newBook()
		first, err := auth.OpenSigner(t.Context(), auth.Config{}, s, b)
		if err != nil {
			t.Fatal(err)
		}
		second, err := auth.OpenSigner(t.Context(), auth.Config{}, s, b)
		if err != nil {
			t.Fatal(err)
		}
		if first.KeyID() != second.KeyID() || len(b.keys) != 1 || !b.keys[first.KeyID()].Equal(first.PublicKey()) {
			t.Errorf("key ids %s and %s, published %v", first.KeyID(), second.KeyID(), b.keys)
		}
	})
	t.Run("who loses the race uses the winner's key", func(t *testing.T) {
		t.Parallel()
		s := &safe{raced: auth.NewKey()}
		opened, err := auth.OpenSigner(t.Context(), auth.Config{}, s)
		if err != nil {
			t.Fatal(err)
		}
		want, err := auth.NewSigner(auth.Config{}, s.raced)
		if err != nil {
			t.Fatal(err)
		}
		if opened.KeyID() != want.KeyID() {
			t.Errorf("key id %s, want the winner's %s", opened.KeyID(), want.KeyID())
		}
	})
	t.Run("a safe that is away makes no new key", func(t *testing.T) {
		t.Parallel()
		s := &safe{away: fault.New(fault.Unavailable, "safe", "away")}
		_, err := auth.OpenSigner(t.Context(), auth.Config{}, s)
		if !fault.Is(err, fault.Unavailable) || !s.key.IsZero() {
			t.Errorf("err = %v, key made: %v", err, !s.key.IsZero())
		}
	})
	t.Run("a broken key is refused without showing it", func(t *testing.T) {
		t.Parallel()
		_, err := auth.NewSigner(auth.Config{}, secret.New("canary-canary"))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("err = %v", err)
		}
	})
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	one, other := auth.NewSecret(), auth.NewSecret()
	if one.Equal(other) || !strings.HasPrefix(one.Reveal(), "behalf_cs_") || len(one.Reveal()) != len("behalf_cs_")+43 {
		t.Error("two secrets must differ, with their prefix and 256 bits")
	}
	if !strings.HasPrefix(auth.NewTriggerToken().Reveal(), "behalf_tt_") {
		t.Error("a trigger's token must say what it is")
	}
	for _, bearer := range []secret.String{one, secret.New("a.b.c"), {}, secret.New("CTOK_x"), secret.New("ctok")} {
		if auth.IsConnectToken(bearer) {
			t.Error("what is no connect token is taken for one")
		}
	}
	if !auth.IsConnectToken(auth.NewConnectToken()) {
		t.Error("a connect token must say what it is")
	}
	if strings.Contains(auth.Hash(one), one.Reveal()) || len(auth.Hash(one)) != 64 {
		t.Errorf("hash = %s", auth.Hash(one))
	}
	for name, c := range map[string]struct {
		given secret.String
		hash  string
		want  bool
	}{
		"the secret of the hash":                {one, auth.Hash(one), true},
		"another secret":                        {other, auth.Hash(one), false},
		"no secret":                             {secret.String{}, auth.Hash(one), false},
		"no hash":                               {one, "", false},
		"neither":                               {secret.String{}, "", false},
		"the hash itself":                       {secret.New(auth.Hash(one)), auth.Hash(one), false},
		"a hash in capitals is not one of ours": {one, strings.ToUpper(auth.Hash(one)), false},
		"the beginning of the hash is no the hash": {one, auth.Hash(one)[:32], false},
	} {
		if got := auth.Matches(c.given, c.hash); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// serving is what a role of one environment has.
func serving(env behalf.Environment, b *book) map[behalf.Environment]auth.Copy {
	copies := make(map[behalf.Environment]auth.Copy, 1)
	copies[env] = b
	return copies
}

var errCanary = errors.New("nats: no responders at 10.0.0.7")
