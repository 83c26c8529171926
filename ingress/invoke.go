package ingress

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// call is one request on its way to an event.
type call struct {
	target

	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	started time.Time
	client  behalf.ClientID
	scratch *scratch
	// attached are the files of the request. Nil where it has none.
	attached *attachments
	// parked is where the trigger lies when it is too large for its event.
	parked *behalf.ObjectRef
	// place is that of the body, where it may be large.
	place *place
	// key is the Idempotency-Key, and replays says that another request has had it before.
	key     string
	replays bool
	// test says that the event is kept, and runs nothing.
	test bool
	// token reads the result later, where the caller has no OAuth.
	token string
	// run is set when publishing begins and cleared when it was refused for certain: while it is set, something may
	// have been accepted, and no 408, 429 or 5xx of ours may leave.
	run behalf.RunID
	// outcome is what was answered, once it was.
	outcome string
}

// invoke walks one request to its answer. An error means that nothing was accepted; after acceptance, and where it may
// have been, everything is answered here.
func (s *Server) invoke(ctx context.Context, c *call) error {
	if s.draining.Load() {
		return refusedFor(s.metrics, "draining", behalf.FailUnavailable())
	}
	var err error
	if c.target, err = s.endpoint(ctx, c.r); err != nil {
		return err
	}
	if err := c.authenticate(ctx); err != nil {
		return err
	}
	if err := c.throttled(); err != nil {
		return err
	}
	event, err := c.take(ctx)
	if err != nil {
		c.drop(ctx)
		return err
	}
	switch {
	case c.test:
		return c.keepTest(ctx, event)
	case c.replays:
		return c.replay(ctx, event)
	case event.Origin.Waits:
		return c.exchange(ctx, event)
	}
	return c.hand(ctx, event)
}

// take turns the request into its event, and keeps what does not go into it: after everything that can still refuse the
// request, but for the publishing itself.
func (c *call) take(ctx context.Context) (behalf.Event, error) {
	content, err := c.content()
	if err != nil {
		return behalf.Event{}, err
	}
	defer func() {
		if !c.replays { // which may need the body again
			c.leave()
		}
	}()
	body, err := c.readBody(content)
	if err != nil {
		return behalf.Event{}, err
	}
	event, err := c.newEvent(content, body)
	if err != nil {
		return behalf.Event{}, err
	}
	if c.test { // nothing runs, so nobody's account is needed and no key is taken
		return c.keep(ctx, event)
	}
	if err := c.checkUser(ctx, event); err != nil {
		return behalf.Event{}, err
	}
	if err := c.claim(ctx, event, body); err != nil || c.replays {
		return event, err // of a request that comes again nothing is kept
	}
	return c.keep(ctx, event)
}

// keep stores what does not go into the event.
func (c *call) keep(ctx context.Context, e behalf.Event) (behalf.Event, error) {
	if c.attached != nil {
		if err := c.attached.keep(ctx, c.env.Files); err != nil {
			return behalf.Event{}, err
		}
	}
	if c.oversized(e) {
		return c.park(ctx, e)
	}
	return e, nil
}

// content reads from the headers how the body becomes event.body.
func (c *call) content() (content, error) {
	if err := c.readKey(); err != nil {
		return content{}, err
	}
	wishes, err := wishesOf(c.r)
	if err == nil {
		err = wishes.refused(c.env)
	}
	c.test = wishes.noTrigger
	made := content{kind: kindUpload}
	if err == nil && !wishes.uploadBody {
		made, err = contentOf(c.r.Header)
	}
	made.noStore = wishes.noStore
	return made, err
}

// hand publishes for a caller who does not wait for the run.
func (c *call) hand(ctx context.Context, e behalf.Event) error {
	unknown, err := c.publish(ctx, e, "")
	switch {
	case err != nil:
		return err
	case unknown:
		c.answer(behalf.Result{Run: e.Run, Failure: behalf.FailAcceptanceUnknown(e.Run)})
	default:
		c.accepted()
	}
	return nil
}

