package journal

import (
	"context"
	"encoding/json"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Suspended is a run's state as its timer carries it, so that a run may sleep longer than the journal remembers.
type Suspended struct {
	V        int                 `json:"v"`
	Event    behalf.Event        `json:"event"`
	EventSeq uint64              `json:"event_seq"`
	Raw      json.RawMessage     `json:"-"`
	Attempt  int                 `json:"attempt"`
	Steps    []behalf.StepRecord `json:"steps,omitempty"`
	Wait     behalf.Wait         `json:"wait"`
	// Parked is what was too large for the records of a run of which nothing shall be kept.
	Parked []behalf.ObjectRef `json:"parked,omitempty"`
	// Ref is where all of this lies when it is too large for a message.
	Ref *behalf.ObjectRef `json:"ref,omitempty"`
}

// Suspend encodes the state of a run that waits. Errors: Unavailable, where it is too large for a message and the
// objects cannot be reached.
func (r *Run) Suspend(ctx context.Context) ([]byte, error) {
	s := Suspended{
		V: behalf.FormatVersion, Event: r.Event, EventSeq: r.EventSeq, Attempt: r.Attempt, Steps: r.Steps, Wait: r.Wait, Parked: r.parked,
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "journal.Suspend", err)
	}
	if len(data) <= r.journal.cfg.MaxRecord {
		return data, nil
	}
	ref, err := r.put(ctx, data)
	if err != nil {
		return nil, err
	}
	data, err = json.Marshal(Suspended{V: s.V, Ref: &ref})
	return data, fault.Wrap(fault.Internal, "journal.Suspend", err)
}

// Revive decodes what Suspend made. Errors: Invalid, for what it did not make; Unavailable.
func (j *Journal) Revive(ctx context.Context, data []byte) (*Suspended, error) {
	var s Suspended
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fault.Wrap(fault.Invalid, "journal.Revive", err)
	}
	if s.Ref == nil {
		return s.whole()
	}
	data, err := j.objects.Object(ctx, *s.Ref)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fault.Wrap(fault.Invalid, "journal.Revive", err)
	}
	return s.whole()
}

// whole fills in the event's own text, which is kept once.
func (s *Suspended) whole() (*Suspended, error) {
	raw, err := json.Marshal(s.Event)
	s.Raw = raw
	return s, fault.Wrap(fault.Internal, "journal.Revive", err)
}
