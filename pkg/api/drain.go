package api

import (
	"net/http"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Drain makes the API take nothing more: what is on its way ends well, everything new is told to come again.
func (a *API) Drain() { a.draining.Store(true) }

// refuses answers what comes while the API drains. Of its health it still tells.
func (a *API) refuses(w http.ResponseWriter, r *http.Request) bool {
	if !a.draining.Load() || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return false
	}
	w.Header().Set("Connection", "close")
	web.WriteError(w, fault.New(fault.Unavailable, "api.ServeHTTP", "this server is leaving; send it again"))
	return true
}

// lacking says what speaks against serving.
func (a *API) lacking() []string {
	var why []string
	if a.draining.Load() {
		why = append(why, "draining")
	}
	if a.deps.Ready != nil {
		why = append(why, a.deps.Ready()...)
	}
	return why
}
