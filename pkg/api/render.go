package api

import (
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Renderer writes a run's result as its own answer. Trusted says whether the caller may read a step's own error. It
// must write once and cannot fail.
type Renderer func(w http.ResponseWriter, r *http.Request, result behalf.Result, trusted bool)

// renderPlainly is for an API without an ingress's renderer.
func renderPlainly(w http.ResponseWriter, _ *http.Request, result behalf.Result, trusted bool) {
	failure := result.Failure
	switch {
	case failure == nil && result.Response != nil:
		renderResponse(w, *result.Response)
		return
	case failure == nil:
		failure = behalf.FailNoResponse()
	case !trusted:
		failure = failure.ForStrangers()
	}
	renderFailure(w, failure)
}

func renderFailure(w http.ResponseWriter, f *behalf.Failure) {
	h := w.Header()
	h.Set("X-Behalf-Error", string(f.Code))
	if f.Step != "" {
		h.Set("X-Behalf-Step", string(f.Step))
	}
	web.WriteJSON(w, f.Code.Status(), web.Problem{Error: f.Message, Code: string(f.Code)})
}

func renderResponse(w http.ResponseWriter, resp behalf.Response) {
	for name, value := range resp.Headers {
		if forwardable(name) {
			w.Header().Set(name, value)
		}
	}
	status := resp.Status
	if status < http.StatusOK || status > 599 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(resp.Body()) // a caller who has left needs no answer
}

// forwardable says whether a header is the workflow's to set: not those of the connection, and not ours.
func forwardable(name string) bool {
	switch name = strings.ToLower(name); name {
	case "connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade":
		return false
	}
	return !strings.HasPrefix(name, "x-behalf-") && !strings.HasPrefix(name, "proxy-")
}

// guarded writes what a workflow answered under the API's own address. There it must not act as the API: it sets no
// cookies, and a browser runs none of it.
type guarded struct{ http.ResponseWriter }

func (g guarded) WriteHeader(status int) {
	h := g.Header()
	h.Del("Set-Cookie")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	g.ResponseWriter.WriteHeader(status)
}

func (g guarded) Write(b []byte) (int, error) {
	if rec, ok := g.ResponseWriter.(*web.Recorder); !ok || rec.Status() == 0 {
		g.WriteHeader(http.StatusOK)
	}
	return g.ResponseWriter.Write(b)
}

func (g guarded) Unwrap() http.ResponseWriter { return g.ResponseWriter }