// exchange publishes for a caller who waits, and answers what the run answers.
func (c *call) exchange(ctx context.Context, e behalf.Event) error {
	reconnected := c.env.reconnects.next() // before publishing, so that none is missed
	reply, results, release := c.env.Bus.Await()
	defer release()
	unknown, err := c.publish(ctx, e, reply)
	if err != nil {
		return err
	}
	began := c.server.now()
	result, known := c.wait(ctx, results, reconnected)
	c.env.metrics.waited.Observe(c.server.now().Sub(began).Seconds())
	switch {
	case known:
	case ctx.Err() != nil: // the client is gone; the run goes on
		c.outcome = outcomeGone
		return nil
	case unknown:
		result.Failure = behalf.FailAcceptanceUnknown(e.Run)
	default:
		result.State = behalf.StateRunning
	}
	result.Run = e.Run
	c.answer(result)
	return nil
}

// publish stores the event. An error means that nothing was stored; unknown, that it may have been.
func (c *call) publish(ctx context.Context, e behalf.Event, reply string) (unknown bool, err error) {
	// Once we begin we must find out, so a client who leaves now does not end it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.server.cfg.PublishTimeout)
	defer cancel()
	c.run = e.Run
	began := c.server.now()
	err = c.env.Bus.Publish(ctx, e, reply)
	verdict := verdictOf(err)
	c.env.metrics.published[verdict].Observe(c.server.now().Sub(began).Seconds())
	switch verdict {
	case publishStored:
		return false, nil
	case publishUnknown:
		c.server.log.Warn().Str("run", string(e.Run)).Err(err).Msg("not known whether the event was stored")
		return true, nil
	case publishRefused:
	}
	c.run = ""
	c.drop(ctx)
	return false, c.refusal(err)
}

// refusal is the answer for an event that was not stored for certain.
func (c *call) refusal(err error) error {
	m := c.server.metrics
	switch {
	case behalf.Code(fault.CodeOf(err)) == behalf.CodeBodyTooLarge:
		return behalf.FailBodyTooLarge(int64(c.server.cfg.MaxEvent))
	case fault.Is(err, fault.Exhausted):
		return refusedFor(m, "queue_full", behalf.FailQueueFull())
	case fault.Is(err, fault.Unavailable):
		return refusedFor(m, "unavailable", behalf.FailUnavailable())
	}
	return err
}

func refusedFor(m *metrics, reason string, f *behalf.Failure) error {
	m.backpressure.WithLabelValues(reason).Inc()
	return f
}

// verdict is what a publish came to.
type verdict uint8

const (
	publishStored verdict = iota
	publishRefused
	publishUnknown
)

// verdictOf reads the error of a publish. Only the three kinds by which the bus promises that nothing was stored are a
// refusal; whatever else happened, it may have been.
func verdictOf(err error) verdict {
	if err == nil {
		return publishStored
	}
	if behalf.Code(fault.CodeOf(err)) == behalf.CodeAcceptanceUnknown {
		return publishUnknown
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Exhausted, fault.Unavailable:
		return publishRefused
	case fault.Internal, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.Timeout,
		fault.Canceled, fault.StepFailed:
		return publishUnknown
	}
	return publishUnknown
}

// wait gives the result of the run, as soon as the bus or the journal knows it, until the caller's wait is over or the
// caller is gone. A run that the journal knows when the wait is over gives what it is, running; nothing known gives false.
func (c *call) wait(ctx context.Context, results <-chan behalf.Result, reconnected <-chan struct{}) (behalf.Result, bool) {
	// The caller's own clock has run since its request began.
	timer := time.NewTimer(c.server.cfg.Wait - c.server.now().Sub(c.started))
	defer timer.Stop()
	for {
		select {
		case result := <-results:
			if !result.Elsewhere {
				return result, true
			}
		case <-ctx.Done():
			return behalf.Result{}, false
		case <-reconnected:
			// A reply that was sent while we were away is lost; the journal is not.
			reconnected = c.env.reconnects.next()
		case <-timer.C:
			return c.lastLook(ctx, results)
		}
		if result, known := c.journaled(ctx); known && result.State != behalf.StateRunning {
			return result, true
		}
	}
}

