package refresh

import (
	"context"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/oauth"
)

// next is when a credential that was just made is to be made anew. What the keeper made nobody has asked for, so it need not
// be good all the time.
func next(w wish, c credential.Credential) time.Time {
	if c.RefreshToken.IsZero() {
		return time.Time{}
	}
	return oauth.Next(w.app.Auth.Tokens, c.IssuedAt, c.ExpiresAt, !w.kept)
}

// madeLately says whether a credential was made anew since somebody said that it is time, so that it is not once more.
func madeLately(w wish, c credential.Credential, now time.Time) bool {
	return !c.RefreshToken.IsZero() && now.Before(early(c)) && now.Before(c.IssuedAt.Add(oauth.Every(w.app.Auth.Tokens)*9/10))
}

// planOf is when the keeper turns to an account, and the zero time for never. A record that names no time may be of a
// release that knew none, or of a token that nothing can be made of: when that ends it shows.
func planOf(a behalf.Account) time.Time {
	switch {
	case !a.Usable():
		return time.Time{}
	case a.RefreshAt.IsZero() && !a.ExpiresAt.IsZero():
		return a.ExpiresAt.Add(2 * skew)
	}
	return a.RefreshAt
}

// replan says in the account's record when it is made anew, where that was not said: a refresh whose record could not be
// written, or an account of which nobody knew whether it can be refreshed.
func (s *Source) replan(ctx context.Context, w wish, c credential.Credential) error {
	return s.change(ctx, w, func(a *behalf.Account) (bool, error) {
		at := next(w, c)
		if !a.Usable() || a.RefreshAt.Equal(at) || a.RefreshAt.After(s.cfg.Now()) {
			return false, nil
		}
		a.RefreshAt = at
		return true, nil
	})
}
