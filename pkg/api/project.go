package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

const connectPrefix = "/v1/connect/"

// projectKey is under which a request has the project that its path names.
type projectKey struct{}

// withoutProject takes the project out of a path of the Connect API, where it is said or left out as the client likes: the
// mux could not tell /v1/connect/{project}/accounts from /v1/connect/accounts/{account}. authorize compares it with that
// of the token.
func withoutProject(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), connectPrefix)
	if !ok {
		return r
	}
	segment, rest, more := strings.Cut(rest, "/")
	project, err := behalf.ParseProjectID(segment)
	if !more || err != nil {
		return r
	}
	path, err := url.PathUnescape(connectPrefix + rest)
	if err != nil {
		return r
	}
	r = r.Clone(context.WithValue(r.Context(), projectKey{}, project))
	r.URL.Path, r.URL.RawPath = path, connectPrefix+rest
	return r
}

// namedProject is the project that the path of a request named.
func namedProject(ctx context.Context) (behalf.ProjectID, bool) {
	project, ok := ctx.Value(projectKey{}).(behalf.ProjectID)
	return project, ok
}
