package behalf_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The closed table of failures, word for word as callers were promised it.
func TestFailures(t *testing.T) {
	t.Parallel()
	const run = behalf.RunID("run_0198f3a0c1d27e0f8a1b2c3d4e5f6071")
	var covered []behalf.Code
	for _, c := range []struct {
		failure *behalf.Failure
		code    behalf.Code
		status  int
		message string
	}{
		{behalf.FailUnauthenticated(), "unauthenticated", 401, "Unauthorized: send Authorization: Bearer with a valid token for this workflow"},
		{behalf.FailForbidden("this client lacks the scope invoke"), "forbidden", 403, "Forbidden: this client lacks the scope invoke"},
		{behalf.FailEndpointNotFound("production"), "endpoint_not_found", 404, "No workflow answers here in production"},
		{behalf.FailEnvironmentInvalid(), "environment_invalid", 400, "x-pd-environment must be development or production"},
		{behalf.FailRequestInvalid("why"), "request_invalid", 400, "why"},
		{behalf.FailUserRequired("slack"), "external_user_required", 400, "Connect Error: No external user ID passed, but step slack requires it"},
		{behalf.FailUserNotFound("abc-123", "development"), "external_user_not_found", 404, "Connect Error: No matching external user ID abc-123 in development"},
		{behalf.FailAccountRequired("slack", "abc-123", "development"), "account_required", 400, "Connect Error: Required account for slack not found for external user ID abc-123 in development"},
		{
			behalf.FailOwnAccountRequired("send", behalf.AccountRef{App: "slack", Own: "main"}, "development"), "account_required", 400,
			"Connect Error: Required account own/main for slack not found in development",
		},
		{behalf.FailAccountNeedsReauth("slack", "abc-123", "production"), "account_needs_reauth", 400, "Connect Error: Account for slack of external user ID abc-123 in production must be connected again"},
		{behalf.FailStep("send", "channel_not_found"), "step_failed", 400, "Step send failed: channel_not_found"},
		{behalf.FailRunTimeout("send", "30s"), "run_timeout", 400, "Step send failed: the run's timeout of 30s passed"},
		{behalf.FailNoResponse(), "no_response", 400, "No $.respond called in workflow"},
		{behalf.FailVersionUnavailable(run), "version_unavailable", 400, "The version of this workflow could not be loaded for run " + string(run) + "; deploy it again"},
		{behalf.FailPlatform(run), "platform_error", 400, "Run " + string(run) + " failed inside Behalf; its dead letter has the reason"},
		{behalf.FailWaiting(), "waiting", 202, "$.respond() not called for this invocation"},
		{behalf.FailRunning(run), "running", 202, "Run " + string(run) + " goes on; its result will be at Location"},
		{&behalf.Failure{Code: "idempotency_conflict"}, "idempotency_conflict", 422, ""},
		{behalf.FailAcceptanceUnknown(run), "acceptance_unknown", 409, "It is not known whether run " + string(run) + " was accepted; its result will tell"},
		{behalf.FailAnswerNotKept(run), "answer_not_kept", 410, "Run " + string(run) + " is over; its answer was not kept, as x-pd-nostore asked"},
		{behalf.FailBodyTooLarge(262144), "body_too_large", 413, "Body too large: an event may have 262144 bytes"},
		{behalf.FailThrottled(), "throttled", 429, "Too many requests; nothing was accepted, send it again later"},
		{behalf.FailQueueFull(), "queue_full", 503, "The queue of this workflow is full; nothing was accepted, send it again later"},
		{behalf.FailUnavailable(), "unavailable", 503, "Behalf cannot accept events right now; nothing was accepted, send it again later"},
	} {
		covered = append(covered, c.code)
		f := c.failure
		if f.Code != c.code || f.Code.Status() != c.status || f.Message != c.message {
			t.Errorf("%s is %s, %d, %q", c.code, f.Code, f.Code.Status(), f.Message)
		}
		if f.Error() != string(c.code)+": "+c.message {
			t.Errorf("the error is %q", f.Error())
		}
		retried := c.status == 429 || c.status >= 500 || c.status == 408
		if nothing := strings.Contains(c.message, "nothing was accepted"); retried != nothing {
			t.Errorf("%s: clients repeat %d by themselves, so nothing may have been accepted", c.code, c.status)
		}
	}
	for _, code := range behalf.Codes() {
		if !slices.Contains(covered, code) {
			t.Errorf("%s is not in the table", code)
		}
	}
	if got := behalf.Code("new").Status(); got != 400 {
		t.Errorf("a code of a later release answers %d", got)
	}
}

func TestForStrangers(t *testing.T) {
	t.Parallel()
	if got := behalf.FailStep("send", "password is hunter2").ForStrangers(); got.Message != "Step send failed" || got.Code != "step_failed" || got.Step != "send" {
		t.Errorf("strangers hear %+v", got)
	}
	if f := behalf.FailNoResponse(); f.ForStrangers() != f {
		t.Error("what is no step's error is told as it is")
	}
	var none *behalf.Failure
	if none.ForStrangers() != nil {
		t.Error("no failure became one")
	}
}
