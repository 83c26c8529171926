package refresh

import (
	"time"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/oauth"
)

// skew is how much the clocks of two machines are believed to differ.
const skew = 10 * time.Second

// due says whether a token should be made anew.
func due(c credential.Credential, now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt.Add(-margin(c)))
}

// spent says whether a token can no longer be handed out: it ends before another machine's clock, a little ahead, or
// has. One that nobody can make anew is given the benefit of the doubt.
func spent(c credential.Credential, now time.Time) bool {
	if c.ExpiresAt.IsZero() {
		return false
	}
	if c.RefreshToken.IsZero() {
		return now.After(c.ExpiresAt.Add(skew))
	}
	return !now.Before(c.ExpiresAt.Add(-min(skew, margin(c)/4)))
}

// margin is how long before its end a token is due.
func margin(c credential.Credential) time.Duration { return oauth.MarginOf(c.IssuedAt, c.ExpiresAt) }

// young is the age below which a token that was refused is not made anew: the service would refuse the next one too.
func young(c credential.Credential) time.Duration {
	if c.IssuedAt.IsZero() || c.ExpiresAt.IsZero() {
		return time.Minute
	}
	return min(10*time.Minute, c.ExpiresAt.Sub(c.IssuedAt)/4)
}
