package web

import "net/http"

// Healthz answers 200 for as long as the process answers at all.
func Healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
}

// Readyz answers 200 when nothing speaks against it, else 503 with the reasons. A nil function means always ready.
// The reasons are read by anybody: they name what is away, never where it is.
func Readyz(reasons func() []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var against []string
		if reasons != nil {
			against = reasons()
		}
		if len(against) == 0 {
			WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
			return
		}
		w.Header().Set("Retry-After", "1")
		WriteJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable", "reasons": against})
	})
}
