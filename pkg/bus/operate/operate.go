// Package operate does to runs and events what their operator asks for: it cancels and replays runs, replays and discards
// dead letters, and lists what was received.
//
// It never runs a step, and never writes past the fence of a run's journal: where a worker and an operator meet, one of
// them is told so.
package operate

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// The codes of what an operator is refused.
const (
	// CodeRunFinished is for a run that is over and cannot be canceled any more.
	CodeRunFinished = "run_finished"
	// CodeRunNotFinished is for a run that goes on and cannot be replayed yet.
	CodeRunNotFinished = "run_not_finished"
	// CodeEventNotStored is for a run of whose event nothing is kept.
	CodeEventNotStored = "event_not_stored"
	// CodeStepNotRecorded is for a replay that shall go on after a step of which nothing is recorded.
	CodeStepNotRecorded = "step_not_recorded"
	// CodeNotReplayable is for a dead letter that is no event of ours.
	CodeNotReplayable = "not_replayable"
)

// Objects keeps what is too large for its place.
type Objects interface {
	Object(ctx context.Context, ref behalf.ObjectRef) ([]byte, error)
	PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error)
}

// Config tunes an operator. The zero value works.
type Config struct {
	// Name of who writes, in records.
	//
	// Defaults to operator.
	Name string
	// Timeout bounds what one request may take.
	//
	// Defaults to 15 seconds.
	Timeout time.Duration
	// Patience is how long a worker that holds a run may take to end it before that is done for it.
	//
	// Defaults to 5 seconds.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "operator")
	c.Timeout = cmp.Or(c.Timeout, 15*time.Second)
	c.Patience = cmp.Or(c.Patience, 5*time.Second)
	return c
}

// Operator serves one environment. It closes none of its parts.
type Operator struct {
	cfg     Config
	bus     *bus.Bus
	journal *journal.Journal
	objects Objects
	log     zerolog.Logger
}

// New makes an operator.
func New(cfg Config, b *bus.Bus, j *journal.Journal, objects Objects, log zerolog.Logger) *Operator {
	return &Operator{
		cfg: cfg.withDefaults(), bus: b, journal: j, objects: objects,
		log: log.With().Str("component", "operate").Str("environment", string(b.Environment())).Logger(),
	}
}

// Trigger is what an event was triggered by, also where it lies apart. Errors: Conflict of code event_not_stored, where
// it is gone; Unavailable.
func (o *Operator) Trigger(ctx context.Context, e behalf.Event) (json.RawMessage, error) {
	if e.TriggerRef == nil {
		return e.Trigger, nil
	}
	content, err := o.objects.Object(ctx, *e.TriggerRef)
	if fault.Is(err, fault.NotFound) {
		return nil, notStored()
	}
	return content, err
}

func notStored() error {
	return fault.New(fault.Conflict, "operate", "the event of this run is not stored, so it can be neither shown nor repeated").WithCode(CodeEventNotStored)
}
