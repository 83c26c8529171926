package behalf

import (
	"encoding/json"
	"time"
)

// RecordKind is what a record of a run's journal says.
type RecordKind string

// The kinds of record.
const (
	RecordAccepted RecordKind = "accepted" // a keyed event, or a replay, was taken; not yet published
	RecordBegin    RecordKind = "begin"    // an attempt after the first has begun
	RecordStep     RecordKind = "step"     // a step that is not the last has ended
	RecordWait     RecordKind = "wait"     // the run has gone to wait
	RecordFinish   RecordKind = "finish"   // the run is over
)

// WaitReason is why a run waits.
type WaitReason string

// The reasons.
const (
	WaitDelay   WaitReason = "delay"
	WaitSuspend WaitReason = "suspend"
	WaitRetry   WaitReason = "retry"
)

// Record is one entry of a run's journal.
type Record struct {
	V       int        `json:"v"`
	Run     RunID      `json:"run"`
	Kind    RecordKind `json:"kind"`
	Attempt int        `json:"attempt"`
	// Worker that wrote it.
	Worker string    `json:"worker"`
	At     time.Time `json:"at"`
	// EventSeq is the stream sequence of the run's event: a run belongs to one event.
	EventSeq uint64 `json:"event_seq,omitempty"`
	// TimerSeq is the stream sequence of the fired timer that brought the run back. Zero where none did.
	TimerSeq uint64 `json:"timer_seq,omitempty"`
	// User and Version of the run, so that one that is not finished can be listed. A finish record has the event.
	User    ExternalUserID `json:"user,omitempty"`
	Version VersionID      `json:"version,omitempty"`
	// ResultHash is that of the event's origin: whoever has its token may ask how far the run is.
	ResultHash string `json:"result_hash,omitempty"`
	// RequestHash is the SHA-256 of a keyed request, of an accepted record.
	RequestHash string `json:"request_hash,omitempty"`
	// ReplayOf is that of the event's origin.
	ReplayOf RunID `json:"replay_of,omitempty"`
	// Kept are the steps that a replay takes over from the run it repeats, of an accepted record.
	Kept []StepRecord `json:"kept,omitempty"`
	// Step is the step that has just ended. Nil for a record of no step.
	Step   *StepRecord `json:"step,omitempty"`
	Wait   *Wait       `json:"wait,omitempty"`
	Finish *Finish     `json:"finish,omitempty"`
}

// StepRecord is what remains of one step.
type StepRecord struct {
	Path     Path          `json:"path"`
	Attempt  int           `json:"attempt"`
	At       time.Time     `json:"at"`
	Duration time.Duration `json:"duration"`
	Exports  Exports       `json:"exports,omitempty"`
	Logs     []Log         `json:"logs,omitempty"`
	Response *Response     `json:"response,omitempty"`
	Exit     *Exit         `json:"exit,omitempty"`
	Err      *StepError    `json:"error,omitempty"`
	// ExportsRef is where the exports lie when they are too large for the record.
	ExportsRef *ObjectRef `json:"exports_ref,omitempty"`
	// ResponseRef is where the response lies then.
	ResponseRef *ObjectRef `json:"response_ref,omitempty"`
}

// Wait is why and until when a run waits.
type Wait struct {
	Reason WaitReason `json:"reason"`
	Until  time.Time  `json:"until"`
	// Retries made so far of the step that waits.
	Retries int `json:"retries,omitempty"`
	// Outages counts the waits for what is away; they cost no retry.
	Outages int    `json:"outages,omitempty"`
	Why     string `json:"why,omitempty"`
}

// Finish is the end of a run, with all that shows and replays it.
type Finish struct {
	Result    Result          `json:"result"`
	Event     json.RawMessage `json:"event,omitempty"`
	EventRef  *ObjectRef      `json:"event_ref,omitempty"`
	ResultRef *ObjectRef      `json:"result_ref,omitempty"`
	// Steps before the last; the last is the record's own.
	Steps []StepRecord `json:"steps,omitempty"`
}

// ObjectRef is something that was too large to stay where it belongs.
type ObjectRef struct {
	Object ObjectID `json:"object"`
	SHA256 string   `json:"sha256"`
	Size   int      `json:"size"`
	// Parked says that it lies among what belongs to one run, and ends by itself.
	Parked bool `json:"parked,omitempty"`
}

// State is the word of a record in its subject: of a wait its reason, of a finish its state, else "-".
func (r Record) State() string {
	switch {
	case r.Finish != nil:
		return string(r.Finish.Result.State)
	case r.Wait != nil:
		return string(r.Wait.Reason)
	}
	return "-"
}
