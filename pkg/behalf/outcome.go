package behalf

import (
	"encoding/json"
	"time"
)

// Exports is a JSON object: the named values that a step hands on. The return value is $return_value, the line for
// people $summary.
type Exports = json.RawMessage

// Outcome is what one execution of a step came to.
type Outcome struct {
	Exports  Exports
	Response *Response
	// Exit says that the step ended the run, and why, in the author's words.
	Exit *Exit
	// Logs are the author's lines, capped.
	Logs []Log
	// Err is the error that the step threw. Nil where it ended well.
	Err *StepError
	// Cut says that the step was ended by its deadline.
	Cut      bool
	Duration time.Duration
}

// Exit is an author's end of a run, which is no error.
type Exit struct {
	Reason string `json:"reason,omitempty"`
}

// Log is one line that a step printed.
type Log struct {
	At     time.Time `json:"at"`
	Stream string    `json:"stream"` // stdout or stderr
	Text   string    `json:"text"`
}

// StepError is an error of the author's code, or of a vendor through it.
type StepError struct {
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
	Stack   string `json:"stack,omitempty"`
}
