// Package fault gives every failure a kind, so that each consumer decides by one small table.
//
// It never formats an answer, never logs and never knows a transport: web, worker and cli read the kind, each in one
// exhaustive switch.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what sort of failure it is. The zero value is Internal, so whatever nobody classified is our own bug.
type Kind uint8

// The kinds. Each is one row of the tables in web.Status, worker.verdictOf and cli.exitCode.
const (
	Internal        Kind = iota // a bug of ours
	Invalid                     // the input is wrong; saying it again does not help
	Unauthenticated             // nobody said who is asking
	Forbidden                   // we know who is asking, and the answer is no
	NotFound                    // there is no such thing, or it is not yours
	Conflict                    // somebody else got there first
	Exhausted                   // a quota, a full queue, a rate limit
	Unavailable                 // NATS, Vault or a child is away
	Timeout                     // a deadline passed
	Canceled                    // the caller left, or we are shutting down
	StepFailed                  // the user's own code threw
)

// Kinds lists every kind, in order, for tables that must cover all of them.
func Kinds() []Kind {
	return []Kind{
		Internal, Invalid, Unauthenticated, Forbidden, NotFound, Conflict,
		Exhausted, Unavailable, Timeout, Canceled, StepFailed,
	}
}

// String is the kind's name in logs and metrics: lower case, words joined by underscores.
func (k Kind) String() string {
	switch k {
	case Internal:
		return "internal"
	case Invalid:
		return "invalid"
	case Unauthenticated:
		return "unauthenticated"
	case Forbidden:
		return "forbidden"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case Exhausted:
		return "exhausted"
	case Unavailable:
		return "unavailable"
	case Timeout:
		return "timeout"
	case Canceled:
		return "canceled"
	case StepFailed:
		return "step_failed"
	}
	return "internal"
}

// Error is a failure with its kind. Op names what was attempted, as "package.Func".
type Error struct {
	Kind Kind
	Op   string
	// Code is a word of the public tables, such as "endpoint_not_found". Empty where the kind says enough.
	Code string
	// Message may leave the process. It says what is wrong and, where there is one, what to do. Empty for a wrapped
	// outside error, whose text is for the operator alone.
	Message string
	Err     error
}

// New makes a failure of ours, whose message may be shown to the caller.
func New(kind Kind, op, message string) *Error {
	return &Error{Kind: kind, Op: op, Message: message}
}

// Newf is New with a format. Arguments must be safe to show to the caller.
func Newf(kind Kind, op, format string, args ...any) *Error {
	return New(kind, op, fmt.Sprintf(format, args...))
}

// Wrap gives an outside error a kind at the edge of a package. It returns nil for nil. The caller sees only the kind;
// the operator's log has the cause.
func Wrap(kind Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Op: op, Err: err}
}

// WithCode returns a copy that carries a code of the public tables.
func (e *Error) WithCode(code string) *Error {
	c := *e
	c.Code = code
	return &c
}

// Because returns a copy that keeps the cause for the operator.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Err = err
	return &c
}

// Error is the operator's text: what was attempted, the message and the cause.
func (e *Error) Error() string {
	text := e.Message
	switch {
	case text == "" && e.Err != nil:
		text = e.Err.Error()
	case text == "":
		text = e.Kind.String()
	case e.Err != nil:
		text += ": " + e.Err.Error()
	}
	if e.Op == "" {
		return text
	}
	return e.Op + ": " + text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf reads the kind of an error: of the outermost Error in its chain, else Timeout or Canceled for the errors of a
// context, else Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// Is says whether the error is of this kind. A nil error is of none.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// IsAway says whether something could not be asked, which says nothing about what it has: kinds Unavailable, Timeout and
// Exhausted.
func IsAway(err error) bool {
	return Is(err, Unavailable) || Is(err, Timeout) || Is(err, Exhausted)
}

// CodeOf reads the code of the outermost Error that has one, else the kind's name.
func CodeOf(err error) string {
	var e *Error
	for rest := err; errors.As(rest, &e); rest = e.Err {
		if e.Code != "" {
			return e.Code
		}
	}
	return KindOf(err).String()
}

// Safe is what may leave the process: the message of a failure of ours, else just the kind.
func Safe(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return KindOf(err).String()
}
