package credential_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// bucket is a credential.Bucket in memory.
type bucket struct {
	mu        sync.Mutex
	values    map[string][]byte
	revisions map[string]uint64
	last      uint64
}

func newBucket() *bucket {
	return &bucket{values: map[string][]byte{}, revisions: map[string]uint64{}}
}

func (b *bucket) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if _, ok := b.values[key]; !ok {
		return nil, 0, fault.New(fault.NotFound, "bucket.Get", "not found")
	}
	return b.values[key], b.revisions[key], nil
}

func (b *bucket) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if b.revisions[key] != revision {
		return 0, fault.New(fault.Conflict, "bucket.Put", "conflict")
	}
	b.last++
	b.values[key], b.revisions[key] = value, b.last
	return b.last, nil
}

func (b *bucket) Delete(_ context.Context, key string, _ uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.values, key)
	delete(b.revisions, key)
	return nil
}

func (b *bucket) Keys(context.Context, string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.values)), nil
}

type sealedLab struct {
	file    string
	buckets map[behalf.Environment]credential.Bucket
	prod    *bucket
	dev     *bucket
}

func newSealedLab(tb testing.TB) *sealedLab {
	tb.Helper()
	l := &sealedLab{file: filepath.Join(tb.TempDir(), "keys", "credentials.key"), prod: newBucket(), dev: newBucket()}
	l.buckets = map[behalf.Environment]credential.Bucket{behalf.Production: l.prod, behalf.Development: l.dev}
	return l
}

func (l *sealedLab) open(tb testing.TB) *credential.Sealed {
	tb.Helper()
	s, err := credential.OpenSealed(tb.Context(), l.file, l.buckets)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestSealedKeepsTheContract(t *testing.T) {
	t.Parallel()
	credentialtest.Exercise(t, func(t *testing.T) credential.Store {
		t.Helper()
		return newSealedLab(t).open(t)
	})
}

func canary(tb testing.TB) credential.Credential {
	tb.Helper()
	c, err := credential.Parse(fmt.Appendf(nil, `{"oauth_access_token":%q}`, credentialtest.Canary))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestSealedValuesOutliveTheProcessAndShowNothing(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	if _, err := l.open(t).Put(t.Context(), p, canary(t), 0); err != nil {
		t.Fatal(err)
	}
	got, _, err := l.open(t).Get(t.Context(), p)
	if err != nil || got.AccessToken().Reveal() != credentialtest.Canary {
		t.Errorf("got another credential: %v", err)
	}
	for key, value := range l.dev.values {
		if credentialtest.Leaks(string(value)) || credentialtest.Leaks(key) || !strings.HasPrefix(string(value), `{"v":1,`) {
			t.Errorf("%s: %s", key, value)
		}
	}
	info, err := os.Stat(l.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(l.file)); err != nil || len(left) != 1 {
		t.Errorf("beside the key file: %v %v", left, err)
	}
}

func TestAMovedValueDoesNotOpen(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	s := l.open(t)
	mine := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	if _, err := s.Put(t.Context(), mine, canary(t), 0); err != nil {
		t.Fatal(err)
	}
	key, err := mine.Key()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*credential.Path){
		"user": func(p *credential.Path) { p.User = "xyz-9" }, "own": func(p *credential.Path) { p.User = "" },
		"app": func(p *credential.Path) { p.App = "github" }, "project": func(p *credential.Path) { p.Project = "proj_other" },
		"account":     func(p *credential.Path) { p.Account = behalf.NewAccountID() },
		"environment": func(p *credential.Path) { p.Environment = behalf.Production },
		"reserved":    func(p *credential.Path) { *p = credential.SigningKeyPath(behalf.Development) },
	} {
		theirs := mine
		change(&theirs)
		theirKey, err := theirs.Key()
		if err != nil {
			t.Fatal(err)
		}
		to := map[behalf.Environment]*bucket{behalf.Production: l.prod, behalf.Development: l.dev}[theirs.Environment]
		if _, err := to.Put(t.Context(), theirKey, l.dev.values[key], 0); err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Get(t.Context(), theirs)
		if !fault.Is(err, fault.Internal) || credentialtest.Leaks(err.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, value := range map[string]string{"no JSON": credentialtest.Canary, "in clear": `{"fields":{"a":"b"}}`, "empty": `{"v":1}`} {
		l.dev.values[key] = []byte(value)
		if _, _, err := s.Get(t.Context(), mine); !fault.Is(err, fault.Internal) || credentialtest.Leaks(err.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	l.open(t)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(l.file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := credential.OpenSealed(t.Context(), l.file, l.buckets)
		if !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.Safe(err), "chmod 600 "+l.file) {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if err := os.Chmod(l.file, 0o400); err != nil {
		t.Fatal(err)
	}
	l.open(t)
}

func TestAKeyFileOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	l.open(t)
	if os.Geteuid() != 0 {
		l.file = "/etc/passwd" // only root can give a file away; this one is root's
	} else if err := os.Chown(l.file, 4711, -1); err != nil {
		t.Fatal(err)
	}
	_, err := credential.OpenSealed(t.Context(), l.file, l.buckets)
	if !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.Safe(err), "belongs to another user") {
		t.Error(err)
	}
}

func TestWhatIsNoKeyIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", credentialtest.Canary, `{"primaryKeyId":1}`, "{}"} {
		l := newSealedLab(t)
		l.file = filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(l.file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := credential.OpenSealed(t.Context(), l.file, l.buckets)
		if !fault.Is(err, fault.Invalid) || credentialtest.Leaks(err.Error()) {
			t.Errorf("%q: %v", content, err)
		}
	}
	l := newSealedLab(t)
	if _, err := credential.OpenSealed(t.Context(), t.TempDir(), l.buckets); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a folder: %v", err)
	}
}

func TestALostKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	p := credential.PathOf(behalf.Production, credentialtest.Account("abc-123"))
	if _, err := l.open(t).Put(t.Context(), p, canary(t), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(l.file); err != nil {
		t.Fatal(err)
	}
	_, err := credential.OpenSealed(t.Context(), l.file, l.buckets)
	if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.Safe(err), "put the file back") {
		t.Error(err)
	}
	if _, err := os.Stat(l.file); err == nil {
		t.Error("a new key was made")
	}
}

func TestSeveralThatStartAtOnceShareOneKey(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	stores := make([]*credential.Sealed, 8)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := credential.OpenSealed(t.Context(), l.file, l.buckets)
			if err != nil {
				t.Error(err)
			}
			stores[i] = s
		})
	}
	wg.Wait()
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	if _, err := stores[0].Put(t.Context(), p, canary(t), 0); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		if _, _, err := s.Get(t.Context(), p); err != nil {
			t.Error(err)
		}
	}
}

func TestAnEnvironmentThatWasNotGivenIsForbidden(t *testing.T) {
	t.Parallel()
	l := newSealedLab(t)
	delete(l.buckets, behalf.Production)
	_, _, err := l.open(t).Get(t.Context(), credential.PathOf(behalf.Production, credentialtest.Account("abc-123")))
	if !fault.Is(err, fault.Forbidden) {
		t.Error(err)
	}
}

func TestTheLargestCredentialFits(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"a":"` + strings.Repeat("<", credential.MaxSize-8) + `"}`)
	c, err := credential.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	l := newSealedLab(t)
	p := credential.PathOf(behalf.Development, credentialtest.Account(""))
	if _, err := l.open(t).Put(t.Context(), p, c, 0); err != nil {
		t.Fatal(err)
	}
	for _, value := range l.dev.values {
		if len(value) > 128<<10 {
			t.Errorf("%d bytes sealed", len(value))
		}
	}
}
