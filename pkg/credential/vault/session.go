package vault

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/pause"
)

// session keeps a client logged in. What it knows is guarded by mu; the work is done by run alone.
type session struct {
	client  *api.Client
	method  method
	retry   time.Duration
	metrics *metrics
	log     zerolog.Logger
	tried   chan struct{}
	doubts  chan struct{} // the token was refused: look at it

	replaced time.Time // when a refused token was given up, for run alone

	mu      sync.Mutex
	why     string        // we are not logged in; empty while we are
	settled chan struct{} // closed and replaced when a doubt or a login has come to an end
	held    time.Time     // when the token was last seen to be one
}

func newSession(client *api.Client, m method, retry time.Duration, figures *metrics, log zerolog.Logger) *session {
	return &session{
		client: client, method: m, retry: retry, metrics: figures, log: log,
		tried: make(chan struct{}), doubts: make(chan struct{}, 1),
		why: "not logged in to Vault yet", settled: make(chan struct{}),
	}
}

// run logs in, for as long as it takes, and again whenever the token has come to its end.
func (s *session) run(ctx context.Context) error {
	tried := sync.OnceFunc(func() { close(s.tried) })
	failed := 0
	for ctx.Err() == nil {
		got := s.try(ctx)
		tried()
		if got == nil {
			s.rest(ctx, failed)
			failed = min(failed+1, 4)
			continue
		}
		failed = 0
		s.watch(ctx, got)
	}
	return nil
}

// try logs in and makes known what came of it: a token, or nil.
func (s *session) try(ctx context.Context) *api.Secret {
	got, err := s.login(ctx)
	if ctx.Err() != nil {
		return nil
	}
	s.settle(err, got)
	if err != nil {
		return nil
	}
	return got
}

// login logs in by a client of its own: the old token stays in use until there is a new one.
func (s *session) login(ctx context.Context) (*api.Secret, error) {
	fresh, err := s.client.CloneWithHeaders()
	if err != nil {
		return nil, err
	}
	fresh.ClearToken()
	got, err := s.method(ctx, fresh)
	s.metrics.login(err)
	return got, err
}

// settle makes the outcome of a login known.
func (s *session) settle(err error, got *api.Secret) {
	why := ""
	if err != nil {
		why = refusal(err)
		s.log.Warn().AnErr("err", causeOf(err)).Str("reason", why).Msg("login to vault failed; trying again")
	} else {
		s.client.SetToken(got.Auth.ClientToken)
		s.metrics.lives(got.Auth.LeaseDuration)
		s.log.Info().Int("ttl_s", got.Auth.LeaseDuration).Bool("renewable", got.Auth.Renewable).Msg("logged in to vault")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
	close(s.settled)
	s.settled = make(chan struct{})
}

// rest waits before the next login, with up to half of it off, so that many do not come at once.
func (s *session) rest(ctx context.Context, failed int) {
	wait := s.retry << failed
	wait -= time.Duration(rand.Int64N(int64(wait/2) + 1)) //nolint:gosec // spreading load needs no secrecy
	_ = pause.For(ctx, wait)                              // whoever waits looks at ctx
}

// watch renews the token until that is over: its last day has come, it was revoked, or we leave.
func (s *session) watch(ctx context.Context, got *api.Secret) {
	ended := make(chan struct{})
	if got.Auth.LeaseDuration > 0 { // a token without end needs no watcher
		stop := s.renew(got, ended)
		defer stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			s.log.Info().Msg("the token of vault comes to its end; logging in again")
			return
		case <-s.doubts:
			if !s.holds(ctx) {
				s.log.Warn().Msg("the token of vault was revoked; logging in again")
				s.replaced = time.Now()
				return
			}
		}
	}
}

// renew keeps the token alive, and closes ended when it cannot be any more. The function that it returns stops it, and
// waits until it has.
func (s *session) renew(got *api.Secret, ended chan<- struct{}) (stop func()) {
	watcher, err := s.client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: got, RenewBehavior: api.RenewBehaviorIgnoreErrors})
	if err != nil { // it has no token, which login has checked
		close(ended)
		return func() {}
	}
	var working sync.WaitGroup
	over := make(chan struct{})
	working.Go(watcher.Start)
	working.Go(func() {
		for {
			select {
			case renewed := <-watcher.RenewCh():
				s.metrics.lives(renewed.Secret.Auth.LeaseDuration)
			case err := <-watcher.DoneCh(): // with or without an error, it means to log in again
				s.log.Debug().AnErr("err", causeOf(err)).Msg("the token of vault is renewed no more")
				close(ended)
				return
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		watcher.Stop()
		working.Wait()
	}
}

// holds says whether our token is still one. Where nobody can tell, it is; and so is one that has just taken the place of
// another, or a policy without lookup-self would have us log in for every request that it denies.
func (s *session) holds(ctx context.Context) bool {
	if time.Since(s.replaced) >= trusted {
		_, err := s.client.Auth().Token().LookupSelfWithContext(ctx)
		var answered *api.ResponseError
		if errors.As(err, &answered) && answered.StatusCode == http.StatusForbidden {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = time.Now()
	close(s.settled)
	s.settled = make(chan struct{})
	return true
}

// trouble says why we are not logged in.
func (s *session) trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// trusted is how long a token that was looked at is not looked at again: what is refused then, our policy does not allow.
const trusted = time.Second

// doubt has a refused token looked at, and says whether there is another by now.
func (s *session) doubt(ctx context.Context, token string) bool {
	s.mu.Lock()
	settled, certain := s.settled, s.why != "" || time.Since(s.held) < trusted
	s.mu.Unlock()
	if s.client.Token() != token {
		return true
	}
	if certain {
		return false
	}
	select {
	case s.doubts <- struct{}{}:
	default: // somebody else has asked
	}
	select {
	case <-settled:
		return s.client.Token() != token
	case <-ctx.Done():
		return false
	}
}
