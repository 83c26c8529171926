package ingress

import (
	"context"
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// target is what a request asks for.
type target struct {
	environment behalf.Environment
	env         *environment
	endpoint    behalf.Endpoint
	// path is what follows the endpoint, as it was written: "/" when nothing does.
	path string
}

// endpoint finds the endpoint that a request asks for, and its environment.
//
// An endpoint is looked up in the store of its environment, so the environment must be read before it can be known
// whether the endpoint exists. What cannot be an endpoint in either is told first.
func (s *Server) endpoint(ctx context.Context, r *http.Request) (target, error) {
	env, envErr := environmentOf(r, s.cfg.DefaultEnvironment)
	name, path := s.split(r)
	id, err := behalf.ParseEndpointID(name)
	switch {
	case err != nil && envErr != nil:
		return target{}, behalf.FailEndpointNotFound(s.cfg.DefaultEnvironment)
	case err != nil:
		return target{environment: env}, behalf.FailEndpointNotFound(env)
	case envErr != nil:
		return target{}, envErr
	}
	t := target{environment: env, env: s.envs[env], path: path}
	if t.env == nil {
		return t, behalf.FailEndpointNotFound(env)
	}
	t.endpoint, err = t.env.Endpoints.Endpoint(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return t, behalf.FailEndpointNotFound(env)
	}
	return t, err
}

// environmentOf reads the environment of a request, from its header or its query. One that was said twice in either, joined
// by a client, or otherwise in the other, names none.
func environmentOf(r *http.Request, fallback behalf.Environment) (behalf.Environment, error) {
	const name = "X-Pd-Environment"
	values, asked := r.Header[name], []string(nil)
	if r.URL.RawQuery != "" {
		asked = inQuery(r.URL.RawQuery, name)
	}
	if len(values) == 0 {
		values, asked = asked, nil
	}
	if len(values) == 0 {
		return fallback, nil
	}
	env, err := behalf.ParseEnvironment(values[0])
	if err != nil || len(values) > 1 || len(asked) > 1 || len(asked) == 1 && asked[0] != values[0] {
		return "", behalf.FailEnvironmentInvalid()
	}
	return env, nil
}

// split tells the endpoint's name from the path: by host, https://{endpoint}.{workflow domain}/path, or by path,
// /e/{endpoint}/path. The name is empty where the request has neither form.
func (s *Server) split(r *http.Request) (name, path string) {
	path = r.URL.EscapedPath()
	if name := hostLabel(s.cfg.Proxies.Host(r), s.cfg.WorkflowDomain); name != "" {
		return name, rooted(path)
	}
	rest, ok := strings.CutPrefix(path, "/e/")
	if !ok {
		return "", ""
	}
	name, path, _ = strings.Cut(rest, "/")
	return name, "/" + path
}

// rooted is the path as a request line would have it: CONNECT and OPTIONS may come without one.
func rooted(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "/"
	}
	return path
}

// hostLabel is the one label before the workflow domain, where it can be an endpoint.
func hostLabel(host, domain string) string {
	if domain == "" {
		return ""
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	n := len(host) - len(domain) - 1
	if n < 1 || host[n] != '.' || !strings.EqualFold(host[n+1:], domain) {
		return ""
	}
	if _, err := behalf.ParseEndpointID(host[:n]); err != nil {
		return "" // another name of the operator's under this domain
	}
	return host[:n]
}
