package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/migrate"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// sealed opens a sealed credential store over the true buckets of both environments, its key in a folder of its own.
func (l *lab) sealed(tb testing.TB) *credential.Sealed {
	tb.Helper()
	nc := l.connect(tb)
	buckets := make(map[behalf.Environment]credential.Bucket)
	for _, env := range behalf.Environments() {
		provision(tb, nc, env)
		s, err := store.New(tb.Context(), nc, env, store.Config{}, zerolog.Nop())
		if err != nil {
			tb.Fatal(err)
		}
		buckets[env] = s.Sealed()
	}
	sealed, err := credential.OpenSealed(tb.Context(), filepath.Join(tb.TempDir(), "credentials.key"), buckets)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

func TestSealedCredentialsKeepTheContract(t *testing.T) {
	t.Parallel()
	credentialtest.Exercise(t, func(t *testing.T) credential.Store {
		t.Helper()
		return newLab(t).sealed(t)
	})
}

func TestTheDataFolderHoldsNoValue(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.sealed(t)
	for i := range 20 {
		p := credential.PathOf(behalf.Environments()[i%2], credentialtest.Account("abc-123"))
		c := credential.Credential{
			Fields:       map[string]secret.String{credential.FieldAccessToken: secret.New(credentialtest.Canary)},
			RefreshToken: secret.New(credentialtest.Canary),
		}
		if _, err := s.Put(t.Context(), p, c, 0); err != nil {
			t.Fatal(err)
		}
	}
	l.ns.Shutdown()
	l.ns.WaitForShutdown()
	files := 0
	err := filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if credentialtest.Leaks(string(data)) {
			t.Errorf("%s shows a value", path)
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("looked into %d files: %v", files, err)
	}
}

// Everything that lies in the true buckets of both environments moves, what was deleted does not, and the second time
// there is nothing to do.
func TestSealedCredentialsMoveHouse(t *testing.T) {
	t.Parallel()
	from, to := newLab(t).sealed(t), credentialtest.NewMemory()
	kept := map[credential.Path]credential.Credential{}
	for i, env := range behalf.Environments() {
		for j, p := range []credential.Path{
			credential.PathOf(env, credentialtest.Account("abc-123")), credential.PathOf(env, credentialtest.Account("a/b \u00fc")), credential.PathOf(env, credentialtest.Account("")),
			credential.OAuthAppPath(env, "proj_a", "oa_1"), credential.VariablePath(env, "proj_a", "KEY"), credential.SigningKeyPath(env),
		} {
			kept[p] = credential.Credential{Fields: map[string]secret.String{"value": secret.New(string(rune('a'+i)) + string(rune('a'+j)))}}
			if _, err := from.Put(t.Context(), p, kept[p], 0); err != nil {
				t.Fatal(err)
			}
		}
		gone := credential.PathOf(env, credentialtest.Account("gone"))
		if _, err := from.Put(t.Context(), gone, credential.Credential{}, 0); err != nil {
			t.Fatal(err)
		}
		if err := from.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []migrate.Result{migrate.Moved, migrate.Same} {
		results := 0
		for _, env := range behalf.Environments() {
			err := migrate.New(migrate.Config{}, from, to).Environment(t.Context(), env, func(o migrate.Outcome, _, _ int) {
				results++
				if o.Result != want {
					t.Errorf("%v, want it %s", o, want)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if results != len(kept) {
			t.Errorf("%d %s of %d", results, want, len(kept))
		}
	}
	for p, c := range kept {
		if got, r, err := to.Get(t.Context(), p); err != nil || !got.Equal(c) || int(r) > len(kept) {
			t.Errorf("%s at revision %d: %v", p, r, err)
		}
	}
}
