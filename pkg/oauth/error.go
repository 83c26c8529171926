package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Error says why a service gave no token. It is in the chain of every error of a Client but those of kind Invalid that
// were made before anything was sent.
type Error struct {
	Reason Reason
	// Status is that of the answer. 0 where there was none.
	Status int
	// Code is the service's own error word, where it is one. May be empty.
	Code string
	// RetryAfter is how long the service asks us to wait. 0 where it does not say.
	RetryAfter time.Duration
	// Uncertain says that the service may have done what it was asked: a refresh token that rotates may be spent.
	Uncertain bool
	// Err is the cause on the way there or back, for the operator. May be nil.
	Err error
}

// Reason is why: a closed set, so that it may label a metric.
type Reason string

// The reasons.
const (
	// ReasonGrant is final: the user's grant is gone, and only a new consent helps.
	ReasonGrant Reason = "invalid_grant"
	// ReasonDenied is final: the user said no on the consent page.
	ReasonDenied Reason = "access_denied"
	// ReasonState is final: the browser that came back is not the one that was sent out.
	ReasonState Reason = "state_mismatch"
	// ReasonClient is the operator's to mend: the service refuses our registration or our request. The user's grant may
	// well be alive.
	ReasonClient Reason = "client_refused"
	// ReasonBlocked is the operator's to mend: our own dialer refuses the address.
	ReasonBlocked Reason = "blocked"
	// ReasonLimited passes: we ask too often.
	ReasonLimited Reason = "rate_limited"
	// ReasonAway passes: the service does not work, or cannot be reached.
	ReasonAway Reason = "unavailable"
	// ReasonTimeout passes: there was no answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonAnswer passes, mostly: there was an answer, but none that a token endpoint gives, such as a page of HTML.
	ReasonAnswer Reason = "bad_answer"
	// ReasonCanceled passes: our own caller left.
	ReasonCanceled Reason = "canceled"
)

// Passes says whether the same request may succeed later, without anybody's doing.
func (r Reason) Passes() bool {
	switch r {
	case ReasonLimited, ReasonAway, ReasonTimeout, ReasonAnswer, ReasonCanceled:
		return true
	case ReasonGrant, ReasonDenied, ReasonState, ReasonClient, ReasonBlocked:
		return false
	}
	return false
}

func (r Reason) kind() fault.Kind {
	switch r {
	case ReasonGrant, ReasonDenied, ReasonState:
		return fault.Invalid
	case ReasonClient, ReasonBlocked:
		return fault.Forbidden
	case ReasonLimited:
		return fault.Exhausted
	case ReasonAway, ReasonAnswer:
		return fault.Unavailable
	case ReasonTimeout:
		return fault.Timeout
	case ReasonCanceled:
		return fault.Canceled
	}
	return fault.Internal
}

// message is for whoever connects or runs something, with the name of the service.
func (e Error) message(name string) string {
	switch e.Reason {
	case ReasonGrant:
		return name + " no longer accepts this consent: connect the account again"
	case ReasonDenied:
		return "the consent was refused at " + name
	case ReasonState:
		return "this consent was not started in this browser, or is over: start again"
	case ReasonClient:
		return name + " refuses the OAuth client that was used: its id, secret, redirect URL or scopes must be corrected"
	case ReasonBlocked:
		return "the address of " + name + " is not allowed here"
	case ReasonLimited:
		return name + " is asked too often: try again later"
	case ReasonAway:
		return name + " does not work right now: try again later"
	case ReasonTimeout:
		return name + " did not answer in time: try again later"
	case ReasonAnswer:
		return name + " gave an answer that is none: try again later"
	case ReasonCanceled:
		return "this was stopped before " + name + " answered"
	}
	return name + " gave no token"
}

// Error is for the operator.
func (e Error) Error() string {
	text := string(e.Reason)
	if e.Status != 0 {
		text += fmt.Sprintf(", status %d", e.Status)
	}
	if e.Code != "" {
		text += ", " + e.Code
	}
	if e.Uncertain {
		text += ", may have been done"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e Error) Unwrap() error { return e.Err }

// fail gives a reason its kind and its two texts.
func (c *Client) fail(op string, e Error) error {
	return fault.New(e.Reason.kind(), op, e.message(c.app.Name)).Because(e)
}

// lost says what became of a request that got no whole answer.
func (c *Client) lost(op string, err error, written bool, l call) error {
	e := Error{Reason: ReasonAway, Uncertain: written, Err: c.cleaned(err, l)}
	var network net.Error
	switch {
	case fault.Is(err, fault.Forbidden):
		e.Reason, e.Uncertain = ReasonBlocked, false
	case errors.Is(err, context.Canceled):
		e.Reason = ReasonCanceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		e.Reason = ReasonTimeout
	}
	return c.fail(op, e)
}

// cleaned is a cause as the operator may read it: without the URL that net/http puts before it, and without what was
// secret in the request.
func (c *Client) cleaned(err error, l call) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}
	redactor := secret.NewRedactor(slices.Concat(l.secrets, []secret.String{c.registration.Secret})...)
	return cause{redactor.Text(err.Error()), err}
}

// cause keeps the chain of an error under a text of ours.
type cause struct {
	text string
	err  error
}

func (c cause) Error() string { return c.text }
func (c cause) Unwrap() error { return c.err }
