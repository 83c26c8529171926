package refresh_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// all has every worker ask many times at once, and returns the one token that all of them got.
func (r *rig) all(workers []*worker, each int, ask func(w *worker) (credential.Credential, error)) string {
	r.t.Helper()
	var mu sync.Mutex
	got := map[string]int{}
	var group sync.WaitGroup
	begin := make(chan struct{})
	for _, w := range workers {
		for range each {
			group.Go(func() {
				<-begin
				c, err := ask(w)
				mu.Lock()
				defer mu.Unlock()
				got[c.AccessToken().Reveal()+errorText(err)]++
			})
		}
	}
	close(begin)
	group.Wait()
	if len(got) != 1 {
		r.t.Fatalf("%d different answers", len(got))
	}
	for token := range got {
		if !r.vendor.Good(token) {
			r.t.Fatal("the token that all got is no good")
		}
		return token
	}
	return ""
}

func (r *rig) workers(n int, cfg refresh.Config) []*worker {
	r.t.Helper()
	all := make([]*worker, n)
	for i := range all {
		all[i] = r.worker(cfg)
	}
	return all
}

func TestOneOfManyRefreshes(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	workers := r.workers(5, refresh.Config{})
	first := r.all(workers, 200, func(w *worker) (credential.Credential, error) { return r.fresh(w) })
	r.counts(1, 1, 0)
	r.state(behalf.AccountActive)
	record, stored := r.record(), r.storedNow()
	if record.ExpiresAt.IsZero() || !record.ExpiresAt.Equal(stored.ExpiresAt) || record.RefreshedAt.IsZero() || stored.Generation != 1 {
		t.Errorf("the record says %v and %v, generation %d", record.ExpiresAt, record.RefreshedAt, stored.Generation)
	}

	r.later(2 * time.Hour) // and again
	if second := r.all(workers, 20, func(w *worker) (credential.Credential, error) { return r.fresh(w) }); second == first {
		t.Error("it is the old one")
	}
	r.counts(2, 2, 0)
}

func (r *rig) storedNow() credential.Credential {
	r.t.Helper()
	c, _ := r.stored()
	return c
}

func TestOneOfManyRenewsWhatTheServiceRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.connect(50 * time.Minute)
	workers := r.workers(3, refresh.Config{})
	old := r.storedNow()
	token := r.all(workers, 50, func(w *worker) (credential.Credential, error) { return w.Renew(t.Context(), r.account, old) })
	r.counts(1, 1, 0)

	// The service refuses the new one too: it is not asked for another.
	_, err := workers[0].Renew(t.Context(), r.account, credential.Credential{Fields: fields(token)})
	r.kind(err, fault.Invalid)
	r.counts(1, 1, 0)
	c, err := workers[1].Fresh(t.Context(), r.account)
	if err != nil || c.AccessToken().Reveal() != token {
		t.Errorf("the next run has another token: %v", err)
	}
}

func fields(token string) map[string]secret.String {
	return map[string]secret.String{credential.FieldAccessToken: secret.New(token)}
}

func TestAGoodTokenIsNotRefreshed(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.connect(50 * time.Minute)
	for range 3 {
		c, err := r.first.Fresh(t.Context(), r.account)
		if err != nil || c.AccessToken().Reveal() != r.granted.Access {
			t.Fatalf("got another token: %v", err)
		}
	}
	r.counts(0, 0, 0)
}

// A token that is due, but good, is handed out where its refresh takes long or another worker is at it.
func TestNobodyWaitsLongForWhatIsNotUrgent(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.connect(time.Minute)
	release := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	r.vendor.Fail(oauthtest.AtToken, oauthtest.Slow(release))
	impatient := r.worker(refresh.Config{Patience: 10 * time.Millisecond})
	c, err := impatient.Fresh(t.Context(), r.account)
	if err != nil || c.AccessToken().Reveal() != r.granted.Access {
		t.Fatalf("got %v", err)
	}
	bustest.Eventually(t, "the service is asked", func() bool { return r.vendor.Counts().Tokens == 1 })
	c, err = r.first.Fresh(t.Context(), r.account) // finds the lease taken, and is patient
	if err != nil || c.AccessToken().Reveal() != r.granted.Access {
		t.Fatalf("got %v", err)
	}
	r.counts(1, 0, 0)
}

func TestTheBackgroundRefreshesWhatWasUsed(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.connect(50 * time.Minute)
	w := r.worker(refresh.Config{Sweep: 20 * time.Millisecond})
	over := r.run(w)
	if _, err := w.Fresh(t.Context(), r.account); err != nil {
		t.Fatal(err)
	}
	r.later(42 * time.Minute) // eight minutes are left: a run would wait two minutes more
	bustest.Eventually(t, "the token is made anew", func() bool { return r.storedNow().Generation == 1 })
	r.counts(1, 1, 0)
	over()
	r.state(behalf.AccountActive)
}

// run runs a worker's background until the test says that it is over.
func (r *rig) run(w *worker) (over func()) {
	r.t.Helper()
	ctx, cancel := contextOf(r.t)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

// One worker's clock is ahead, and one is behind: neither spends a refresh token that the other spent.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.connect(-time.Second) // to a clock that is right
	behind := r.worker(refresh.Config{Now: func() time.Time { return r.now().Add(-10 * time.Minute) }})
	ahead := r.worker(refresh.Config{Now: func() time.Time { return r.now().Add(10 * time.Minute) }})
	old, err := behind.Fresh(t.Context(), r.account)
	if err != nil || old.AccessToken().Reveal() != r.granted.Access {
		t.Fatalf("whose clock is behind thinks it good: %v", err)
	}
	r.good(behind.Renew(t.Context(), r.account, old)) // but the service does not
	r.counts(1, 1, 0)
	token := r.storedNow().AccessToken()
	for _, w := range []*worker{ahead, behind, r.first} {
		c, err := w.Fresh(t.Context(), r.account)
		if err != nil || !c.AccessToken().Equal(token) {
			t.Errorf("got another token: %v", err)
		}
	}
	r.counts(1, 1, 0)
	r.later(48 * time.Minute)
	r.all([]*worker{ahead, behind, r.first}, 20, func(w *worker) (credential.Credential, error) { return r.fresh(ahead) })
	r.counts(2, 2, 0)
}

// What lies beside the credential tells nothing of it.
func TestNothingBesideTheCredentialHoldsAToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, oauthtest.Config{})
	r.good(r.fresh(r.first))
	value, _, err := r.first.store.Leases().Get(t.Context(), "mark/"+r.path().Name())
	if err != nil || len(value) == 0 {
		t.Fatalf("there is no mark: %v", err)
	}
	if text := string(value); strings.Contains(text, "canary") || strings.Contains(text, "abc-123") {
		t.Errorf("the mark is %s", text)
	}
	if record, err := json.Marshal(r.record()); err != nil || strings.Contains(string(record), "canary") {
		t.Errorf("the record is %s, %v", record, err)
	}
}
