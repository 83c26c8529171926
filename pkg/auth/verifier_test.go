package auth_test

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := identityOf(aClient())
	token := w.token(t, want)
	for range 2 { // a miss, then a hit
		got, err := w.verifier.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("identity = %+v, want %+v", got, want)
		}
	}
	if len(w.production.asked) != 1 {
		t.Errorf("the key was looked up %d times: a second request must be a look-up in the cache", len(w.production.asked))
	}
}

// TestTokenDiesWithItsClient changes the record behind a token that is in the cache already.
func TestTokenDiesWithItsClient(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*behalf.Client){
		"revoked":                     func(c *behalf.Client) { c.Revoked = true },
		"a new generation":            func(c *behalf.Client) { c.Generation++ },
		"an old generation":           func(c *behalf.Client) { c.Generation-- },
		"another project":             func(c *behalf.Client) { c.Project = "proj_other" },
		"a scope less":                func(c *behalf.Client) { c.Scopes = c.Scopes[:2] },
		"an environment less":         func(c *behalf.Client) { c.Environments = c.Environments[:1] },
		"gone":                        func(c *behalf.Client) { c.ID = "oac_other" },
		"a record that says nothing":  func(c *behalf.Client) { *c = behalf.Client{ID: c.ID} },
		"another environment instead": func(c *behalf.Client) { c.Environments = []behalf.Environment{behalf.Development} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.token(t, identityOf(aClient()))
			if _, err := w.verifier.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			changed := aClient()
			change(&changed)
			delete(w.production.clients, client)
			w.production.put(changed)
			_, err := w.verifier.Verify(t.Context(), token)
			if !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("err = %v, want unauthenticated", err)
			}
		})
	}
}

func TestTokenDiesOfAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		token := w.token(t, identityOf(aClient()))
		fresh := auth.NewVerifier(auth.Config{}, serving(behalf.Production, w.production))
		check := func(age string, good bool) {
			t.Helper()
			for name, v := range map[string]*auth.Verifier{"with a cache": w.verifier, "without": fresh} {
				_, err := v.Verify(t.Context(), token)
				if good != (err == nil) || !good && !fault.Is(err, fault.Unauthenticated) {
					t.Errorf("%s, %s: err = %v", age, name, err)
				}
			}
		}
		check("new", true)
		time.Sleep(time.Hour + 29*time.Second)
		fresh = auth.NewVerifier(auth.Config{}, serving(behalf.Production, w.production))
		check("within the leeway", true)
		time.Sleep(time.Second)
		check("beyond the leeway", false)
		time.Sleep(time.Hour)
		check("an hour later", false)
	})
}

// TestUndecided holds that a copy which can say neither yes nor no does not make a good token a bad one.
func TestUndecided(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unavailable, fault.Timeout, fault.Canceled, fault.Exhausted} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			token := w.token(t, identityOf(aClient()))
			away := fault.Wrap(kind, "book", errCanary)
			w.production.fail(away)
			w.develop.fail(away)
			check := func(when string) {
				t.Helper()
				_, err := w.verifier.Verify(t.Context(), token)
				if !fault.Is(err, kind) || strings.Contains(fault.Safe(err), "10.0.0.7") {
					t.Errorf("%s: err = %v, safe %q", when, err, fault.Safe(err))
				}
			}
			check("the key cannot be found")
			w.production.fail(nil)
			if _, err := w.verifier.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			w.production.fail(away)
			check("the client cannot be compared")
		})
	}
}

// TestEnvironments asks roles that serve one environment about tokens of the other.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both, one := aClient(), aClient()
	one.Environments = []behalf.Environment{behalf.Development}
	onlyProduction := auth.NewVerifier(auth.Config{}, serving(behalf.Production, w.production))
	onlyDevelopment := auth.NewVerifier(auth.Config{}, serving(behalf.Development, w.develop))
	for name, c := range map[string]struct {
		verifier *auth.Verifier
		client   behalf.Client
		good     bool
	}{
		"both, at a role of production":              {onlyProduction, both, true},
		"both, at a role of development":             {onlyDevelopment, both, true},
		"development alone, at one of production":    {onlyProduction, one, false},
		"development alone, at one of development":   {onlyDevelopment, one, true},
		"development alone, at a role of both":       {w.verifier, one, true},
		"both, at a role that serves nothing at all": {auth.NewVerifier(auth.Config{}, nil), both, false},
	} {
		_, err := c.verifier.Verify(t.Context(), w.token(t, identityOf(c.client)))
		if c.good != (err == nil) || !c.good && !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

// TestCacheIsBounded fills a small cache many times over; every token stays good, whether it is still there or not.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	small := auth.NewVerifier(auth.Config{Cached: 4}, serving(behalf.Production, w.production))
	var tokens []secret.String
	for range 50 {
		tokens = append(tokens, w.token(t, identityOf(aClient())))
	}
	for range 2 {
		for _, token := range tokens {
			if _, err := small.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := small.Remembered(); n > 8 {
		t.Errorf("%d tokens are remembered, want at most twice 4", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	token := w.token(b, identityOf(aClient()))
	ctx := b.Context()
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.verifier.Verify(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hit in parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = w.verifier.Verify(ctx, token)
			}
		})
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			cold := auth.NewVerifier(auth.Config{}, serving(behalf.Production, w.production))
			if _, err := cold.Verify(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
