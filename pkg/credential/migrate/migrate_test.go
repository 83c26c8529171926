package migrate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/credential/migrate"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target is a store in memory that can be told what to do before and after it is asked.
type target struct {
	*credentialtest.Memory

	before, after func(op string, p credential.Path) error
	writes        atomic.Int64
}

func (d *target) around(op string, p credential.Path, do func() error) error {
	if d.before != nil {
		if err := d.before(op, p); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if d.after != nil {
		return d.after(op, p)
	}
	return nil
}

func (d *target) Get(ctx context.Context, p credential.Path) (c credential.Credential, r credential.Revision, err error) {
	err = d.around("get", p, func() (err error) { c, r, err = d.Memory.Get(ctx, p); return err })
	return c, r, err
}

func (d *target) Put(ctx context.Context, p credential.Path, c credential.Credential, at credential.Revision) (r credential.Revision, err error) {
	err = d.around("put", p, func() (err error) {
		if r, err = d.Memory.Put(ctx, p, c, at); err == nil {
			d.writes.Add(1)
		}
		return err
	})
	return r, err
}

// lab has a source with something of every kind, and an empty destination.
type lab struct {
	from  *credentialtest.Memory
	keys  []string
	get   func(credential.Path) error // instead of reading the source, where it returns an error
	to    *target
	cfg   migrate.Config
	paths []credential.Path

	mu       sync.Mutex
	outcomes []migrate.Outcome
}

const env = behalf.Production

func newLab(tb testing.TB) *lab {
	tb.Helper()
	l := &lab{from: credentialtest.NewMemory(), to: &target{Memory: credentialtest.NewMemory()}, cfg: migrate.Config{Parallel: 1}}
	l.paths = []credential.Path{
		credential.PathOf(env, credentialtest.Account("abc-123")), credential.PathOf(env, credentialtest.Account("")),
		credential.OAuthAppPath(env, "proj_a", "oa_1"), credential.VariablePath(env, "proj_a", "STRIPE_KEY"), credential.SigningKeyPath(env),
	}
	for i, p := range l.paths {
		l.seal(tb, p, canary(fmt.Sprint("of the source ", i)))
	}
	return l
}

func (l *lab) seal(tb testing.TB, p credential.Path, c credential.Credential) {
	tb.Helper()
	_, r, err := l.from.Get(tb.Context(), p)
	if err != nil {
		key, err := p.Key()
		if err != nil {
			tb.Fatal(err)
		}
		l.keys = append(l.keys, key)
		slices.Sort(l.keys)
	}
	if _, err := l.from.Put(tb.Context(), p, c, r); err != nil {
		tb.Fatal(err)
	}
}

func (l *lab) store(tb testing.TB, p credential.Path, c credential.Credential) {
	tb.Helper()
	_, r, _ := l.to.Memory.Get(tb.Context(), p)
	if _, err := l.to.Memory.Put(tb.Context(), p, c, r); err != nil {
		tb.Fatal(err)
	}
}

func canary(text string) credential.Credential {
	return credential.Credential{
		Fields: map[string]secret.String{credential.FieldAccessToken: secret.New(credentialtest.Canary + text)}, RefreshToken: secret.New(credentialtest.Canary + "refresh"),
		Scopes: []string{"chat:write"},
	}
}

func issued(text string, at time.Time) credential.Credential {
	c := canary(text)
	c.IssuedAt = at
	return c
}

// Keys and Get make the lab the source.
func (l *lab) Keys(context.Context, behalf.Environment) ([]string, error) {
	return l.keys, nil
}

func (l *lab) Get(ctx context.Context, p credential.Path) (credential.Credential, credential.Revision, error) {
	if l.get != nil {
		if err := l.get(p); err != nil {
			return credential.Credential{}, 0, err
		}
	}
	return l.from.Get(ctx, p)
}

// run migrates, and counts the results.
func (l *lab) run(ctx context.Context, tb testing.TB) (map[migrate.Result]int, error) {
	tb.Helper()
	l.outcomes = nil
	results := make(map[migrate.Result]int)
	err := migrate.New(l.cfg, l, l.to).Environment(ctx, env, func(o migrate.Outcome, done, total int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.outcomes = append(l.outcomes, o)
		results[o.Result]++
		if done != len(l.outcomes) || total != len(l.keys) {
			tb.Errorf("%d of %d after %d outcomes of %d keys", done, total, len(l.outcomes), len(l.keys))
		}
		if line, err := json.Marshal(o); err != nil || credentialtest.Leaks(string(line)) || strings.Contains(string(line), "abc-123") {
			tb.Errorf("an outcome shows a value or a user: %s", line)
		}
	})
	if err != nil && credentialtest.Leaks(err.Error()) {
		tb.Error("an error shows a value")
	}
	return results, err
}

// only holds a migration to end well with these results, such as "kept:1 moved:4".
func (l *lab) only(tb testing.TB, want string) {
	tb.Helper()
	got, err := l.run(tb.Context(), tb)
	if err != nil || fmt.Sprint(got) != "map["+want+"]" {
		tb.Errorf("got %v, want %v: %v", got, want, err)
	}
}

// arrived holds the destination to having all that the source has.
func (l *lab) arrived(tb testing.TB) {
	tb.Helper()
	for _, p := range l.paths {
		want, _, err := l.from.Get(tb.Context(), p)
		if err != nil {
			tb.Fatal(err)
		}
		if got, _, err := l.to.Memory.Get(tb.Context(), p); err != nil || !got.Equal(want) {
			tb.Errorf("%s is not there: %v", p, err)
		}
	}
}

func TestEverythingIsMovedOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.cfg.Parallel = 3
	l.cfg.DryRun = true
	l.only(t, "moved:5")
	if !l.outcomes[0].DryRun || l.to.writes.Load() != 0 {
		t.Errorf("a dry run wrote %d: %v", l.to.writes.Load(), l.outcomes[0])
	}
	l.cfg.DryRun = false
	l.only(t, "moved:5")
	l.arrived(t)
	kinds := make(map[credential.Kind]int)
	for _, o := range l.outcomes {
		kinds[o.Kind]++
	}
	if fmt.Sprint(kinds) != "map[account:2 oauth_app:1 signing_key:1 variable:1]" {
		t.Error(kinds)
	}
	l.only(t, "same:5")
	if n := l.to.writes.Load(); n != 5 {
		t.Errorf("%d writes", n)
	}
}

