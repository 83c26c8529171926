package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Problem is the body of every error of the API: flat, as the clients of Connect expect it.
type Problem struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

// WriteError answers with the error as its caller may see it. It must be the first to write.
func WriteError(w http.ResponseWriter, err error) {
	status := statusOf(err)
	h := w.Header()
	switch status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", "Bearer")
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter(err))
	}
	WriteJSON(w, status, Problem{Error: fault.Safe(err), Code: fault.CodeOf(err)})
}

// WriteJSON answers with a value. Nothing of an API is for a cache to keep.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // a bug: values are ours
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal","code":"internal"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller who has left needs no answer
}

// RetryLater gives an error the time after which to try again, for Retry-After.
func RetryLater(err error, after time.Duration) error { return retryError{err, after} }

type retryError struct {
	error
	after time.Duration
}

func (e retryError) Unwrap() error { return e.error }

// retryAfter is in whole seconds, rounded up, and never none: clients repeat at once otherwise.
func retryAfter(err error) string {
	var later retryError
	if !errors.As(err, &later) {
		return "1"
	}
	seconds := int64((later.after + time.Second - 1) / time.Second)
	return strconv.FormatInt(min(max(seconds, 1), 60), 10)
}
