package behalf

import (
	"time"
	"unicode/utf8"
)

// RunState is how far a run is.
type RunState string

// The states.
const (
	StateRunning  RunState = "running"
	StateWaiting  RunState = "waiting"
	StateOK       RunState = "ok"
	StateFailed   RunState = "failed"
	StateCanceled RunState = "canceled"
)

// Finished says whether nothing more will happen.
func (s RunState) Finished() bool {
	switch s {
	case StateOK, StateFailed, StateCanceled:
		return true
	case StateRunning, StateWaiting:
		return false
	}
	return false
}

// Result is what a run answers.
type Result struct {
	V     int      `json:"v"`
	Run   RunID    `json:"run"`
	State RunState `json:"state"`
	// Response is the workflow's own answer. Nil where it gave none.
	Response *Response `json:"response,omitempty"`
	// Failure is why the run answers badly. Nil where it does not.
	Failure *Failure `json:"failure,omitempty"`
	Timing  Timing   `json:"timing"`
	// Elsewhere says that the result is too large for a reply and must be read from the journal.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Unkept says that no journal has it, so that a reply must hold it whole.
	Unkept bool `json:"-"`
}

// Canceled is the result of a run that its operator has ended. To a caller who waits it is a run that ended without an
// answer: nothing that clients repeat by themselves.
func Canceled(e Event) Result {
	result := Result{V: FormatVersion, Run: e.Run, State: StateCanceled}
	if e.Origin.Waits {
		result.Failure = FailNoResponse()
	}
	return result
}

// Timing is where a run's time went.
type Timing struct {
	Queue   time.Duration `json:"queue"`
	Steps   time.Duration `json:"steps"`
	Journal time.Duration `json:"journal"`
}

// Response is an HTTP answer as data.
type Response struct {
	// Status is 100 to 599. Zero means 200.
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// Text is the body where it is valid UTF-8, Binary where it is not.
	Text   string `json:"text,omitempty"`
	Binary []byte `json:"binary,omitempty"`
	// Immediate says that the caller shall have it before the run is over.
	Immediate bool `json:"immediate,omitempty"`
}

// NewResponse makes a response of a body.
func NewResponse(status int, headers map[string]string, body []byte) Response {
	r := Response{Status: status, Headers: headers}
	if utf8.Valid(body) {
		r.Text = string(body)
	} else {
		r.Binary = body
	}
	return r
}

// Body returns the bytes of the body.
func (r Response) Body() []byte {
	if r.Binary != nil {
		return r.Binary
	}
	return []byte(r.Text)
}
