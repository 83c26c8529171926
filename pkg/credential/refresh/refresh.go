// Package refresh hands out credentials that still work. One that ends soon is made anew at its service, once, however
// many workers want it; one that nobody wants is made anew once a day, by one worker of the environment; and where only its
// owner can help, the account's record says so.
//
// It never refreshes without the lease, never posts a refresh token again that may be spent, never decides who may have
// a credential, and never puts a value into a lease, a log or an error.
package refresh

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/singleflight"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
)

// Leases keeps small values that may end by themselves, each read as it is right now. Revision 0 means nothing yet when
// writing. Errors: NotFound, Conflict, Unavailable.
type Leases interface {
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	PutFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
}

// Accounts keeps the records of accounts. Errors: NotFound, Conflict, Unavailable.
type Accounts interface {
	Account(ctx context.Context, project behalf.ProjectID, id behalf.AccountID) (account behalf.Account, revision uint64, err error)
	SetAccount(ctx context.Context, account behalf.Account, revision uint64) error
}

// Changes tells which accounts of any project have changed behind a revision, 0 for all there are, and behind which one to go
// on. Of one that is gone, project and id are set. What was written just now may come only the next time. Errors:
// Unavailable.
type Changes interface {
	ChangedAccounts(ctx context.Context, after uint64, each func(account behalf.Account, gone bool)) (uint64, error)
}

// Clients finds the OAuth client with which an account was connected: the project's own of this id, or for no id the one
// that we ship. Errors: NotFound, Unavailable.
type Clients interface {
	Client(ctx context.Context, project behalf.ProjectID, env behalf.Environment, slug behalf.AppSlug, id behalf.OAuthAppID) (oauth.Registration, error)
}

// Apps is the catalogue.
type Apps interface {
	App(slug behalf.AppSlug) (app.App, bool)
}

// Deps are the parts that a Source stands on. It closes none of them.
type Deps struct {
	// Store is asked where it matters what is there right now; Cached stands before it, and is written through.
	Store    credential.Store
	Cached   *credential.Cached
	Leases   Leases
	Accounts Accounts
	// Changes are for accounts that nobody uses. Nil means that those are refreshed on demand alone.
	Changes Changes
	Apps    Apps
	Clients Clients
	// HTTP sends the requests: one of egress.
	HTTP *http.Client
}

// Config tunes a Source. Environment must be set; else the zero value works.
type Config struct {
	Environment behalf.Environment
	// Timeout is how long a service may take for one refresh.
	//
	// Defaults to 20 seconds.
	Timeout time.Duration
	// Lease is how long one holds it at most. A crash keeps an account from being refreshed for so long.
	//
	// Defaults to three times Timeout, and is never less.
	Lease time.Duration
	// Wait is how long a caller waits for the refresh of another, looking every Poll.
	//
	// Defaults to 8 seconds, and 150 milliseconds.
	Wait, Poll time.Duration
	// Patience is how long a caller waits for a refresh while the token is still good.
	//
	// Defaults to 2 seconds.
	Patience time.Duration
	// Sweep is how often accounts are looked through that were used within Recent, for those whose token ends soon.
	//
	// Defaults to 30 seconds, and 2 hours.
	Sweep, Recent time.Duration
	// Keep is about accounts that nobody uses.
	Keep KeepConfig
	// Points is called at the named places of a refresh by tests that kill the process there. Nil does nothing.
	Points func(ctx context.Context, at Point)
	// Now tells the time.
	//
	// Defaults to time.Now.
	Now func() time.Time
	// Registerer takes the metrics. Nil works.
	Registerer prometheus.Registerer
}

// KeepConfig tunes how accounts are refreshed that nobody uses. One process of an environment does it, for all.
type KeepConfig struct {
	// Round is how often what has changed is read and what is due is refreshed, and how often the others ask whether it is
	// their turn; Whole is how often all accounts are read.
	//
	// Defaults to 30 seconds, and an hour.
	Round, Whole time.Duration
	// Pace is how many accounts are refreshed in a second at most, so that many that are due at once, as after an import or an
	// outage, are no storm for their services and for Vault.
	//
	// Defaults to 5: 100,000 accounts a day are 1.2.
	Pace float64
}

// Point is a place in a refresh at which a crash matters.
type Point string

