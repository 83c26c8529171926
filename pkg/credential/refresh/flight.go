package refresh

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/pause"
)

const op = "refresh.Fresh"

// refresh is the whole of it, for one process: it takes the lease, or waits for what its holder makes.
func (s *Source) refresh(ctx context.Context, w wish) (credential.Credential, error) {
	over := time.Now().Add(s.cfg.Wait)
	for {
		v, err := s.look(ctx, w)
		if err != nil || v.over {
			return v.credential, err
		}
		l, err := s.take(ctx, w.path)
		switch {
		case err == nil:
			return s.leased(ctx, w, l)
		case !fault.Is(err, fault.Conflict):
			return s.orGood(w, v.credential, err)
		case s.stillGood(w, v.credential):
			return v.credential, nil
		case time.Now().After(over):
			return credential.Credential{}, fault.New(fault.Unavailable, op, "another worker is refreshing this account")
		}
		if err := pause.For(ctx, s.cfg.Poll+rand.N(s.cfg.Poll)); err != nil { //nolint:gosec // spreading load needs no secrecy
			return s.orGood(w, v.credential, fault.Wrap(fault.KindOf(err), op, err))
		}
	}
}

// orGood hands out the token that there is where it is good a while longer, instead of an error that passes.
func (s *Source) orGood(w wish, c credential.Credential, err error) (credential.Credential, error) {
	if s.stillGood(w, c) && !fault.Is(err, fault.NotFound) {
		return c, nil
	}
	return credential.Credential{}, err
}

// view is what is there right now.
type view struct {
	credential credential.Credential
	revision   credential.Revision
	mark       marked
	over       bool // nothing is to be done: the credential will do
}

// look reads what is there, and says what needs no lease to be said: that it will do, that the service is to be left
// alone for now, or that the account is done for.
func (s *Source) look(ctx context.Context, w wish) (view, error) {
	if c, ok := s.unkept.of(w.path); ok && s.satisfies(w, c) {
		return view{credential: c, over: true}, nil
	}
	c, revision, err := s.deps.Store.Get(ctx, w.path)
	if err != nil {
		return view{}, err
	}
	v := view{credential: c, revision: revision}
	if s.satisfies(w, c) {
		s.deps.Cached.Forget(w.path) // it has one that would not do
		s.recent.renew(w, c)
		v.over = true
		return v, nil
	}
	if c.RefreshToken.IsZero() {
		if !spent(c, s.cfg.Now()) {
			v.over = true
			return v, nil
		}
		return v, s.bury(ctx, w, c, unrefreshable(w.app.Name))
	}
	if v.mark, err = s.markOf(ctx, w.path, c); err != nil {
		return s.viewOrGood(w, v, err)
	}
	switch now := s.cfg.Now(); {
	case v.mark.State == dead:
		return v, s.bury(ctx, w, c, death{v.mark.Account, v.mark.Reason})
	case v.mark.State == later && now.Before(v.mark.Until):
		return s.viewOrGood(w, v, waits(w, v.mark.Until.Sub(now)))
	}
	return v, nil
}

func (s *Source) viewOrGood(w wish, v view, err error) (view, error) {
	if s.stillGood(w, v.credential) {
		v.over = true
		return v, nil
	}
	return v, err
}

func waits(w wish, d time.Duration) error {
	return fault.Newf(fault.Unavailable, op, "%s gives no new token right now: the next try is in %s", w.app.Name, d.Round(time.Second))
}

// leased does what is to be done under the lease. What is there is read again: another may just have done it.
func (s *Source) leased(ctx context.Context, w wish, l lease) (credential.Credential, error) {
	held := &holding{lease: l}
	defer func() {
		if !held.kept {
			s.drop(ctx, held.lease)
		}
	}()
	s.cfg.Points(ctx, Leased)
	v, err := s.look(ctx, w)
	if err != nil || v.over {
		return v.credential, err
	}
	client, err := s.client(ctx, w, v.credential)
	if err != nil {
		return s.orGood(w, v.credential, err)
	}
	c, err := s.post(ctx, w, v, client, held)
	if err != nil {
		return s.orGood(w, v.credential, err)
	}
	return c, nil
}

// holding is the lease of one refresh. It is kept where the new token is not stored yet.
type holding struct {
	lease lease
	kept  bool
}

func (s *Source) client(ctx context.Context, w wish, c credential.Credential) (*oauth.Client, error) {
	id := w.account.OAuthApp
	if c.OAuthApp != "" {
		id = oauthApp(c)
	}
	registration, err := s.deps.Clients.Client(ctx, w.account.Project, s.cfg.Environment, w.account.App, id)
	if fault.Is(err, fault.NotFound) {
		// The grant may well be alive: whoever runs this can mend it, and the runs wait.
		return nil, fault.Newf(fault.Unavailable, op, "there is no OAuth client for %s with which this account could be refreshed", w.app.Name).Because(err)
	}
	if err != nil {
		return nil, err
	}
	client, err := oauth.New(s.deps.HTTP, w.app, registration, oauth.Config{Timeout: s.cfg.Timeout, Now: s.cfg.Now})
	if err != nil {
		return nil, fault.Newf(fault.Unavailable, op, "the OAuth client for %s cannot be used", w.app.Name).Because(err)
	}
	return client, nil
}

var errLeaseShort = errors.New("the lease ends too soon for a request")
