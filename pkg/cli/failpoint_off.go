//go:build !failpoint

package cli

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/worker"
)

// failpoints are not part of a shipped binary.
func failpoints() func(context.Context, worker.Point) { return nil }

// testClients are none: OAuth clients are a project's own.
func testClients() map[behalf.AppSlug]oauth.Registration { return nil }

// practiceURLs are none: outside of dev, apps are where they are.
func practiceURLs() []string { return nil }