// The points, in their order.
const (
	Leased Point = "refresh_leased"
	Marked Point = "refresh_marked" // about to ask the service
	Told   Point = "refresh_told"   // it has answered
	Kept   Point = "refresh_kept"   // the credential is stored
	Shown  Point = "refresh_shown"  // the account's record says so
)

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 20*time.Second)
	c.Lease = max(c.Lease, 3*c.Timeout)
	c.Wait = cmp.Or(c.Wait, 8*time.Second)
	c.Poll = cmp.Or(c.Poll, 150*time.Millisecond)
	c.Patience = cmp.Or(c.Patience, 2*time.Second)
	c.Sweep = cmp.Or(c.Sweep, 30*time.Second)
	c.Recent = cmp.Or(c.Recent, 2*time.Hour)
	c.Keep.Round = cmp.Or(c.Keep.Round, 30*time.Second)
	c.Keep.Whole = cmp.Or(c.Keep.Whole, time.Hour)
	c.Keep.Pace = cmp.Or(c.Keep.Pace, 5)
	if c.Points == nil {
		c.Points = func(context.Context, Point) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Source hands out the credentials of one environment. It is safe for concurrent use.
type Source struct {
	cfg     Config
	deps    Deps
	log     zerolog.Logger
	metrics *metrics
	flight  singleflight.Group
	working *working
	leaving chan struct{}
	recent  *recent
	unkept  *unkept
}

// New makes a source. Its Run refreshes in the background; without it all is done on demand.
func New(cfg Config, deps Deps, log zerolog.Logger) *Source {
	cfg = cfg.withDefaults()
	return &Source{
		cfg: cfg, deps: deps, metrics: newMetrics(cfg.Registerer, cfg.Environment), leaving: make(chan struct{}), recent: newRecent(), unkept: newUnkept(),
		working: newWorking(),
		log:     log.With().Str("component", "refresh").Str("environment", string(cfg.Environment)).Logger(),
	}
}

// Fresh returns the credential of an account, made anew first where its token ends soon. What it hands out is shared and
// must not be changed. Errors: NotFound (there is none, or it no longer works: the account must be connected again);
// Unavailable, Exhausted, Timeout or Canceled, after which it may be there.
func (s *Source) Fresh(ctx context.Context, account behalf.Account) (credential.Credential, error) {
	path := credential.PathOf(s.cfg.Environment, account)
	c, _, err := s.deps.Cached.Get(ctx, path)
	if err != nil || c.ExpiresAt.IsZero() {
		return c, err
	}
	now := s.cfg.Now()
	if !due(c, now) && s.recent.touch(path, c, now) { // as nearly always
		return c, nil
	}
	w := s.wish(account)
	if !w.refreshable {
		return c, nil
	}
	s.recent.use(w, c, now)
	if !due(c, now) {
		return c, nil
	}
	if !spent(c, now) {
		return s.soon(ctx, w, c)
	}
	return s.shared(ctx, w)
}

// Renew is for a token that the service refused although it should be good: it returns a newer one, which is made where
// there is none yet. Errors: as of Fresh, and Invalid where there is no newer one and none will be: the account cannot
// be refreshed, or the token that was refused is itself a new one.
func (s *Source) Renew(ctx context.Context, account behalf.Account, refused credential.Credential) (credential.Credential, error) {
	const op = "refresh.Renew"
	w := s.wish(account)
	w.refused = fingerprint(w.path, refused.AccessToken())
	s.deps.Cached.Forget(w.path)
	c, _, err := s.deps.Store.Get(ctx, w.path)
	switch {
	case err != nil:
		return credential.Credential{}, err
	case s.satisfies(w, c):
		return c, nil
	case !w.refreshable || c.RefreshToken.IsZero():
		return credential.Credential{}, fault.New(fault.Invalid, op, "this account cannot be refreshed")
	case s.cfg.Now().Sub(c.IssuedAt) < young(c):
		return credential.Credential{}, fault.New(fault.Invalid, op, "the service refuses a token that it has just made")
	}
	return s.shared(ctx, w)
}

// wish is who wants what.
type wish struct {
	account     behalf.Account
	path        credential.Path
	app         app.App
	refreshable bool
	// refused is the fingerprint of an access token that will not do.
	refused string
	// early is for the background: sooner than on demand. kept is for accounts that nobody uses: their time has come, whether
	// or not the token is still good.
	early, kept bool
}

func (s *Source) wish(account behalf.Account) wish {
	known, ok := s.deps.Apps.App(account.App)
	return wish{
		account: account, path: credential.PathOf(s.cfg.Environment, account), app: known,
		refreshable: ok && known.Auth.Type == app.OAuth2 && known.Auth.TokenURL != "",
	}
}

// satisfies says whether the wish needs no refresh.
func (s *Source) satisfies(w wish, c credential.Credential) bool {
	now := s.cfg.Now()
	switch {
	case w.refused != "":
		return fingerprint(w.path, c.AccessToken()) != w.refused && !spent(c, now)
	case w.kept:
		return madeLately(w, c, now)
	case c.ExpiresAt.IsZero():
		return true
	case w.early:
		return now.Before(early(c))
	}
	return !due(c, now)
}

// stillGood says whether the token serves the wish a while longer, where no other is to be had.
func (s *Source) stillGood(w wish, c credential.Credential) bool {
	return w.refused == "" && !spent(c, s.cfg.Now())
}

// shared has one goroutine of this process do it for all that want the same.
func (s *Source) shared(ctx context.Context, w wish) (credential.Credential, error) {
	select {
	case <-ctx.Done():
		return credential.Credential{}, fault.Wrap(fault.KindOf(ctx.Err()), "refresh.Fresh", ctx.Err())
	case r := <-s.begin(ctx, w):
		c, ok := r.Val.(credential.Credential)
		if r.Err == nil && !ok {
			r.Err = fault.Wrap(fault.Internal, "refresh.Fresh", errors.New("a flight brought another type"))
		}
		return c, r.Err
	}
}

// soon waits a little for what is not urgent, and goes on with the token that there is.
func (s *Source) soon(ctx context.Context, w wish, c credential.Credential) (credential.Credential, error) {
	if c.RefreshToken.IsZero() {
		return c, nil
	}
	patience := time.NewTimer(s.cfg.Patience)
	defer patience.Stop()
	select {
	case <-ctx.Done():
	case <-patience.C:
	case r := <-s.begin(ctx, w):
		if fresh, ok := r.Val.(credential.Credential); ok && r.Err == nil {
			return fresh, nil
		}
		if fault.Is(r.Err, fault.NotFound) {
			return credential.Credential{}, r.Err
		}
	}
	return c, nil
}

// begin starts a refresh, or joins the one that is under way. It goes on when its caller leaves: a refresh that is cut
// short may cost the grant.
func (s *Source) begin(ctx context.Context, w wish) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return s.flight.DoChan(w.path.Name()+w.refused, func() (any, error) {
		defer s.working.begin()()
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Lease)
		defer cancel()
		return s.refresh(ctx, w)
	})
}
