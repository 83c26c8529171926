package ingress

import (
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// cors are the headers by which a browser lets pages of any origin call workflows and read their answers. They give
// nothing away: no cookie counts here, and who has the bearer could call without a browser. The values are shared by
// all answers, so that they cost no memory of their own.
type cors struct{ origin, exposed, methods, vary []string }

func newCORS() cors {
	return cors{
		origin: []string{"*"}, exposed: []string{"*"}, methods: []string{"GET,HEAD,PUT,PATCH,POST,DELETE"},
		vary: []string{"Access-Control-Request-Headers"},
	}
}

// set opens an answer, also a failure, to pages of any origin. An author's own headers come later, so they win.
func (c *cors) set(h http.Header, r *http.Request) {
	h["Access-Control-Allow-Origin"] = c.origin
	if len(r.Header["Origin"]) > 0 {
		h["Access-Control-Expose-Headers"] = c.exposed
	}
}

// preflight answers what a browser asks before it sends a request, and says whether the request was one. It runs no
// workflow and looks none up: the question carries neither environment nor bearer, so nothing could be decided by them.
func (c *call) preflight() bool {
	asked := c.r.Header
	if c.r.Method != http.MethodOptions || len(asked["Access-Control-Request-Method"]) == 0 {
		return false
	}
	name, _ := c.server.split(c.r)
	if _, err := behalf.ParseEndpointID(name); err != nil {
		return false
	}
	h := c.w.Header()
	h["Access-Control-Allow-Methods"] = c.server.cors.methods
	h["Vary"] = c.server.cors.vary
	if names := asked["Access-Control-Request-Headers"]; len(names) > 0 {
		h["Access-Control-Allow-Headers"] = []string{strings.Join(names, ",")}
	}
	c.outcome = outcomePreflight
	write(c.w, c.r, http.StatusNoContent, nil)
	return true
}
