package refresh_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/embedded"
	"github.com/behalf-dev/behalf/pkg/bus/provision"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/refresh"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const env = bustest.Environment

// rig is a service, a NATS server with its buckets, and an account whose token has ended.
type rig struct {
	t       testing.TB
	server  *embedded.Server
	vendor  *oauthtest.Vendor
	apps    app.Catalog
	key     string
	began   time.Time    // at which everybody's clock stands
	shift   atomic.Int64 // since
	account behalf.Account
	granted oauthtest.Tokens
	first   *worker
}

func newRig(tb testing.TB, cfg oauthtest.Config) *rig {
	tb.Helper()
	r := &rig{t: tb, began: time.Now(), server: bustest.Server(tb), key: filepath.Join(tb.TempDir(), "sealed.key")}
	cfg.Now = r.now
	r.vendor = oauthtest.New(tb, cfg)
	r.apps = r.vendor.Catalog(tb)
	conn := bustest.Connect(tb, r.server)
	if err := provision.Environment(tb.Context(), conn, env, bustest.Layout()); err != nil {
		tb.Fatal(err)
	}
	r.first = r.worker(refresh.Config{})
	r.connect(-time.Minute)
	return r
}

// now stands still, so that a slow machine changes nothing, until the test says that it is later.
func (r *rig) now() time.Time { return r.began.Add(time.Duration(r.shift.Load())) }

func (r *rig) later(d time.Duration) { r.shift.Add(int64(d)) }

// connect makes an account with a token that ends after a time.
func (r *rig) connect(ends time.Duration) {
	r.t.Helper()
	r.connectAs(ends, behalf.Grant{})
}

func (r *rig) connectAs(ends time.Duration, granted behalf.Grant) {
	r.t.Helper()
	now := time.Now().UTC()
	r.account = behalf.Account{
		ID: behalf.NewAccountID(), Project: bustest.Project, App: oauthtest.Slug, User: "abc-123", Grant: granted, CreatedAt: now, UpdatedAt: now,
	}
	r.granted = r.vendor.Grant("abc-123")
	r.put(credential.Credential{
		Fields:       map[string]secret.String{credential.FieldAccessToken: secret.New(r.granted.Access)},
		RefreshToken: secret.New(r.granted.Refresh), ExpiresAt: r.now().Add(ends), IssuedAt: r.now().Add(ends - time.Hour),
	}, 0)
	if _, err := r.first.store.PutAccount(r.t.Context(), r.account, 0); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) put(c credential.Credential, revision credential.Revision) {
	r.t.Helper()
	if _, err := r.first.sealed.Put(r.t.Context(), r.path(), c, revision); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) path() credential.Path { return credential.PathOf(env, r.account) }

// stored is the credential as it lies in the store.
func (r *rig) stored() (credential.Credential, credential.Revision) {
	r.t.Helper()
	c, revision, err := r.first.sealed.Get(r.t.Context(), r.path())
	if err != nil {
		r.t.Fatal(err)
	}
	return c, revision
}