// A migration that is cut off at any point, whether or not what it asked for was done, is finished by the next, and
// nothing is written twice.
func TestItIsCutOffAnywhereAndFinished(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		points := 0
		for last := false; !last; points++ {
			l := newLab(t)
			ctx, cancel := context.WithCancel(t.Context())
			left := points
			cut := func(string, credential.Path) error {
				if left--; left >= 0 {
					return nil
				}
				cancel()
				return fault.Wrap(fault.Canceled, "test", context.Canceled)
			}
			if l.to.before = cut; done {
				l.to.before, l.to.after = nil, cut
			}
			_, err := l.run(ctx, t)
			last = err == nil
			if !last && !fault.Is(err, fault.Canceled) {
				t.Errorf("cut off at %d: %v", points, err)
			}
			l.to.before, l.to.after = nil, nil
			if got, err := l.run(t.Context(), t); err != nil || got[migrate.Moved]+got[migrate.Same] != len(l.paths) {
				t.Errorf("after the cut at %d: %v, %v", points, got, err)
			}
			l.arrived(t)
			if n := l.to.writes.Load(); n != int64(len(l.paths)) {
				t.Errorf("after the cut at %d: %d writes", points, n)
			}
			cancel()
		}
		if points < 2*5 {
			t.Errorf("only %d points", points)
		}
	}
}

func TestWhatIsThereInAnotherStateStaysUnlessItIsOlder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		ours, theirs credential.Credential
		overwrite    bool
		want         migrate.Result
		reason       string
	}{
		"theirs was issued later":                {issued("a", now), issued("b", now.Add(time.Second)), false, migrate.Kept, "newer"},
		"ours was issued later":                  {issued("a", now.Add(time.Second)), issued("b", now), false, migrate.Replaced, ""},
		"both at once":                           {issued("a", now), issued("b", now), false, migrate.Kept, "differs"},
		"nobody knows":                           {canary("a"), canary("b"), false, migrate.Kept, "differs"},
		"nobody knows of theirs":                 {issued("a", now), canary("b"), false, migrate.Kept, "differs"},
		"nobody knows of ours":                   {canary("a"), issued("b", now), false, migrate.Kept, "differs"},
		"theirs was issued later, and no matter": {issued("a", now), issued("b", now.Add(time.Second)), true, migrate.Replaced, ""},
		"nobody knows, and no matter":            {canary("a"), canary("b"), true, migrate.Replaced, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			p := l.paths[0]
			l.seal(t, p, c.ours)
			l.store(t, p, c.theirs)
			want, outcomes := c.theirs, "kept:1 moved:4"
			if c.want == migrate.Replaced {
				want, outcomes = c.ours, "moved:4 replaced:1"
			}
			for _, dry := range []bool{true, false} {
				l.cfg.Overwrite, l.cfg.DryRun = c.overwrite, dry
				l.only(t, outcomes)
				at := slices.IndexFunc(l.outcomes, func(o migrate.Outcome) bool { return o.Result == c.want })
				if l.outcomes[at].Reason != c.reason {
					t.Errorf("because %q", l.outcomes[at].Reason)
				}
			}
			if got, _, err := l.to.Memory.Get(t.Context(), p); err != nil || !got.Equal(want) {
				t.Errorf("the wrong one is there: %v", err)
			}
		})
	}
}

