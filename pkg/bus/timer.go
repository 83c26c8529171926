package bus

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Timer is a run that shall go on later.
type Timer struct {
	Run      behalf.RunID
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID
	Lane     behalf.Lane
	At       time.Time
	// Token is the sequence of the run's wait record.
	Token uint64
	// State of the run, at most MaxRecord bytes.
	State []byte
}

// SetTimer keeps the run's state until its time has come, then hands it to a worker. A second timer of the same run
// replaces the first. Errors: Invalid; Unavailable, when it is not known to be stored: set it again.
func (b *Bus) SetTimer(ctx context.Context, t Timer) error {
	set, err := subject.TimerSet(t.Project, t.Run)
	if err != nil {
		return err
	}
	target, err := subject.Fired{Lane: t.Lane, Project: t.Project, Workflow: t.Workflow}.Subject()
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: set, Data: t.State, Header: nats.Header{
		"Nats-Schedule":        {"@at " + t.At.UTC().Format(time.RFC3339Nano)},
		"Nats-Schedule-Target": {target},
		headerResume:           {strconv.FormatUint(t.Token, 10)},
		headerRun:              {string(t.Run)},
	}}
	_, err = b.js.PublishMsg(ctx, m)
	return fault.Wrap(fault.Unavailable, "bus.SetTimer", err)
}

// CancelTimer takes the run's timer away. One that has fired already, or never was, is no error.
func (b *Bus) CancelTimer(ctx context.Context, project behalf.ProjectID, run behalf.RunID) error {
	set, err := subject.TimerSet(project, run)
	if err != nil {
		return err
	}
	stream, err := b.js.Stream(ctx, subject.Timers(b.env))
	if err != nil {
		return fault.Wrap(fault.Unavailable, "bus.CancelTimer", err)
	}
	return fault.Wrap(fault.Unavailable, "bus.CancelTimer", stream.Purge(ctx, jetstream.WithPurgeSubject(set)))
}
