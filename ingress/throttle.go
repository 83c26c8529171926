package ingress

import (
	"strconv"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// throttle holds callers to their rates. Each ingress counts for itself.
type throttle struct {
	projects  *web.Limiter // by environment and project
	public    *web.Limiter // by environment and endpoint, of endpoints without authentication
	strangers *web.Limiter // by address
}

func newThrottle(cfg Config) throttle {
	return throttle{web.NewLimiter(cfg.Rate), web.NewLimiter(cfg.PublicRate), web.NewLimiter(cfg.StrangerRate)}
}

// throttled counts a request that may be made. It stands behind authentication, so that nobody uses up the rate of a
// project which is not theirs, and before anything is read.
func (c *call) throttled() error {
	t := c.server.throttle
	if c.endpoint.Trigger.Auth == behalf.AuthNone && t.public != nil {
		if wait := t.public.Take(string(c.environment) + "/" + string(c.endpoint.ID)); wait > 0 {
			return c.later(wait)
		}
	}
	if t.projects == nil {
		return nil
	}
	if wait := t.projects.Take(string(c.environment) + "/" + string(c.endpoint.Project)); wait > 0 {
		return c.later(wait)
	}
	return nil
}

// stranger counts a request whose bearer is none or no good. Once an address has sent too many, it is told to come again
// later; a good bearer always passes, or one bad client could lock out all who share its address.
func (c *call) stranger() error {
	if wait := c.server.throttle.strangers.Take(web.AddressKey(c.server.cfg.Proxies.Client(c.r))); wait > 0 {
		return c.later(wait)
	}
	return behalf.FailUnauthenticated()
}

// later refuses a request that is above its rate: nothing of it was accepted.
func (c *call) later(wait time.Duration) error {
	seconds := min(max(int64((wait+time.Second-1)/time.Second), 1), 60)
	c.w.Header()["Retry-After"] = []string{strconv.FormatInt(seconds, 10)}
	return refusedFor(c.server.metrics, "throttled", behalf.FailThrottled())
}
