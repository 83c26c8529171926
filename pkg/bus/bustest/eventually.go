package bustest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must come. A busy machine takes its time.
const Patience = 30 * time.Second

// Eventually waits until a condition holds, and ends the test where it does not within [Patience]: it says what never
// came, and each of the other texts, such as a log.
func Eventually(tb testing.TB, what string, holds func() bool, more ...func() string) {
	tb.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-late.C:
			for _, text := range more {
				tb.Log(text())
			}
			tb.Fatalf("it never came that %s", what)
		}
	}
}
