// Package web holds what every HTTP role shares: how errors look, how a bearer and a JSON body are read, how long a slow
// client may take, how often anybody may call, who a proxy speaks for, how a server starts and stops, and whether it is
// healthy.
//
// It never knows a route, never decides who may do what, and never says more of an error than fault.Safe does.
package web

import (
	"net/http"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// The codes of answers that the kinds of failure have no word for.
const (
	CodeBodyTooLarge         = "body_too_large"
	CodeMethodNotAllowed     = "method_not_allowed"
	CodeUnsupportedMediaType = "unsupported_media_type"
)

// Status is the HTTP status of a kind of failure before anything was accepted.
func Status(kind fault.Kind) int {
	switch kind {
	case fault.Internal:
		return http.StatusInternalServerError
	case fault.Invalid, fault.StepFailed:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Exhausted:
		return http.StatusTooManyRequests
	case fault.Unavailable, fault.Canceled:
		return http.StatusServiceUnavailable
	case fault.Timeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// statusOf is Status, but for the few codes that HTTP has a number of its own for.
func statusOf(err error) int {
	switch fault.CodeOf(err) {
	case CodeBodyTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	}
	return Status(fault.KindOf(err))
}
