package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// What an answer can mean besides what its status says.
var (
	errMiss    = fault.New(fault.NotFound, "vault.read", "no such credential")
	errNoMount = errors.New("there is no such mount")
	errNoVault = errors.New("the answer is not Vault's")
)

// The reasons that Ready tells.
const (
	whyAway   = "Vault does not answer"
	whySealed = "Vault is sealed"
	whyBusy   = "Vault limits our requests"
	whyDenied = "Vault denies our requests: has `behalf provision vault` been run, and has our role the policy?"
	whyMount  = "Vault has no mount for credentials: has `behalf provision vault` been run?"
	whyOther  = "what answers is no Vault that works"
)

// trouble is the cause of a failure of Vault's that passes. It has neither an address, nor a path, nor a value.
type trouble struct {
	why   string
	cause error
}

func (t trouble) Error() string { return t.cause.Error() }

func (t trouble) Unwrap() error { return t.cause }

func away(why string, cause error) error {
	return fault.New(fault.Unavailable, "vault.call", "credentials are away: "+why).Because(trouble{why, cause})
}

// translate gives what the client says a kind. Its own texts are dropped: they quote URLs, which name users.
func translate(ctx context.Context, err error) error {
	var answered *api.ResponseError
	switch {
	case err == nil, errors.Is(err, errMiss):
		return err
	case ctx.Err() != nil: // the caller's own, not our timeout
		return fault.Wrap(fault.KindOf(ctx.Err()), "vault.call", ctx.Err())
	case errors.As(err, &answered) && isConflict(answered):
		return fault.New(fault.Conflict, "vault.write", "the credential was written by somebody else meanwhile")
	}
	return away(reasonOf(err), causeOf(err))
}

func isConflict(e *api.ResponseError) bool {
	return e.StatusCode == http.StatusBadRequest && strings.Contains(strings.Join(e.Errors, " "), "check-and-set parameter did not match")
}

// reasonOf is the table of what Vault can have against us.
func reasonOf(err error) string {
	var answered *api.ResponseError
	switch {
	case errors.Is(err, errNoMount):
		return whyMount
	case errors.Is(err, errNoVault):
		return whyOther
	case !errors.As(err, &answered):
		return whyAway
	}
	switch answered.StatusCode {
	case http.StatusForbidden:
		return whyDenied
	case http.StatusTooManyRequests:
		return whyBusy
	case http.StatusNotFound:
		return whyMount
	case http.StatusServiceUnavailable:
		if strings.Contains(strings.Join(answered.Errors, " "), "sealed") {
			return whySealed
		}
		return whyAway
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusPreconditionFailed:
		return whyAway
	}
	return whyOther
}

// causeOf is what an operator's log may have of an error.
func causeOf(err error) error {
	var answered *api.ResponseError
	var asked *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered):
		return fmt.Errorf("status %d", answered.StatusCode)
	case errors.As(err, &asked):
		return asked.Err
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, errNoMount), errors.Is(err, errNoVault):
		return err
	}
	return fmt.Errorf("%T", err)
}

func isDenied(err error) bool { return troubleOf(err) == whyDenied }

// Refused says that Vault answers and does not let us, or has no place for credentials: what waiting does not mend.
func Refused(err error) bool { return isDenied(err) || troubleOf(err) == whyMount }

// troubleOf is the reason of a failure of Vault's, and empty for every other.
func troubleOf(err error) string {
	if t, ok := errors.AsType[trouble](err); ok {
		return t.why
	}
	return ""
}
