package bus

import "time"

// since is the monotonic clock, as a duration since a fixed instant: it goes on while the process is stopped, and no
// change of the wall clock moves it.
func (b *Bus) since(now time.Time) time.Duration { return now.Sub(b.started) }
