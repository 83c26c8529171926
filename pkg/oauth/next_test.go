package oauth_test

import (
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/oauth"
)

func TestNext(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	issued := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		tokens      app.Tokens
		life        time.Duration // 0: nobody knows
		wanted      bool
		early, late time.Duration
	}{
		"an hour, in use":             {app.Tokens{}, time.Hour, true, 51 * time.Minute, 51 * time.Minute},
		"an hour, of nobody":          {app.Tokens{}, time.Hour, false, 9 * day / 10, day},
		"ninety days, in use":         {app.Tokens{}, 90 * day, true, 9 * day / 10, day},
		"an end that nobody knows":    {app.Tokens{}, 0, true, 9 * day / 10, day},
		"two months of idleness":      {app.Tokens{Idle: 60 * day}, time.Hour, false, 9 * day / 10, day},
		"a day of idleness":           {app.Tokens{Idle: day}, time.Hour, false, 9 * day / 20, day / 2},
		"five minutes, in use":        {app.Tokens{}, 5 * time.Minute, true, 2 * time.Minute, 2 * time.Minute},
		"ended before it was brought": {app.Tokens{}, -time.Hour, true, 10 * time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ends time.Time
			if c.life != 0 {
				ends = issued.Add(c.life)
			}
			got := oauth.Next(c.tokens, issued, ends, c.wanted).Sub(issued)
			if got < c.early-time.Second || got > c.late {
				t.Errorf("after %v, want %v to %v", got, c.early, c.late)
			}
		})
	}
}