// record is that of the account.
func (r *rig) record() behalf.Account {
	r.t.Helper()
	found, err := r.first.store.FindAccount(r.t.Context(), r.account.Project, r.account.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return found.Value
}

func (r *rig) state(want behalf.AccountState) {
	r.t.Helper()
	got := r.record()
	if got.State != want || (got.Reason == "") != (want == behalf.AccountActive || want == "") {
		r.t.Errorf("the account is %q because %q, want %q", got.State, got.Reason, want)
	}
}

func (r *rig) counts(tokens, refreshes, reuses int) {
	r.t.Helper()
	if got := r.vendor.Counts(); got.Tokens != tokens || got.Refreshes != refreshes || got.Reuses != reuses {
		r.t.Errorf("the service was asked %d times and made %d tokens, with %d reuses; want %d, %d, %d",
			got.Tokens, got.Refreshes, got.Reuses, tokens, refreshes, reuses)
	}
}

// worker is what one process has: a connection of its own, and all that stands on it.
type worker struct {
	*refresh.Source

	store  *store.Store
	sealed credential.Store
	cached *credential.Cached
}

func (r *rig) worker(cfg refresh.Config) *worker { return r.workerOn(cfg, nil, nil) }

// workerOn makes a worker whose credential store and leases may have something between.
func (r *rig) workerOn(cfg refresh.Config, between func(credential.Store) credential.Store, leases func(refresh.Leases) refresh.Leases) *worker {
	r.t.Helper()
	conn := bustest.Connect(r.t, r.server)
	records, err := store.New(r.t.Context(), conn.NATS(), env, store.Config{ReadTimeout: bustest.Patience}, zerolog.Nop())
	if err != nil {
		r.t.Fatal(err)
	}
	buckets := make(map[behalf.Environment]credential.Bucket)
	buckets[env] = records.Sealed()
	sealed, err := credential.OpenSealed(r.t.Context(), r.key, buckets)
	if err != nil {
		r.t.Fatal(err)
	}
	w := &worker{store: records, sealed: sealed}
	if between != nil {
		w.sealed = between(sealed)
	}
	var lease refresh.Leases = records.Leases()
	if leases != nil {
		lease = leases(lease)
	}
	cfg.Environment = env
	if cfg.Now == nil {
		cfg.Now = r.now
	}
	if cfg.Wait == 0 {
		cfg.Wait = bustest.Patience
	}
	if cfg.Patience == 0 {
		cfg.Patience = bustest.Patience
	}
	w.cached = credential.NewCached(w.sealed, credential.CacheConfig{Now: cfg.Now})
	w.Source = refresh.New(cfg, refresh.Deps{
		Store: w.sealed, Cached: w.cached, Leases: lease, Accounts: accounts{records}, Changes: records, Apps: r.apps,
		Clients: r, HTTP: r.vendor.HTTP(),
	}, zerolog.Nop())
	return w
}

// Client implements refresh.Clients.
func (r *rig) Client(_ context.Context, _ behalf.ProjectID, _ behalf.Environment, slug behalf.AppSlug, id behalf.OAuthAppID) (oauth.Registration, error) {
	if slug != oauthtest.Slug || id != "" {
		return oauth.Registration{}, fault.New(fault.NotFound, "test", "no such client")
	}
	name, word := r.vendor.Client()
	return oauth.Registration{ID: name, Secret: word}, nil
}

type accounts struct{ *store.Store }

func (a accounts) Account(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (behalf.Account, uint64, error) {
	found, err := a.FindAccount(ctx, project, id)
	return found.Value, found.Revision, err
}

func (a accounts) SetAccount(ctx context.Context, account behalf.Account, revision uint64) error {
	_, err := a.PutAccount(ctx, account, revision)
	return err
}

// fresh asks until there is an answer that is final.
func (r *rig) fresh(w *worker) (credential.Credential, error) {
	r.t.Helper()
	var c credential.Credential
	var err error
	bustest.Eventually(r.t, "there is an answer", func() bool {
		c, err = w.Fresh(r.t.Context(), r.account)
		return !passes(err)
	}, func() string { return errorText(err) })
	return c, err
}

func passes(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout) || fault.Is(err, fault.Exhausted)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *rig) good(c credential.Credential, err error) {
	r.t.Helper()
	if err != nil || !r.vendor.Good(c.AccessToken().Reveal()) || c.AccessToken().Equal(secret.New(r.granted.Access)) {
		r.t.Fatalf("got no new token: %v", err)
	}
}

func (r *rig) kind(err error, want fault.Kind) {
	r.t.Helper()
	if !fault.Is(err, want) {
		r.t.Fatalf("got %v, want %s", err, want)
	}
}

// failing is a store whose writes fail as often as it is told.
type failing struct {
	credential.Store

	puts atomic.Int32
}

func (f *failing) Put(ctx context.Context, p credential.Path, c credential.Credential, r credential.Revision) (credential.Revision, error) {
	if f.puts.Add(-1) >= 0 {
		return 0, fault.Wrap(fault.Unavailable, "test", errors.New("the store is away"))
	}
	return f.Store.Put(ctx, p, c, r)
}
