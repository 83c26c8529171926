package behalf

import (
	"encoding/json"
	"time"
)

// Run is one execution of a workflow for one event, over all its attempts, as its journal tells it.
type Run struct {
	ID          RunID           `json:"id"`
	Project     ProjectID       `json:"project"`
	Environment Environment     `json:"environment"`
	Workflow    WorkflowID      `json:"workflow"`
	Version     VersionID       `json:"version,omitempty"`
	User        ExternalUserID  `json:"user,omitempty"`
	State       RunState        `json:"state"`
	Attempts    int             `json:"attempts"`
	Steps       []StepRecord    `json:"steps"`
	Result      *Result         `json:"result,omitempty"`
	Wait        *Wait           `json:"wait,omitempty"`
	Event       json.RawMessage `json:"event,omitempty"`
	StartedAt   time.Time       `json:"started_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
	// ReplayOf is the run that this one repeats. Empty for a run of its own.
	ReplayOf RunID `json:"replay_of,omitempty"`
	// ResultHash is the SHA-256 of the token that reads the result, where the trigger has no OAuth.
	ResultHash string `json:"-"`
}
