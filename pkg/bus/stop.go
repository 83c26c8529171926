package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// stopAnswer is how long a worker that holds a run may take to say so.
const stopAnswer = 500 * time.Millisecond

// The words of workers on a stop.
const (
	wordHeld  = "held"
	wordNoted = "noted"
)

// Stop tells every worker that a run shall stop. Held says that one has it, and is about to end it and to write so. The
// others will ask the journal before they begin it. Errors: Unavailable, when it is not known that they were told.
func (b *Bus) Stop(ctx context.Context, run behalf.RunID) (held bool, err error) {
	const op = "bus.Stop"
	name, err := subject.Stop(b.env, run)
	if err != nil {
		return false, err
	}
	inbox := b.conn.nc.NewInbox()
	answers, err := b.conn.nc.SubscribeSync(inbox)
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, op, err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := b.conn.nc.PublishRequest(name, inbox, nil); err != nil {
		return false, fault.Wrap(fault.Unavailable, op, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopAnswer)
	defer cancel()
	for {
		m, err := answers.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders): // no worker runs
			return false, nil
		case errors.Is(err, context.DeadlineExceeded) && b.Connected():
			return false, nil
		case err != nil:
			return false, fault.Wrap(fault.Unavailable, op, err)
		case string(m.Data) == wordHeld:
			return true, nil
		}
	}
}

// OnStop has f called for each run that shall stop, until release is called; f says whether it is held here. It is
// called on a goroutine of the connection and must not block. Errors: Unavailable.
func (b *Bus) OnStop(f func(run behalf.RunID) (held bool)) (release func(), err error) {
	sub, err := b.conn.nc.Subscribe(subject.Stops(b.env), func(m *nats.Msg) {
		run, err := subject.ParseStop(m.Subject)
		if err != nil {
			return
		}
		word := wordNoted
		if f(run) {
			word = wordHeld
		}
		_ = m.Respond([]byte(word)) // who asked goes on without an answer too
	})
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "bus.OnStop", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
