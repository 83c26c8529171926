package credentialtest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Canary is a value that must show up nowhere. It is in every credential of the suite.
const Canary = `xoxb-canary/"5f1c"&+ü`

// Leaks says whether a text has the canary in it, in any usual encoding.
func Leaks(text string) bool {
	return secret.NewRedactor(secret.New(Canary)).Text(text) != text
}

// Account is an account for tests. User is empty for the project's own.
func Account(user behalf.ExternalUserID) behalf.Account {
	return behalf.Account{ID: behalf.NewAccountID(), Project: "proj_test", App: "slack", User: user}
}

// Exercise holds a store to the contract of credential.Store. Open gives an empty store of both environments.
func Exercise(t *testing.T, open func(t *testing.T) credential.Store) {
	t.Helper()
	for name, test := range map[string]func(*suite){
		"what is put comes back whole":                (*suite).roundTrip,
		"what is not there is not found":              (*suite).notFound,
		"a write names the revision it replaces":      (*suite).compareAndSet,
		"deleting may be repeated":                    (*suite).deletion,
		"users, apps, projects and worlds are apart":  (*suite).isolation,
		"the reserved place belongs to nobody":        (*suite).reserved,
		"no path but a whole one is taken":            (*suite).refusal,
		"of concurrent writers every one counts once": (*suite).concurrency,
		"no error shows a value":                      (*suite).silence,
		"a caller who left is told so":                (*suite).canceled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{t, open(t)})
		})
	}
}

type suite struct {
	*testing.T
	store credential.Store
}

func sample(value string) credential.Credential {
	return credential.Credential{
		Fields:       map[string]secret.String{credential.FieldAccessToken: secret.New(Canary + value), "subdomain": secret.New("<acme>")},
		RefreshToken: secret.New(Canary + "refresh"), ExpiresAt: time.Unix(4_000_000_000, 0).UTC(),
		Scopes: []string{"chat:write"}, OAuthApp: "oa_1",
	}
}

func (s *suite) put(p credential.Path, c credential.Credential, r credential.Revision) credential.Revision {
	s.Helper()
	next, err := s.store.Put(s.Context(), p, c, r)
	if err != nil {
		s.Fatal(err)
	}
	if next == 0 || next == r {
		s.Fatalf("revision %d follows %d", next, r)
	}
	return next
}

func (s *suite) get(p credential.Path) (credential.Credential, credential.Revision) {
	s.Helper()
	c, r, err := s.store.Get(s.Context(), p)
	if err != nil {
		s.Fatal(err)
	}
	return c, r
}

func (s *suite) want(err error, kind fault.Kind) {
	s.Helper()
	if !fault.Is(err, kind) {
		s.Errorf("want %s, got %v", kind, err)
	}
	if err != nil && (Leaks(err.Error()) || Leaks(fault.Safe(err)) || Leaks(fmt.Sprintf("%+v %#v", err, err))) {
		s.Error("an error shows a value")
	}
}

func (s *suite) roundTrip() {
	p := credential.PathOf(behalf.Development, Account("abc-123"))
	for name, c := range map[string]credential.Credential{
		"oauth": sample(""), "own fields": {Fields: map[string]secret.String{"api_key": secret.New("k\x00\u2028\"\\")}},
	} {
		p.Account = behalf.NewAccountID()
		r := s.put(p, c, 0)
		got, at := s.get(p)
		if at != r || !reflect.DeepEqual(normal(got), normal(c)) {
			s.Errorf("%s: got another credential back", name)
		}
		got.Fields["added"] = secret.New("later") // what was handed out is not the store's
		if again, _ := s.get(p); len(again.Fields) != len(c.Fields) {
			s.Errorf("%s: the stored credential changed with the one handed out", name)
		}
	}
}

// normal leaves out differences that mean nothing.
func normal(c credential.Credential) credential.Credential {
	if len(c.Scopes) == 0 {
		c.Scopes = nil
	}
	return c
}

func (s *suite) notFound() {
	for _, p := range []credential.Path{
		credential.PathOf(behalf.Production, Account("abc-123")),
		credential.PathOf(behalf.Development, Account("")),
		credential.SigningKeyPath(behalf.Development),
	} {
		_, _, err := s.store.Get(s.Context(), p)
		s.want(err, fault.NotFound)
		_, err = s.store.Put(s.Context(), p, sample(""), 1_000_000)
		s.want(err, fault.Conflict)
	}
}

func (s *suite) compareAndSet() {
	p := credential.PathOf(behalf.Development, Account("abc-123"))
	first := s.put(p, sample("1"), 0)
	_, err := s.store.Put(s.Context(), p, sample("2"), 0)
	s.want(err, fault.Conflict)
	second := s.put(p, sample("2"), first)
	_, err = s.store.Put(s.Context(), p, sample("3"), first)
	s.want(err, fault.Conflict)
	if c, r := s.get(p); r != second || !strings.HasSuffix(c.AccessToken().Reveal(), "2") {
		s.Error("the losing write is there")
	}
}

func (s *suite) deletion() {
	p, other := credential.PathOf(behalf.Development, Account("abc-123")), credential.PathOf(behalf.Development, Account("abc-123"))
	s.put(other, sample(""), 0)
	for round := range 3 {
		s.put(p, sample(strconv.Itoa(round)), 0)
		for range 2 {
			if err := s.store.Delete(s.Context(), p); err != nil {
				s.Fatal(err)
			}
		}
		_, _, err := s.store.Get(s.Context(), p)
		s.want(err, fault.NotFound)
	}
	s.get(other)
}

