package ingress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

const headerKey = "Idempotency-Key"

// maxKey is the length of an Idempotency-Key: a UUID has 36 characters, and clients that build theirs stay below 255.
const maxKey = 255

// takeOver is how long a key may be taken without anything that follows before the next request with it publishes the
// event: the ingress that took it has died in between, or cannot find out. Both publish under one message id, and the journal
// knows one run by it.
const takeOver = 10 * time.Second

// readKey reads the Idempotency-Key, where there is one.
func (c *call) readKey() error {
	values, given := c.r.Header[headerKey]
	if !given {
		return nil
	}
	if len(values) != 1 || len(values[0]) == 0 || len(values[0]) > maxKey || !asciiText(values[0]) {
		return behalf.FailRequestInvalid("Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters")
	}
	c.key = values[0]
	return nil
}

func asciiText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// newRun makes the run's id: a fresh one, or the one of the key, which holds for one caller and one user.
func (c *call) newRun(user behalf.ExternalUserID) behalf.RunID {
	if c.key == "" || c.test {
		return behalf.NewRunID()
	}
	return behalf.KeyedRunID(string(c.endpoint.Project), string(c.environment), string(c.endpoint.Workflow), string(c.client), string(user), c.key)
}

// claim takes the key for this request, or finds that another had it: then this one replays it, if it is the same.
func (c *call) claim(ctx context.Context, e behalf.Event, body []byte) error {
	if c.key == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.cfg.PublishTimeout)
	defer cancel()
	hash := c.requestHash(body)
	first, was, err := c.env.Journal.Accept(ctx, e, hash)
	switch {
	case err != nil: // the event is not published, so nothing was accepted
		c.server.log.Debug().Err(err).Str("run", string(e.Run)).Msg("key not taken")
		return refusedFor(c.server.metrics, "unavailable", behalf.FailUnavailable())
	case !first && was != "" && was != hash:
		return behalf.FailIdempotencyConflict()
	}
	c.replays = !first
	return nil
}

// requestHash is what must be the same under one key: method, path, query, type and body.
func (c *call) requestHash(body []byte) string {
	h := sha256.New()
	for _, part := range []string{c.r.Method, c.path, c.r.URL.RawQuery, c.r.Header.Get("Content-Type")} {
		_, _ = io.WriteString(h, part+"\x00") // a hash takes everything
	}
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// replay answers a request whose key another had before with what that one's run answers. Where nothing follows the
// taking of the key, it publishes the event itself: a second event of the same run is not run again.
func (c *call) replay(ctx context.Context, e behalf.Event) error {
	defer c.leave()
	c.run = e.Run
	c.w.Header()["X-Behalf-Replayed"] = []string{"true"}
	over, again := c.started.Add(c.server.cfg.Wait), false
	pause := time.NewTimer(0)
	defer pause.Stop()
	for delay := 50 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		select {
		case <-ctx.Done(): // the client is gone; the run goes on
			c.outcome = outcomeGone
			return nil
		case <-pause.C:
		}
		run, err := c.env.Journal.Result(ctx, c.endpoint.Project, c.endpoint.Workflow, e.Run)
		switch now := c.server.now(); {
		case err == nil && c.replayed(e, run):
			return nil
		case now.After(over):
			c.answer(behalf.Result{Run: e.Run, State: behalf.StateRunning})
			return nil
		case err == nil && !again && run.Attempts == 0 && now.Sub(run.UpdatedAt) > takeOver:
			if again = true; c.publishAgain(ctx, e) {
				return nil
			}
		}
		pause.Reset(delay)
	}
}

// replayed answers, where the run is far enough.
func (c *call) replayed(e behalf.Event, run behalf.Run) bool {
	switch {
	case !e.Origin.Waits && run.Attempts > 0: // the event is kept, which is all that this caller is told
		c.accepted()
	case !e.Origin.Waits:
		return false
	case run.Result != nil:
		result := *run.Result
		result.Run = e.Run
		c.answer(result)
	case run.State == behalf.StateWaiting:
		c.answer(behalf.Result{Run: e.Run, State: run.State})
	default:
		return false
	}
	return true
}

// publishAgain publishes the event of a key that was taken and left, and answers a caller who waits for no more, or who
// cannot be told more: a refusal now says nothing of the request that had the key first.
func (c *call) publishAgain(ctx context.Context, e behalf.Event) (answered bool) {
	kept, err := c.keep(ctx, e)
	unknown := false
	if err == nil {
		unknown, err = c.publish(ctx, kept, "")
		c.run = e.Run
	}
	switch {
	case err != nil || unknown:
		c.answer(behalf.Result{Run: e.Run, Failure: behalf.FailAcceptanceUnknown(e.Run)})
	case !e.Origin.Waits:
		c.accepted()
	default:
		return false
	}
	return true
}
