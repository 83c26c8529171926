package refresh

import (
	"context"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// death is why an account must be connected again.
type death struct {
	state  behalf.AccountState
	reason string
}

func unrefreshable(app string) death {
	return death{behalf.AccountNeedsReauth, "the token of " + app + " has ended, and the account has none to refresh it with: connect the account again"}
}

// ended is for invalid_grant, with the service's own word.
func ended(app, word string) death {
	if strings.Contains(strings.ToLower(word), "revoked") {
		return death{behalf.AccountRevoked, app + " says that the consent was taken back: connect the account again"}
	}
	return death{behalf.AccountNeedsReauth, app + " no longer accepts this consent: connect the account again"}
}

func uncertain(app, how string) death {
	return death{
		behalf.AccountNeedsReauth,
		"a refresh at " + app + " " + how + ", so its refresh token may be spent and is not sent again: connect the account again",
	}
}

// kill has a refresh token never posted again, and says so in the account's record: the mark first, so that whoever comes
// after a crash goes on from there.
func (s *Source) kill(ctx context.Context, w wish, v view, d death) error {
	m := v.mark
	m.State, m.Account, m.Reason = dead, d.state, d.reason
	if _, err := s.setMark(ctx, w, v.credential, m); err != nil {
		return unmarked(err)
	}
	s.metrics.count(w.account.App, string(d.state))
	s.log.Warn().Str("app", string(w.account.App)).Str("account", string(w.account.ID)).Str("state", string(d.state)).
		Str("reason", d.reason).Msg("account must be connected again")
	return s.bury(ctx, w, v.credential, d)
}

// bury says in the account's record that it must be connected again, unless it was meanwhile. The error is what the
// caller gets: NotFound, or what kept us from saying it.
func (s *Source) bury(ctx context.Context, w wish, c credential.Credential, d death) error {
	s.deps.Cached.Forget(w.path)
	s.recent.forget(w.path)
	gone := fault.New(fault.NotFound, op, d.reason)
	err := s.change(ctx, w, func(a *behalf.Account) (bool, error) {
		if !a.Usable() {
			return false, nil
		}
		stored, _, err := s.deps.Store.Get(ctx, w.path)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return false, err
		case !stored.RefreshToken.Equal(c.RefreshToken) || !stored.AccessToken().Equal(c.AccessToken()):
			return false, fault.New(fault.Unavailable, op, "the account was connected again just now")
		}
		a.State, a.Reason, a.RefreshAt = d.state, d.reason, time.Time{}
		return true, nil
	})
	if err != nil {
		return err
	}
	return gone
}

// showActive says in the account's record when its token was made and ends.
func (s *Source) showActive(ctx context.Context, w wish, c credential.Credential) error {
	return s.change(ctx, w, func(a *behalf.Account) (bool, error) {
		if a.State == behalf.AccountRevoked {
			return false, nil // by somebody, and not for us to undo
		}
		a.State, a.Reason = behalf.AccountActive, ""
		a.ExpiresAt, a.RefreshedAt, a.RefreshAt = c.ExpiresAt, c.IssuedAt, next(w, c)
		if c.Scopes != nil {
			a.Scopes = c.Scopes
		}
		return true, nil
	})
}

// change changes the account's record as it is right now. There being none is no error: then it was deleted.
func (s *Source) change(ctx context.Context, w wish, edit func(*behalf.Account) (bool, error)) error {
	for range 5 {
		a, revision, err := s.deps.Accounts.Account(ctx, w.account.Project, w.account.ID)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		changed, err := edit(&a)
		if err != nil || !changed {
			return err
		}
		a.UpdatedAt = s.cfg.Now().UTC().Round(0).Truncate(time.Millisecond)
		if err = s.deps.Accounts.SetAccount(ctx, a, revision); !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return fault.New(fault.Unavailable, op, "the account's record changes all the time")
}
