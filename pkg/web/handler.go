package web

import (
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// HandlerFunc answers a request, or returns the error that shall be the answer; then it must not have written.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Handle makes an http.Handler of f: its errors are answered by WriteError, those of ours are logged, and a panic is
// an internal error with its stack in the log. This is the one place where HTTP catches panics.
func Handle(log zerolog.Logger, f HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := NewRecorder(w)
		defer func() { caught(log, rec, recover()) }()
		if err := f(rec, r); err != nil {
			logOurs(log, err)
			WriteError(rec, err)
		}
	})
}

// Catch is Handle for a handler that answers its errors itself.
func Catch(log zerolog.Logger, next http.Handler) http.Handler {
	return Handle(log, func(w http.ResponseWriter, r *http.Request) error {
		next.ServeHTTP(w, r)
		return nil
	})
}

func caught(log zerolog.Logger, rec *Recorder, reason any) {
	if reason == nil {
		return
	}
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(reason) // the way to cut a connection, which net/http knows
	}
	log.Error().Interface("panic", reason).Bytes("stack", debug.Stack()).Msg("a request panicked")
	if rec.Status() != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	WriteError(rec, fault.New(fault.Internal, "web.Handle", ""))
}

// logOurs logs what someone should look at: what the caller did wrong is the caller's to know.
func logOurs(log zerolog.Logger, err error) {
	switch kind := fault.KindOf(err); {
	case kind == fault.Internal:
		log.Error().Err(err).Stringer("kind", kind).Msg("a request failed")
	case Status(kind) >= http.StatusInternalServerError:
		log.Warn().Err(err).Stringer("kind", kind).Msg("a request could not be served")
	}
}
