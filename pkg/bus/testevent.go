package bus

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// KeepTest keeps an event of which nothing runs: the last hundred of each workflow, for a month. Errors: Invalid, when it
// is too large; Unavailable.
func (b *Bus) KeepTest(ctx context.Context, e behalf.Event) error {
	const op = "bus.KeepTest"
	name, err := subject.Test(e.Environment, e.Project, e.Workflow)
	if err != nil {
		return err
	}
	data := e.AppendJSON(make([]byte, 0, len(e.Trigger)+768))
	if len(data) > MaxEvent {
		return fault.Newf(fault.Invalid, op, "an event may have %d bytes, this one has %d", MaxEvent, len(data)).WithCode(string(behalf.CodeBodyTooLarge))
	}
	_, err = b.js.PublishMsg(ctx, &nats.Msg{Subject: name, Data: data, Header: nats.Header{jetstream.MsgIDHeader: {string(e.ID)}}})
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		return fault.New(fault.Unavailable, op, "there is no stream of test events: behalf provision makes it").Because(err)
	}
	return fault.Wrap(fault.Unavailable, op, err)
}

// TestEvent is a test event where it lies.
type TestEvent struct {
	Event behalf.Event
	Seq   uint64
}

// TestEvents lists the newest test events of a project, below a sequence; zero for the newest. More says that there are
// older ones. Errors: Unavailable.
func (b *Bus) TestEvents(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, before uint64, limit int) (found []TestEvent, more bool, err error) {
	all, err := b.indexTests(ctx, project, workflow)
	if err != nil {
		return nil, false, err
	}
	for _, at := range slices.Backward(all) {
		if before != 0 && at.seq >= before {
			continue
		}
		if len(found) == limit {
			return found, true, nil
		}
		e, err := b.testEvent(ctx, at.seq)
		if fault.Is(err, fault.NotFound) { // another took its place meanwhile
			continue
		}
		if err != nil {
			return nil, false, err
		}
		found = append(found, e)
	}
	return found, false, nil
}

// TestEvent finds a test event of a project. Errors: NotFound, Unavailable.
func (b *Bus) TestEvent(ctx context.Context, project behalf.ProjectID, id behalf.EventID) (behalf.Event, error) {
	all, err := b.indexTests(ctx, project, "")
	if err != nil {
		return behalf.Event{}, err
	}
	for _, at := range all {
		if at.id == string(id) {
			e, err := b.testEvent(ctx, at.seq)
			return e.Event, err
		}
	}
	return behalf.Event{}, fault.New(fault.NotFound, "bus.TestEvent", "no such event")
}

func (b *Bus) indexTests(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID) ([]indexed, error) {
	filter, err := subject.OwnedBy("test", b.env, project, workflow)
	if err != nil {
		return nil, err
	}
	all, err := b.index(ctx, subject.Tests(b.env), filter)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // provisioned by a release that had none
		return nil, nil
	}
	return all, err
}

func (b *Bus) testEvent(ctx context.Context, seq uint64) (TestEvent, error) {
	m, err := b.ask(ctx, subject.Tests(b.env), question{Seq: seq})
	if err != nil {
		return TestEvent{}, err
	}
	e := TestEvent{Seq: m.seq}
	return e, fault.Wrap(fault.Internal, "bus.TestEvent", json.Unmarshal(m.data, &e.Event))
}
