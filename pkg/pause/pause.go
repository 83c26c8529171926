// Package pause waits between two tries.
//
// It never outlives its caller, and decides nothing: how long, and how often, is for who waits.
package pause

import (
	"context"
	"time"
)

// For waits so long, or until ctx ends: then the error is that of ctx.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
