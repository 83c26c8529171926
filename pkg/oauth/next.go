package oauth

import (
	"math/rand/v2"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
)

// daily is how often a token is made anew that no run asks for. So its refresh token does not end for want of use, also
// where nobody knows after how long it would, and a consent that was taken back is noticed within a day.
const daily = 24 * time.Hour

// Every is how often the tokens of an app are made anew that no run asks for: once a day, or twice in the time after which
// an unused refresh token ends.
func Every(t app.Tokens) time.Duration {
	if t.Idle > 0 {
		return min(daily, t.Idle/2)
	}
	return daily
}

// MarginOf is the margin of a token that was made at one time and ends at another. Where nobody knows when it was made, it
// is two minutes.
func MarginOf(issued, ends time.Time) time.Duration {
	if issued.IsZero() || !issued.Before(ends) {
		return 2 * time.Minute
	}
	return Margin(ends.Sub(issued))
}

// Early is when a token is made anew in the background, half of its margin before a run would. The zero time is for one
// whose end nobody knows.
func Early(issued, ends time.Time) time.Time {
	if ends.IsZero() {
		return time.Time{}
	}
	return ends.Add(-MarginOf(issued, ends) * 3 / 2)
}

// Next is when a token that was made at one time and ends at another, or zero, is to be made anew although nobody asks. One
// that was wanted of late does not end before; one that was not waits up to Every, less a tenth at most, so that many made at
// once are not made anew at once. One that was brought when it had ended has time too, up to an hour: a run that wants it
// makes it anew, and many are brought at once.
func Next(t app.Tokens, issued, ends time.Time, wanted bool) time.Time {
	every := Every(t)
	next := issued.Add(every - rand.N(every/10)) //nolint:gosec // spreading load needs no secrecy
	early := Early(issued, ends)
	switch {
	case !wanted || early.IsZero() || early.After(next):
	case early.After(issued):
		next = early
	default:
		next = issued.Add(10*time.Minute + rand.N(50*time.Minute)) //nolint:gosec // as above
	}
	return next.UTC().Truncate(time.Second)
}
