package credential_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type cacheLab struct {
	*credential.Cached
	memory *credentialtest.Memory
	now    atomic.Int64
	path   credential.Path
	rev    credential.Revision
}

func newCacheLab(tb testing.TB, expires time.Duration) *cacheLab {
	tb.Helper()
	l := &cacheLab{memory: credentialtest.NewMemory(), path: credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))}
	l.now.Store(4e18)
	l.Cached = credential.NewCached(l.memory, credential.CacheConfig{Max: 3, Now: func() time.Time { return time.Unix(0, l.now.Load()) }})
	c := credential.Credential{Fields: map[string]secret.String{"a": secret.New("1")}}
	if expires != 0 {
		c.ExpiresAt = time.Unix(0, l.now.Load()).Add(expires)
	}
	rev, err := l.memory.Put(tb.Context(), l.path, c, 0)
	if err != nil {
		tb.Fatal(err)
	}
	l.rev = rev
	return l
}

func (l *cacheLab) reads(tb testing.TB, after time.Duration) int {
	tb.Helper()
	l.now.Add(int64(after))
	if _, _, err := l.Get(tb.Context(), l.path); err != nil {
		tb.Fatal(err)
	}
	return l.memory.Reads()
}

func TestACredentialIsKeptForItsTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expires time.Duration
		steps   []time.Duration
		reads   []int
	}{
		"without an end":   {0, []time.Duration{0, 59 * time.Second, time.Second}, []int{1, 1, 2}},
		"ends in an hour":  {time.Hour, []time.Duration{0, 59 * time.Second, time.Second}, []int{1, 1, 2}},
		"ends soon":        {150 * time.Second, []time.Duration{0, 29 * time.Second, time.Second, 0}, []int{1, 1, 2, 3}},
		"has ended":        {-time.Second, []time.Duration{0, 0}, []int{1, 2}},
		"is in the margin": {120 * time.Second, []time.Duration{0, 0}, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newCacheLab(t, c.expires)
			for i, step := range c.steps {
				if got := l.reads(t, step); got != c.reads[i] {
					t.Errorf("step %d: %d reads, want %d", i, got, c.reads[i])
				}
			}
		})
	}
}

func TestWritesAndForgetAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	l := newCacheLab(t, 0)
	l.reads(t, 0)
	if _, err := l.Put(t.Context(), l.path, credential.Credential{Fields: map[string]secret.String{"a": secret.New("2")}}, l.rev); err != nil {
		t.Fatal(err)
	}
	if c, _, err := l.Get(t.Context(), l.path); err != nil || c.Fields["a"].Reveal() != "2" {
		t.Errorf("an old credential: %v", err)
	}
	reads := l.memory.Reads()
	l.Forget(l.path)
	if got := l.reads(t, 0); got != reads+1 {
		t.Errorf("%d reads", got-reads)
	}
	if err := l.Delete(t.Context(), l.path); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a no is not remembered
		reads = l.memory.Reads()
		if _, _, err := l.Get(t.Context(), l.path); !fault.Is(err, fault.NotFound) || l.memory.Reads() != reads+1 {
			t.Errorf("got %v", err)
		}
	}
}

