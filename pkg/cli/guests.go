package cli

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/sandbox"
)

// guests refuse code steps with a sentence for the author where this process may not run them, or cannot. A run that
// would wait for another kind of worker tells nobody why; one that fails says what to do.
type guests struct {
	pool    *sandbox.Pool
	refused string
}

func (g guests) Do(ctx context.Context, job sandbox.Job) (sandbox.Reply, error) {
	why := g.refused
	if err := g.pool.Refusal(); err != nil {
		why = fault.Safe(err)
	}
	if why == "" {
		return g.pool.Do(ctx, job)
	}
	return sandbox.Reply{Err: &behalf.StepError{Name: "Refused", Message: why}}, nil
}
