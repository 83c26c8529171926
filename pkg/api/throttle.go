package api

import (
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// take counts one for the key. Errors: Exhausted, with the time after which to try again.
func take(l *web.Limiter, key string) error {
	wait := l.Take(key)
	if wait == 0 {
		return nil
	}
	err := fault.New(fault.Exhausted, "api.take", "too many requests; send it again later").WithCode(string(behalf.CodeThrottled))
	return web.RetryLater(err, min(wait, time.Minute))
}

func (a *API) address(r *http.Request) string { return web.AddressKey(a.cfg.Proxies.Client(r)) }

// stranger is the answer for a bearer that is none or no good: once an address has sent too many of them, it is told to
// come again later. A good bearer always passes, or one bad client could lock out all who share its address.
func (a *API) stranger(r *http.Request, err error) error {
	if !fault.Is(err, fault.Unauthenticated) {
		return err
	}
	if later := take(a.strangers, a.address(r)); later != nil {
		return later
	}
	return err
}