func TestWhatIsKeptOutlivesAnOutageUntilItEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ expires, lasts time.Duration }{
		"without an end":  {0, 24 * time.Hour},
		"ends in an hour": {time.Hour, time.Hour},
		"ends soon":       {100 * time.Second, 100 * time.Second},
	} {
		for _, away := range []fault.Kind{fault.Unavailable, fault.Timeout, fault.Exhausted} {
			t.Run(name+" "+away.String(), func(t *testing.T) {
				t.Parallel()
				l := newCacheLab(t, c.expires)
				l.reads(t, 0)
				l.memory.Fail(fault.New(away, "test", "away"))
				l.reads(t, 50*time.Second)
				if got := l.reads(t, c.lasts-51*time.Second); got < 2 {
					t.Errorf("%d reads: nobody asked whether it is back", got)
				}
				l.now.Add(int64(time.Second))
				if _, _, err := l.Get(t.Context(), l.path); !fault.Is(err, away) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestAnOutageServesNothingThatWasForgottenOrIsKnownToBeGone(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(l *cacheLab){
		"forgotten":     func(l *cacheLab) { l.Forget(l.path) },
		"told by name":  func(l *cacheLab) { l.ForgetName(l.path.Name()) },
		"deleted by us": func(l *cacheLab) { _ = l.Delete(t.Context(), l.path) },
		"found to be bad": func(l *cacheLab) {
			l.memory.Fail(fault.New(fault.Internal, "test", "bad"))
			l.Reset()
			_, _, _ = l.Get(t.Context(), l.path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newCacheLab(t, 0)
			l.reads(t, 0)
			forget(l)
			l.memory.Fail(fault.New(fault.Unavailable, "test", "away"))
			if _, _, err := l.Get(t.Context(), l.path); !fault.Is(err, fault.Unavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAfterAResetEverythingIsReadAgainButStillServesAnOutage(t *testing.T) {
	t.Parallel()
	l := newCacheLab(t, 0)
	l.reads(t, 0)
	l.Reset()
	if got := l.reads(t, 0); got != 2 {
		t.Errorf("%d reads", got)
	}
	l.Reset()
	l.memory.Fail(fault.New(fault.Unavailable, "test", "away"))
	l.reads(t, 0)
	l.ForgetName("nobody's") // changes nothing
	l.reads(t, 0)
}

// announced is told the names of changes.
type announced struct{ names []string }

func (a *announced) CredentialChanged(name string) { a.names = append(a.names, name) }

func TestEveryChangeIsToldByANameThatSaysNothing(t *testing.T) {
	t.Parallel()
	dev, prod := &announced{}, &announced{}
	memory := credentialtest.NewMemory()
	store := credential.NewAnnounced(memory, map[behalf.Environment]credential.Announcer{behalf.Development: dev, behalf.Production: prod})
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	memory.Fail(fault.New(fault.Unavailable, "test", "nobody knows whether it was stored"))
	_, _ = store.Put(t.Context(), p, credential.Credential{}, 0)
	memory.Fail(nil)
	if _, err := store.Put(t.Context(), p, credential.Credential{}, 0); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	_, _ = store.Put(t.Context(), credential.Path{Environment: behalf.Development}, credential.Credential{}, 0) // no path at all
	if want := []string{p.Name(), p.Name(), p.Name()}; !slices.Equal(dev.names, want) || len(prod.names) > 0 {
		t.Errorf("told %v and %v", dev.names, prod.names)
	}
	other := p
	other.User = "xyz-9"
	if name := p.Name(); len(name) != 32 || name == other.Name() || strings.Contains(name, "abc") {
		t.Errorf("the names are %s and %s", name, other.Name())
	}
}

func TestOnlySoManyAreKept(t *testing.T) {
	t.Parallel()
	l := newCacheLab(t, 0)
	paths := []credential.Path{l.path}
	for range 9 {
		p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
		if _, err := l.memory.Put(t.Context(), p, credential.Credential{}, 0); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	for range 2 {
		for _, p := range paths {
			if _, _, err := l.Get(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := l.memory.Reads(); got < 17 {
		t.Errorf("more than 3 were kept: %d reads of 20", got)
	}
}

// slow is a store whose reads wait until they are let go.
type slow struct {
	*credentialtest.Memory
	arrived chan struct{}
	gate    chan struct{}
}

func (s slow) Get(ctx context.Context, p credential.Path) (credential.Credential, credential.Revision, error) {
	c, r, err := s.Memory.Get(ctx, p)
	s.arrived <- struct{}{}
	<-s.gate
	return c, r, err
}

func TestManyWaitForOneReadAndAChangeMeanwhileWins(t *testing.T) {
	t.Parallel()
	store := slow{credentialtest.NewMemory(), make(chan struct{}, 10), make(chan struct{})}
	p := credential.PathOf(behalf.Development, credentialtest.Account("abc-123"))
	rev, err := store.Put(t.Context(), p, credential.Credential{Fields: map[string]secret.String{"a": secret.New("1")}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	cache := credential.NewCached(store, credential.CacheConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { // the one that begins the read leaves; the others still get it
		_, _, err := cache.Get(ctx, p)
		left <- err
	}()
	<-store.arrived
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left got %v", err)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, _, err := cache.Get(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := cache.Put(t.Context(), p, credential.Credential{Fields: map[string]secret.String{"a": secret.New("2")}}, rev); err != nil {
		t.Fatal(err)
	}
	close(store.gate)
	wg.Wait()
	if c, _, err := cache.Get(t.Context(), p); err != nil || c.Fields["a"].Reveal() != "2" {
		t.Errorf("the old one was kept: %v", err)
	}
	if n := store.Reads(); n > 3 {
		t.Errorf("%d reads", n)
	}
}

func BenchmarkCachedGet(b *testing.B) {
	l := newCacheLab(b, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := l.Get(b.Context(), l.path); err != nil {
			b.Fatal(err)
		}
	}
}
