package bus

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const (
	// MaxEvent is the most that an encoded event may have, in bytes. NATS carries 1 MiB; the rest is left for the
	// journal, which keeps the event with its steps.
	MaxEvent = 256 << 10
	// MaxRecord is the most that an encoded record or reply may have, in bytes.
	MaxRecord = 768 << 10
)

// The headers of ours on events.
const (
	headerReply  = "Behalf-Reply"
	headerRepeat = "Behalf-Repeat" // the publish was repeated: its first try may have been stored, run and forgotten
	headerResume = "Behalf-Resume" // the sequence of the wait record that this timer ends
	headerRun    = "Behalf-Run"    // the run that this timer goes on with: its subject names none once it has fired
	headerReplay = "Behalf-Replay" // the run whose event is repeated: the journal may have steps of it already
)

// Receipt is JetStream's word that an event is kept.
type Receipt struct {
	Sequence  uint64
	Duplicate bool
}

// Publish stores an event and returns when it is durable. An outcome that is not known (the connection broke before
// the acknowledgement came) is repeated with the same message id until ctx ends.
//
// Errors: Unavailable, when nothing was stored; Exhausted, when the queue is full and nothing was stored; Invalid, when
// the event is too large; and one of code acceptance_unknown, when it may or may not have been stored.
func (b *Bus) Publish(ctx context.Context, e behalf.Event, reply string) (Receipt, error) {
	m, err := eventMessage(e, reply)
	if err != nil {
		return Receipt{}, err
	}
	return b.publish(ctx, m)
}

// Republish stores an event that repeats another's, and of which the journal may know something already: whoever takes
// it reads there first. Errors as Publish.
func (b *Bus) Republish(ctx context.Context, e behalf.Event) (Receipt, error) {
	m, err := eventMessage(e, "")
	if err != nil {
		return Receipt{}, err
	}
	m.Header[headerReplay] = []string{string(e.Origin.ReplayOf)}
	return b.publish(ctx, m)
}

func (b *Bus) publish(ctx context.Context, m *nats.Msg) (Receipt, error) {
	if err := ctx.Err(); err != nil { // before anything is sent, an end is no doubt
		return Receipt{}, fault.Wrap(fault.Unavailable, "bus.Publish", err)
	}
	receipt, err := b.store(ctx, m)
	if !errors.Is(err, errUnknown) {
		return receipt, err
	}
	return b.repeat(ctx, m, err)
}

func eventMessage(e behalf.Event, reply string) (*nats.Msg, error) {
	name, err := subject.Event{Environment: e.Environment, Lane: e.Lane, Project: e.Project, Workflow: e.Workflow}.Subject()
	if err != nil {
		return nil, err
	}
	data := e.AppendJSON(make([]byte, 0, len(e.Trigger)+768))
	if len(data) > MaxEvent {
		return nil, fault.Newf(fault.Invalid, "bus.Publish", "an event may have %d bytes, this one has %d", MaxEvent, len(data)).WithCode(string(behalf.CodeBodyTooLarge))
	}
	m := &nats.Msg{Subject: name, Data: data, Header: nats.Header{
		jetstream.MsgIDHeader: {string(e.Project) + "." + string(e.ID)},
	}}
	if reply != "" {
		m.Header[headerReply] = []string{reply}
	}
	return m, nil
}

// errUnknown marks a publish whose outcome nobody told.
var errUnknown = errors.New("no acknowledgement came")

// store publishes once. The error is errUnknown's where the message may have been stored.
func (b *Bus) store(ctx context.Context, m *nats.Msg) (Receipt, error) {
	future, err := b.js.PublishMsgAsync(m, jetstream.WithStallWait(b.cfg.PubAckTimeout))
	if err != nil {
		return Receipt{}, fault.Wrap(fault.Unavailable, "bus.Publish", err)
	}
	select {
	case ack := <-future.Ok():
		return Receipt{ack.Sequence, ack.Duplicate}, nil
	case err := <-future.Err():
		return Receipt{}, classify(err)
	case <-ctx.Done():
		return Receipt{}, errors.Join(errUnknown, ctx.Err())
	}
}

// classify tells what the server refused, and stored nowhere, from what nobody knows.
func classify(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fault.Wrap(fault.Unavailable, "bus.Publish", err)
	case !errors.As(err, &api):
		return errors.Join(errUnknown, err)
	}
	switch api.ErrorCode {
	case codeConflict, codeConflictReplicated:
		return fault.Wrap(fault.Conflict, "bus.Publish", err)
	case codeInProcess: // another publish of this id is on its way to the replicas: nobody knows yet how it ends
		return errors.Join(errUnknown, err)
	case codeStoreFailed: // maximum messages, bytes or messages per subject
		return fault.New(fault.Exhausted, "bus.Publish", "the queue is full").Because(err)
	}
	return fault.Wrap(fault.Unavailable, "bus.Publish", err)
}

// The server's codes that we branch on. A conflict has another code on replicated streams.
const (
	codeConflict           jetstream.ErrorCode = 10071
	codeConflictReplicated jetstream.ErrorCode = 10164
	codeStoreFailed        jetstream.ErrorCode = 10077
	codeInProcess          jetstream.ErrorCode = 10158
)

// repeat publishes until the outcome is known. It marks the message, because a server that was killed in between may
// have forgotten the message id together with the finished event.
func (b *Bus) repeat(ctx context.Context, m *nats.Msg, err error) (Receipt, error) {
	m = &nats.Msg{Subject: m.Subject, Header: maps.Clone(m.Header), Data: m.Data} // the client library may still have the first
	m.Header[headerRepeat] = []string{"1"}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return Receipt{}, fault.New(fault.Unavailable, "bus.Publish", "the event may or may not have been stored").
				WithCode(string(behalf.CodeAcceptanceUnknown)).Because(err)
		case <-tick.C:
		}
		if !b.conn.Connected() {
			continue
		}
		// A refusal now says nothing of the first try, so only an acknowledgement ends the doubt.
		if receipt, again := b.store(ctx, m); again == nil {
			return receipt, nil
		}
	}
}
