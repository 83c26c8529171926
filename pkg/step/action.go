package step

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// runAction runs a prebuilt step in this process: it is data, and calls one service.
func (r *Runner) runAction(ctx context.Context, c Call) (behalf.Outcome, error) {
	const op = "step.Run"
	found, err := r.actions.Find(c.Step.Uses)
	if err != nil { // deployed by a release that has it
		return behalf.Outcome{}, fault.Wrap(fault.NotFound, op, err)
	}
	if c.Begin != nil {
		if err := c.Begin(ctx); err != nil {
			return behalf.Outcome{}, err
		}
	}
	return found.Run(ctx, action.Call{
		Props: c.Props, Apps: c.Apps, Renew: c.Renew, Run: c.Run, IdempotencyKey: c.idempotencyKey(), Client: r.client, Timeout: c.Timeout,
	})
}
