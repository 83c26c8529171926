package web

import "net/http"

// Recorder is a response writer that remembers what was answered, for metrics, logs and the last word after a panic.
type Recorder struct {
	http.ResponseWriter
	status int
}

// NewRecorder stands before a writer. A writer that is a Recorder already is returned as it is.
func NewRecorder(w http.ResponseWriter) *Recorder {
	if r, ok := w.(*Recorder); ok {
		return r
	}
	return &Recorder{ResponseWriter: w}
}

// Status is the status that was sent, or 0 while nothing was.
func (r *Recorder) Status() int { return r.status }

// WriteHeader remembers the final status.
func (r *Recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends what it is given, after status 200 where none was sent.
func (r *Recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
