package behalf

import "fmt"

// Code is a word of the closed table of failures that callers see.
type Code string

// The codes, in the order of the table in the reference of the HTTP API.
const (
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeEndpointNotFound    Code = "endpoint_not_found"
	CodeEnvironmentInvalid  Code = "environment_invalid"
	CodeRequestInvalid      Code = "request_invalid"
	CodeUserRequired        Code = "external_user_required"
	CodeUserNotFound        Code = "external_user_not_found"
	CodeAccountRequired     Code = "account_required"
	CodeAccountNeedsReauth  Code = "account_needs_reauth"
	CodeStepFailed          Code = "step_failed"
	CodeRunTimeout          Code = "run_timeout"
	CodeNoResponse          Code = "no_response"
	CodeVersionUnavailable  Code = "version_unavailable"
	CodePlatformError       Code = "platform_error"
	CodeWaiting             Code = "waiting"
	CodeRunning             Code = "running"
	CodeIdempotencyConflict Code = "idempotency_conflict"
	CodeAcceptanceUnknown   Code = "acceptance_unknown"
	CodeAnswerNotKept       Code = "answer_not_kept"
	CodeBodyTooLarge        Code = "body_too_large"
	CodeThrottled           Code = "throttled"
	CodeQueueFull           Code = "queue_full"
	CodeUnavailable         Code = "unavailable"
)

// Codes lists every code, for tables that must cover all of them.
func Codes() []Code {
	return []Code{
		CodeUnauthenticated, CodeForbidden, CodeEndpointNotFound, CodeEnvironmentInvalid, CodeRequestInvalid,
		CodeUserRequired, CodeUserNotFound, CodeAccountRequired, CodeAccountNeedsReauth, CodeStepFailed,
		CodeRunTimeout, CodeNoResponse, CodeVersionUnavailable, CodePlatformError, CodeWaiting, CodeRunning,
		CodeIdempotencyConflict, CodeAcceptanceUnknown, CodeAnswerNotKept, CodeBodyTooLarge, CodeThrottled,
		CodeQueueFull, CodeUnavailable,
	}
}

// Status is the HTTP status of a code. 429 and 5xx mean that nothing was accepted: clients repeat those by
// themselves, and a repeat must never run a workflow again.
func (c Code) Status() int {
	switch c {
	case CodeUnauthenticated:
		return 401
	case CodeForbidden:
		return 403
	case CodeEndpointNotFound, CodeUserNotFound:
		return 404
	case CodeEnvironmentInvalid, CodeRequestInvalid, CodeUserRequired, CodeAccountRequired, CodeAccountNeedsReauth,
		CodeStepFailed, CodeRunTimeout, CodeNoResponse, CodeVersionUnavailable, CodePlatformError:
		return 400
	case CodeWaiting, CodeRunning:
		return 202
	case CodeIdempotencyConflict:
		return 422
	case CodeAcceptanceUnknown:
		return 409
	case CodeAnswerNotKept:
		return 410
	case CodeBodyTooLarge:
		return 413
	case CodeThrottled:
		return 429
	case CodeQueueFull, CodeUnavailable:
		return 503
	}
	return 400
}

// Failure is why a run, or a request for one, answers badly.
type Failure struct { //nolint:errname // the word of the house; an error only on its way to the renderer
	Code Code     `json:"code"`
	Step StepName `json:"step,omitempty"`
	// Message is what the caller reads, word for word.
	Message string `json:"message"`
}

// Error makes a failure an error, for the way to the one renderer.
func (f *Failure) Error() string { return string(f.Code) + ": " + f.Message }

// The failures whose words are fixed.

// FailUnauthenticated is for a request without a valid bearer on a protected trigger.
func FailUnauthenticated() *Failure {
	return &Failure{Code: CodeUnauthenticated, Message: "Unauthorized: send Authorization: Bearer with a valid token for this workflow"}
}

// FailForbidden is for a client that may not; missing says what it lacks.
func FailForbidden(missing string) *Failure {
	return &Failure{Code: CodeForbidden, Message: "Forbidden: " + missing}
}

// FailEndpointNotFound is for an endpoint that is unknown, or not deployed in this environment.
func FailEndpointNotFound(env Environment) *Failure {
	return &Failure{Code: CodeEndpointNotFound, Message: fmt.Sprintf("No workflow answers here in %s", env)}
}

// FailEnvironmentInvalid is for an environment header that names neither.
func FailEnvironmentInvalid() *Failure {
	return &Failure{Code: CodeEnvironmentInvalid, Message: "x-pd-environment must be development or production"}
}

// FailRequestInvalid is for a request that cannot be read; why says what to mend.
func FailRequestInvalid(why string) *Failure {
	return &Failure{Code: CodeRequestInvalid, Message: why}
}

// FailUserRequired is for a run that needs the end user's account while no id came.
func FailUserRequired(step StepName) *Failure {
	return &Failure{Code: CodeUserRequired, Step: step, Message: fmt.Sprintf("Connect Error: No external user ID passed, but step %s requires it", step)}
}

// FailUserNotFound is for an id that matches no user of this project and environment.
func FailUserNotFound(user ExternalUserID, env Environment) *Failure {
	return &Failure{Code: CodeUserNotFound, Message: fmt.Sprintf("Connect Error: No matching external user ID %s in %s", user, env)}
}