// What changes in the source while it is on its way arrives in its last state.
func TestWhatChangesOnItsWayArrivesAsItIsThen(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p := l.paths[3] // nobody knows when it was issued
	changes := 3
	l.to.after = func(op string, at credential.Path) error {
		if op == "put" && at == p && changes > 0 {
			l.seal(t, p, canary(fmt.Sprint("change ", changes)))
			changes--
		}
		return nil
	}
	l.only(t, "moved:5")
	l.arrived(t)

	l = newLab(t)
	p = l.paths[0]
	l.to.after = func(op string, at credential.Path) error {
		if op == "put" && at == p {
			return l.from.Delete(t.Context(), p)
		}
		return nil
	}
	l.only(t, "gone:1 moved:4")
	if _, _, err := l.to.Memory.Get(t.Context(), p); !fault.Is(err, fault.NotFound) {
		t.Errorf("what was deleted meanwhile is there: %v", err)
	}
}

// Somebody else's write in between wins, unless it is older.
func TestARaceIsLostToWhoIsNewer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	p, now := l.paths[0], time.Now()
	l.seal(t, p, issued("ours", now))
	raced := false
	l.to.before = func(op string, at credential.Path) error {
		if op == "put" && at == p && !raced {
			raced = true
			l.store(t, p, issued("theirs", now.Add(time.Minute)))
		}
		return nil
	}
	l.only(t, "kept:1 moved:4")
	if got, _, err := l.to.Memory.Get(t.Context(), p); err != nil || !got.Equal(issued("theirs", now.Add(time.Minute))) {
		t.Errorf("ours is there: %v", err)
	}
}

func TestAStoreThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	away := fault.New(fault.Unavailable, "test", "Vault is sealed")
	for name, c := range map[string]struct {
		outage   time.Duration
		hopeless bool
		took     time.Duration
		want     fault.Kind
	}{
		"for a while":      {10 * time.Second, false, 10 * time.Second, 0},
		"for too long":     {time.Hour, false, 30 * time.Second, fault.Unavailable},
		"without any hope": {time.Hour, true, 0, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, began := newLab(t), time.Now()
				l.cfg.Parallel = 3
				l.cfg.Hopeless = func(err error) bool { return c.hopeless && errors.Is(err, away) }
				l.to.after = func(string, credential.Path) error { // it is done, and nobody hears of it
					if time.Since(began) < c.outage {
						return away
					}
					return nil
				}
				got, err := l.run(t.Context(), t)
				if c.want != 0 && !fault.Is(err, c.want) || c.want == 0 && (err != nil || got[migrate.Moved] != 5) {
					t.Errorf("%v, %v", got, err)
				}
				if took := time.Since(began); took < c.took || took > c.took+2*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestOneThatCannotBeReadDoesNotStopTheRest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	broken := fault.Wrap(fault.Internal, "credential.Get", errors.New("the value does not open"))
	l.get = func(p credential.Path) error {
		if p == l.paths[1] {
			return broken
		}
		return nil
	}
	l.keys = append(l.keys, "proj_a/_new/x/abc-123", "proj_a/c5h66b9h68pg")
	l.only(t, "failed:3 moved:4")
	var said []string
	for _, o := range l.outcomes {
		if o.Result == migrate.Failed {
			said = append(said, strings.Join(strings.Fields(o.Path+" "+o.Error), " "))
		}
	}
	if text := strings.Join(said, "\n"); !strings.Contains(text, "the value does not open") || !strings.Contains(text, "production/proj_a/_new/***/*** this release") ||
		!strings.Contains(text, "production/proj_a/*** this release") {
		t.Error(text)
	}

	l.get = func(credential.Path) error { return broken }
	if got, err := l.run(t.Context(), t); !fault.Is(err, fault.Invalid) || len(got) != 0 {
		t.Errorf("with the wrong key: %v, %v", got, err)
	}
}

// A store that does not keep what it was given is found out.
func TestWhatDoesNotReadBackHasFailed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.to.after = func(op string, p credential.Path) error {
		if op == "put" && p == l.paths[2] {
			l.store(t, p, canary("spoiled"))
		}
		return nil
	}
	l.only(t, "kept:1 moved:4")

	l = newLab(t)
	l.to.after = func(op string, p credential.Path) error {
		if op == "put" && p == l.paths[2] {
			return l.to.Delete(t.Context(), p)
		}
		return nil
	}
	l.only(t, "failed:1 moved:4")
}
