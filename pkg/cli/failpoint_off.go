//go:build !failpoint

package cli

import (
	"context"

	"github.com/behalf-dev/behalf/worker"
)

// failpoints are not part of a shipped binary.
func failpoints() func(context.Context, worker.Point) { return nil }

// practiceURLs are none: outside of dev, apps are where they are.
func practiceURLs() []string { return nil }