// FailUserForgotten is for a run of a user who was forgotten after its event was sent. It names nobody.
func FailUserForgotten() *Failure {
	return &Failure{Code: CodeUserNotFound, Message: "Connect Error: This external user was forgotten, and nothing runs for it"}
}

// FailAccountRequired is for a user without an account of the app.
func FailAccountRequired(app AppSlug, user ExternalUserID, env Environment) *Failure {
	return &Failure{Code: CodeAccountRequired, Message: fmt.Sprintf("Connect Error: Required account for %s not found for external user ID %s in %s", app, user, env)}
}

// FailOwnAccountRequired is for a version whose own account does not exist in this environment.
func FailOwnAccountRequired(step StepName, ref AccountRef, env Environment) *Failure {
	return &Failure{Code: CodeAccountRequired, Step: step, Message: fmt.Sprintf("Connect Error: Required account own/%s for %s not found in %s", ref.Own, ref.App, env)}
}

// FailAccountNeedsReauth is for an account whose credential no longer works.
func FailAccountNeedsReauth(app AppSlug, user ExternalUserID, env Environment) *Failure {
	return &Failure{Code: CodeAccountNeedsReauth, Message: fmt.Sprintf("Connect Error: Account for %s of external user ID %s in %s must be connected again", app, user, env)}
}

// FailOwnAccountNeedsReauth is for a project's own account whose credential no longer works.
func FailOwnAccountNeedsReauth(step StepName, ref AccountRef, env Environment) *Failure {
	return &Failure{Code: CodeAccountNeedsReauth, Step: step, Message: fmt.Sprintf("Connect Error: Account own/%s for %s in %s must be connected again", ref.Own, ref.App, env)}
}

// FailStep is for a step that threw. The text must be redacted already.
func FailStep(step StepName, text string) *Failure {
	return &Failure{Code: CodeStepFailed, Step: step, Message: fmt.Sprintf("Step %s failed: %s", step, text)}
}

// FailRunTimeout is for a run whose own timeout passed in this step.
func FailRunTimeout(step StepName, limit string) *Failure {
	return &Failure{Code: CodeRunTimeout, Step: step, Message: fmt.Sprintf("Step %s failed: the run's timeout of %s passed", step, limit)}
}

// FailNoResponse is for a run that ended without an answer to a caller who waited for one.
func FailNoResponse() *Failure {
	return &Failure{Code: CodeNoResponse, Message: "No $.respond called in workflow"}
}

// FailVersionUnavailable is for a version that cannot be loaded.
func FailVersionUnavailable(run RunID) *Failure {
	return &Failure{Code: CodeVersionUnavailable, Message: fmt.Sprintf("The version of this workflow could not be loaded for run %s; deploy it again", run)}
}

// FailPlatform is for a failure of ours after acceptance.
func FailPlatform(run RunID) *Failure {
	return &Failure{Code: CodePlatformError, Message: fmt.Sprintf("Run %s failed inside Behalf; its dead letter has the reason", run)}
}

// FailWaiting is for a run that went to wait before it answered.
func FailWaiting() *Failure {
	return &Failure{Code: CodeWaiting, Message: "$.respond() not called for this invocation"}
}

// FailRunning is for a run that goes on after the caller's wait.
func FailRunning(run RunID) *Failure {
	return &Failure{Code: CodeRunning, Message: fmt.Sprintf("Run %s goes on; its result will be at Location", run)}
}

// FailAcceptanceUnknown is for a publish that may or may not have been stored.
func FailAcceptanceUnknown(run RunID) *Failure {
	return &Failure{Code: CodeAcceptanceUnknown, Message: fmt.Sprintf("It is not known whether run %s was accepted; its result will tell", run)}
}

// FailAnswerNotKept is for a run that is over, of which nothing was to be kept.
func FailAnswerNotKept(run RunID) *Failure {
	return &Failure{Code: CodeAnswerNotKept, Message: fmt.Sprintf("Run %s is over; its answer was not kept, as x-pd-nostore asked", run)}
}

// FailBodyTooLarge is for a body above the limit, in bytes.
func FailBodyTooLarge(limit int64) *Failure {
	return &Failure{Code: CodeBodyTooLarge, Message: fmt.Sprintf("Body too large: an event may have %d bytes", limit)}
}

// FailThrottled is for a caller above its rate.
func FailThrottled() *Failure {
	return &Failure{Code: CodeThrottled, Message: "Too many requests; nothing was accepted, send it again later"}
}

// FailQueueFull is for a workflow whose queue takes no more.
func FailQueueFull() *Failure {
	return &Failure{Code: CodeQueueFull, Message: "The queue of this workflow is full; nothing was accepted, send it again later"}
}

// FailIdempotencyConflict is for a key under which another request was sent before.
func FailIdempotencyConflict() *Failure {
	return &Failure{Code: CodeIdempotencyConflict, Message: "This Idempotency-Key was used with another method, path or body before; send a new key, or the same request"}
}

// FailUnavailable is for a time in which nothing can be accepted.
func FailUnavailable() *Failure {
	return &Failure{Code: CodeUnavailable, Message: "Behalf cannot accept events right now; nothing was accepted, send it again later"}
}

// ForStrangers is the failure as it may be told to a caller who was not authenticated: a step's own error keeps only
// its code.
func (f *Failure) ForStrangers() *Failure {
	if f == nil || f.Code != CodeStepFailed {
		return f
	}
	return &Failure{Code: f.Code, Step: f.Step, Message: fmt.Sprintf("Step %s failed", f.Step)}
}
