package action

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// The names of the errors with which the step of an action fails. None of them says whether to try again: that is the
// worker's decision.
const (
	// InvalidProps is for props that make no request.
	InvalidProps = "InvalidProps"
	// InvalidAccount is for an account whose credential cannot be sent, or not to that place.
	InvalidAccount = "InvalidAccount"
	// NotAllowed is for an address that nothing may be sent to, such as one of a private network.
	NotAllowed = "AddressNotAllowed"
	// VendorError is a service that said no.
	VendorError = "VendorError"
	// VendorUnauthorized is a service that does not take the credential: 401.
	VendorUnauthorized = "VendorUnauthorized"
	// VendorRateLimited is a service that wants to be asked later: 429.
	VendorRateLimited = "VendorRateLimited"
	// VendorUnavailable is a service that failed by itself (5xx) or could not be reached.
	VendorUnavailable = "VendorUnavailable"
	// VendorTimeout is a service that took too long. What it did of what it was asked, nobody knows.
	VendorTimeout = "VendorTimeout"
	// VendorRedirect is an answer that leads elsewhere, where no credential follows.
	VendorRedirect = "VendorRedirect"
	// VendorBadAnswer is an answer that cannot be used: too large, too deep, or not what was expected.
	VendorBadAnswer = "VendorBadAnswer"
)

// failure is the end of an action's step. Its text is for the author of the workflow, and holds whatever the service said.
type failure struct {
	name    string
	message string
}

func failf(name, format string, args ...any) failure {
	return failure{name, fmt.Sprintf(format, args...)}
}

func (f failure) Error() string { return f.name + ": " + f.message }

// unreachable is what it means that no answer came. What the error itself says is never told: it has the whole URL in it,
// where some services take their key, and addresses that stay with the operator.
func unreachable(who string, err error) failure {
	if fault.Is(err, fault.Forbidden) {
		return failf(NotAllowed, "%s cannot be called: %s", who, fault.Safe(err))
	}
	if timedOut(err) {
		return failf(VendorTimeout, "%s did not answer in time", who)
	}
	return failf(VendorUnavailable, "%s cannot be reached: %s", who, why(err))
}

func timedOut(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout() || errors.Is(err, context.DeadlineExceeded) || fault.Is(err, fault.Timeout)
}

func why(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate is not to be trusted"
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak https"
	case ok && dns.IsNotFound:
		return "there is no host of this name"
	case ok:
		return "its name could not be looked up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refused the connection"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closed the connection"
	}
	return "the connection failed"
}

// readable is a text of a stranger as a part of a message: on one line, and cut.
func readable(text string, most int) string {
	text = text[:min(len(text), maxRefusal)]
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