// lastLook ends a wait that is over: the reply may have come with its last moment, or have been lost on the worker's
// side, and a run that the journal knows was accepted.
func (c *call) lastLook(ctx context.Context, results <-chan behalf.Result) (behalf.Result, bool) {
	select {
	case result := <-results:
		if !result.Elsewhere {
			return result, true
		}
	default:
		c.env.metrics.timeouts.Inc()
	}
	return c.journaled(ctx)
}

// journaled reads the result from the journal, or how far the run is. False is a journal that knows nothing yet, or is
// away.
func (c *call) journaled(ctx context.Context) (behalf.Result, bool) {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	// After a reconnect every waiter comes at once, while the server has enough to do.
	select {
	case c.env.readers <- struct{}{}:
		defer func() { <-c.env.readers }()
	case <-ctx.Done():
		return behalf.Result{}, false
	}
	run, err := c.env.Journal.Result(ctx, c.endpoint.Project, c.endpoint.Workflow, c.run)
	switch {
	case err != nil:
		return behalf.Result{}, false
	case run.Result != nil:
		return *run.Result, true
	}
	return behalf.Result{State: run.State}, true
}

// trusted says whether the caller was authenticated, so that errors may be told in full.
func (c *call) trusted() bool { return c.endpoint.Trigger.Auth != behalf.AuthNone }

// location is where the result will be: without a token for callers who have OAuth.
func (c *call) location(run behalf.RunID) string {
	var b strings.Builder
	b.Grow(len(c.server.cfg.APIURL) + 96)
	b.WriteString(c.server.cfg.APIURL)
	b.WriteString("/v1/runs/")
	b.WriteString(string(run))
	b.WriteString("/result")
	if c.token != "" {
		b.WriteString("?token=")
		b.WriteString(c.token)
	}
	return b.String()
}

// fail answers a request of which nothing was accepted.
func (c *call) fail(err error) {
	var failure *behalf.Failure
	if !errors.As(err, &failure) {
		// Whatever else went wrong, nothing was accepted, and saying it again later may help: also after a bug of ours.
		kind := fault.KindOf(err)
		c.server.log.WithLevel(levelOf(kind)).Stringer("kind", kind).Err(err).Msg("a request could not be served")
		c.server.metrics.backpressure.WithLabelValues(kind.String()).Inc()
		failure = behalf.FailUnavailable()
	}
	c.answer(behalf.Result{Failure: failure})
}

// levelOf is error for what someone should look at, a bug; NATS being away shows elsewhere, once and not per request.
func levelOf(kind fault.Kind) zerolog.Level {
	if kind == fault.Internal || kind == fault.Invalid { // also a definition of which no event can be made
		return zerolog.ErrorLevel
	}
	return zerolog.DebugLevel
}

// recovered ends a request in which our own code panicked.
func (c *call) recovered() {
	cause := recover()
	switch cause {
	case nil:
		return
	case http.ErrAbortHandler: // the way to cut a connection, which net/http knows
		panic(cause)
	}
	c.server.log.Error().Str("run", string(c.run)).Interface("panic", cause).Bytes("stack", debug.Stack()).Msg("panic in a request")
	switch {
	case c.outcome != "": // an answer has begun; half of one must not look whole
		panic(http.ErrAbortHandler)
	case c.run != "":
		c.answer(behalf.Result{Run: c.run, Failure: behalf.FailPlatform(c.run)})
	default:
		c.answer(behalf.Result{Failure: behalf.FailUnavailable()})
	}
}
