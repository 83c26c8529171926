package ingress

import (
	"context"
	"net/http"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// outcomeTest is a request whose event was kept, and nothing ran.
const outcomeTest = "test_event"

// keepTest keeps the event of a request that asked for no run. Its caller is told by which name the event is kept, or,
// where the workflow has a static response, that.
func (c *call) keepTest(ctx context.Context, e behalf.Event) error {
	keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.server.cfg.PublishTimeout)
	defer cancel()
	if err := c.env.Tests.KeepTest(keeping, e); err != nil {
		c.drop(keeping) // a test event is no promise: where it may have been kept, its large body is not
		return c.refusal(err)
	}
	c.outcome = outcomeTest
	h := c.w.Header()
	h["X-Behalf-Event-Id"] = []string{string(e.ID)}
	respond := c.endpoint.Trigger.Respond
	if respond.Mode == behalf.RespondStatic && respond.Static != nil {
		Render(c.w, c.r, behalf.Result{State: behalf.StateOK, Response: respond.Static}, false)
		return nil
	}
	h["Content-Type"] = []string{typeJSON}
	write(c.w, c.r, http.StatusOK, []byte(`{"event_id":"`+string(e.ID)+`"}`))
	return nil
}
