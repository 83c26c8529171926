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