func (s *suite) isolation() {
	base := credential.PathOf(behalf.Development, Account("abc-123"))
	paths := map[string]credential.Path{"base": base}
	vary := func(name string, change func(*credential.Path)) {
		p := base
		change(&p)
		paths[name] = p
	}
	vary("environment", func(p *credential.Path) { p.Environment = behalf.Production })
	vary("project", func(p *credential.Path) { p.Project = "proj_other" })
	vary("app", func(p *credential.Path) { p.App = "github" })
	vary("account", func(p *credential.Path) { p.Account = behalf.NewAccountID() })
	vary("own", func(p *credential.Path) { p.User = "" })
	for _, user := range []behalf.ExternalUserID{
		"ABC-123", "abc-12", "abc-1234", "_own", "_keys", "signing", "a/b", "a.b", "a b", "..", ".", ">", "*", "ü", "%00",
		behalf.ExternalUserID(strings.Repeat("𝄞", 250)),
	} {
		vary("user "+string(user), func(p *credential.Path) { p.User = user })
	}
	for name, p := range paths {
		s.put(p, sample(name), 0)
	}
	for name, p := range paths {
		if c, _ := s.get(p); c.AccessToken().Reveal() != Canary+name {
			s.Errorf("%s has another's credential", name)
		}
	}
	if err := s.store.Delete(s.Context(), base); err != nil {
		s.Fatal(err)
	}
	for name, p := range paths {
		if _, _, err := s.store.Get(s.Context(), p); (err != nil) != (name == "base") {
			s.Errorf("after deleting another, %s: %v", name, err)
		}
	}
}

func (s *suite) reserved() {
	for i, env := range behalf.Environments() {
		keys := credential.NewSigning(s.store, env)
		_, err := keys.SigningKey(s.Context())
		s.want(err, fault.NotFound)
		key := secret.New(Canary + strconv.Itoa(i))
		if err := keys.PutSigningKey(s.Context(), key); err != nil {
			s.Fatal(err)
		}
		s.want(keys.PutSigningKey(s.Context(), secret.New("another")), fault.Conflict)
		if got, err := keys.SigningKey(s.Context()); err != nil || !got.Equal(key) {
			s.Errorf("another signing key came back: %v", err)
		}
	}
	p := credential.SigningKeyPath(behalf.Development)
	p.User = "abc-123"
	_, err := s.store.Put(s.Context(), p, sample(""), 0)
	s.want(err, fault.Invalid)
}

func (s *suite) refusal() {
	whole := credential.PathOf(behalf.Development, Account("abc-123"))
	for name, spoil := range map[string]func(*credential.Path){
		"empty":          func(p *credential.Path) { *p = credential.Path{} },
		"environment":    func(p *credential.Path) { p.Environment = "staging" },
		"project":        func(p *credential.Path) { p.Project = "_keys" },
		"project up":     func(p *credential.Path) { p.Project = "proj_a/../proj_b" },
		"app":            func(p *credential.Path) { p.App = "a/b" },
		"no app":         func(p *credential.Path) { p.App = "" },
		"account":        func(p *credential.Path) { p.Account = "apn_a/b" },
		"no account":     func(p *credential.Path) { p.Account = "" },
		"user too long":  func(p *credential.Path) { p.User = behalf.ExternalUserID(strings.Repeat("u", 251)) },
		"user not UTF-8": func(p *credential.Path) { p.User = "\xff" },
	} {
		p := whole
		spoil(&p)
		_, putErr := s.store.Put(s.Context(), p, sample(""), 0)
		_, _, getErr := s.store.Get(s.Context(), p)
		for _, err := range []error{putErr, getErr, s.store.Delete(s.Context(), p)} {
			if !fault.Is(err, fault.Invalid) {
				s.Errorf("%s: want invalid, got %v", name, err)
			}
		}
	}
}

func (s *suite) concurrency() {
	const writers, rounds = 4, 10
	p := credential.PathOf(behalf.Development, Account("abc-123"))
	s.put(p, credential.Credential{Fields: map[string]secret.String{"n": secret.New("0")}}, 0)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range rounds {
				if err := s.increment(p); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if c, _ := s.get(p); c.Fields["n"].Reveal() != strconv.Itoa(writers*rounds) {
		s.Errorf("counted %s of %d", c.Fields["n"].Reveal(), writers*rounds)
	}
}

func (s *suite) increment(p credential.Path) error {
	for {
		c, r, err := s.store.Get(s.Context(), p)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(c.Fields["n"].Reveal())
		if err != nil {
			return err
		}
		next := c.Clone()
		next.Fields["n"] = secret.New(strconv.Itoa(n + 1))
		if _, err = s.store.Put(s.Context(), p, next, r); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
}

func (s *suite) silence() {
	p := credential.PathOf(behalf.Development, Account("abc-123"))
	large := sample("")
	large.Fields = maps.Clone(large.Fields)
	large.Fields["large"] = secret.New(strings.Repeat(Canary, credential.MaxSize/len(Canary)+1))
	_, err := s.store.Put(s.Context(), p, large, 0)
	s.want(err, fault.Invalid)
	s.put(p, sample(""), 0)
	_, err = s.store.Put(s.Context(), p, sample(""), 0)
	s.want(err, fault.Conflict)
	c, _ := s.get(p)
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); Leaks(text) {
		s.Error("a printed credential shows a value")
	}
}

func (s *suite) canceled() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	p := credential.PathOf(behalf.Development, Account("abc-123"))
	_, _, err := s.store.Get(ctx, p)
	s.want(err, fault.Canceled)
	_, err = s.store.Put(ctx, p, sample(""), 0)
	s.want(err, fault.Canceled)
}
