package bus

import "time"

// The monotonic clock, as a duration since a fixed instant: it goes on while the process is stopped, and no change of
// the wall clock moves it.

func (b *Bus) clock() time.Duration { return b.since(time.Now()) }

func (b *Bus) since(now time.Time) time.Duration { return now.Sub(b.started) }
