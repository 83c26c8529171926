package refresh

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
)

// post asks the service for a new token, where that may be done, and keeps what it gave.
func (s *Source) post(ctx context.Context, w wish, v view, client *oauth.Client, h *holding) (credential.Credential, error) {
	m, err := s.ahead(w, v.mark)
	if err != nil {
		return credential.Credential{}, s.kill(ctx, w, v, uncertain(w.app.Name, "was cut short"))
	}
	for {
		if !s.lasts(h.lease) {
			return credential.Credential{}, fault.Wrap(fault.Unavailable, op, errLeaseShort)
		}
		if m, err = s.setMark(ctx, w, v.credential, m); err != nil {
			return credential.Credential{}, unmarked(err)
		}
		v.mark = m
		s.cfg.Points(ctx, Marked)
		token, err := client.Refresh(ctx, v.credential.RefreshToken)
		s.cfg.Points(ctx, Told)
		if err == nil {
			return s.keep(ctx, w, v, merged(v.credential, token, s.cfg.Now()), h)
		}
		next, again := s.repeat(w, m, err)
		if !again {
			return s.failed(ctx, w, v, err)
		}
		m = next
	}
}

// unmarked is for a mark that was not written: then nothing was posted. That another wrote it means that it has the lease.
func unmarked(err error) error {
	if fault.Is(err, fault.Conflict) {
		return fault.Wrap(fault.Unavailable, op, err)
	}
	return err
}

var errSpent = errors.New("the refresh token may be spent")

// ahead is the mark with which the token may be posted. An error says that it may not, because it was already, and
// nobody knows what came of it.
func (s *Source) ahead(w wish, m marked) (marked, error) {
	now := s.cfg.Now().UTC()
	switch {
	case m.State != posting || w.app.Auth.Refresh == app.RefreshKeeps:
		m.mark = mark{State: posting, At: now, Tries: m.Tries}
		return m, nil
	case s.graced(w, m):
		m.Repeated = true
		return m, nil
	}
	return m, errSpent
}

// graced says whether a token that may be spent may be posted once more.
func (s *Source) graced(w wish, m marked) bool {
	return !m.Repeated && s.cfg.Now().Before(m.At.Add(w.app.Auth.Tokens.Grace))
}

// silent says whether a refresh ended so that nobody knows what became of it: it was sent, and there was no answer. An
// answer that is none, such as a page or a 5xx, is taken for what it says: that the service does not work.
func silent(e oauth.Error) bool { return e.Uncertain && e.Status == 0 }

// repeat says whether to post the same token at once again, and with which mark.
func (s *Source) repeat(w wish, m marked, err error) (marked, bool) {
	e, ok := errors.AsType[oauth.Error](err)
	if !ok || !silent(e) || w.app.Auth.Refresh == app.RefreshKeeps || !s.graced(w, m) {
		return m, false
	}
	m.Repeated = true
	return m, true
}

// failed decides what a refresh means that brought no token.
func (s *Source) failed(ctx context.Context, w wish, v view, err error) (credential.Credential, error) {
	e, _ := errors.AsType[oauth.Error](err)
	switch {
	case e.Reason == oauth.ReasonGrant:
		return s.refused(ctx, w, v, e)
	case silent(e) && w.app.Auth.Refresh != app.RefreshKeeps:
		s.log.Warn().Err(err).Str("app", string(w.account.App)).Str("account", string(w.account.ID)).Msg("refresh without an answer")
		return credential.Credential{}, s.kill(ctx, w, v, uncertain(w.app.Name, "was not answered"))
	}
	return credential.Credential{}, s.postpone(ctx, w, v, e, err)
}

// refused is for invalid_grant. Where another token is stored by now, the account was connected again, and that counts.
func (s *Source) refused(ctx context.Context, w wish, v view, e oauth.Error) (credential.Credential, error) {
	stored, _, err := s.deps.Store.Get(ctx, w.path)
	if err != nil {
		return credential.Credential{}, err
	}
	if !stored.RefreshToken.Equal(v.credential.RefreshToken) {
		s.deps.Cached.Forget(w.path)
		s.metrics.count(w.account.App, outcomeSuperseded)
		if s.satisfies(w, stored) {
			return stored, nil
		}
		return credential.Credential{}, fault.New(fault.Unavailable, op, "the account was connected again just now")
	}
	return credential.Credential{}, s.kill(ctx, w, v, ended(w.app.Name, e.Code))
}

// postpone writes down that the service did not do it, and when the next try is, for all workers.
func (s *Source) postpone(ctx context.Context, w wish, v view, e oauth.Error, err error) error {
	m := v.mark
	m.State, m.Tries = later, m.Tries+1
	m.Until = s.cfg.Now().Add(max(e.RetryAfter, backoff(m.Tries))).UTC()
	s.metrics.count(w.account.App, outcomeLater)
	s.log.Warn().Err(err).Str("app", string(w.account.App)).Str("account", string(w.account.ID)).Time("until", m.Until).Msg("refresh postponed")
	if _, unset := s.setMark(ctx, w, v.credential, m); unset != nil {
		s.log.Warn().Err(unset).Msg("refresh postponed, and not written down")
	}
	if fault.Is(err, fault.Exhausted) {
		return err
	}
	// Whatever it was, it is not the run's: it waits until the service, or whoever runs us, has mended it.
	return fault.New(fault.Unavailable, op, fault.Safe(err)).Because(err)
}

// backoff grows from a second to five minutes, up to a fifth more.
func backoff(tries int) time.Duration {
	d := min(time.Second<<min(tries-1, 9), 5*time.Minute)
	return d + rand.N(d/5) //nolint:gosec // spreading load needs no secrecy
}

// merged is a credential with a new token.
func merged(c credential.Credential, t oauth.Token, now time.Time) credential.Credential {
	next := c.Clone()
	next.Fields[credential.FieldAccessToken] = t.Access
	maps.Copy(next.Fields, t.Fields)
	next.RefreshToken, next.ExpiresAt, next.IssuedAt = t.Refresh, t.ExpiresAt, now.UTC().Truncate(time.Second)
	next.Generation++
	if t.Scopes != nil {
		next.Scopes = slices.Clone(t.Scopes)
	}
	return next
}

func oauthApp(c credential.Credential) behalf.OAuthAppID { return behalf.OAuthAppID(c.OAuthApp) }
