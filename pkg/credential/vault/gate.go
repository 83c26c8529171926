package vault

import (
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Manners towards a Vault in trouble.
const (
	tolerated = 5               // failures in a row before the gate closes
	apart     = 2 * time.Second // between requests while it is closed
)

// gate keeps requests back while Vault fails, so that nobody waits for its timeouts and nobody crowds it: after some
// failures in a row one request every two seconds finds out whether it is back.
type gate struct {
	now     func() time.Time
	metrics *metrics

	mu     sync.Mutex
	failed int
	why    string
	next   time.Time // when the closed gate lets one through
}

func newGate(m *metrics) *gate { return &gate{now: time.Now, metrics: m} }

var errKept = errors.New("not asked: it failed a moment ago")

// enter says whether to ask now. Whoever may, tells how it went by leave.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed < tolerated {
		return nil
	}
	now := g.now()
	if now.Before(g.next) {
		return away(g.why, errKept)
	}
	g.next = now.Add(apart)
	return nil
}

func (g *gate) leave(err error) {
	if isLeaving(err) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch why := troubleOf(err); why {
	case "", whyDenied: // it works: our token or our policy does not
		g.failed = 0
	case whyBusy: // to ask again at once would make it worse
		g.failed, g.why, g.next = tolerated, why, g.now().Add(apart)
	default:
		g.failed, g.why = g.failed+1, why
		if g.failed >= tolerated {
			g.next = g.now().Add(apart)
		}
	}
	g.metrics.closed(g.failed >= tolerated)
}

// health is what is wrong with Vault right now, by the last request and the last probe.
type health struct {
	log zerolog.Logger

	mu     sync.Mutex
	probed string
	asked  string
}

func newHealth(log zerolog.Logger) *health { return &health{log: log} }

func (h *health) trouble() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.probed != "" {
		return h.probed
	}
	return h.asked
}

// server takes what a probe found. One that found nothing also ends what a request had met, but for what a probe cannot
// see.
func (h *health) server(why string) {
	h.set(&h.probed, why)
	h.mu.Lock()
	defer h.mu.Unlock()
	if why == "" && h.asked != whyDenied && h.asked != whyMount {
		h.asked = ""
	}
}

func (h *health) request(err error) {
	if !isLeaving(err) {
		h.set(&h.asked, troubleOf(err))
	}
}

// isLeaving says that the caller gave up, which says nothing about Vault.
func isLeaving(err error) bool { return fault.Is(err, fault.Canceled) || fault.Is(err, fault.Timeout) }

// set keeps a reason, and logs when it changes.
func (h *health) set(which *string, why string) {
	h.mu.Lock()
	before := *which
	*which = why
	h.mu.Unlock()
	switch {
	case before == why:
	case why == "":
		h.log.Info().Msg("vault works again")
	default:
		h.log.Warn().Str("reason", why).Msg("vault is in trouble")
	}
}
