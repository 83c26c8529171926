package cli

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// target is where an invocation goes, and how it proves itself.
type target struct {
	remote *remote
	url    string
	env    behalf.Environment // empty for that of the server
	token  secret.String      // of the trigger; zero for one of the client
	typed  bool               // the URL, by a person: nobody has told it us
}

// targetOf finds the workflow that is called so: by its URL or its endpoint's id, for which the client needs no more than
// the scope invoke, and none at all where there is a trigger's token; else by asking the API.
func targetOf(ctx context.Context, w world, flags remoteFlags, called, token string) (target, error) {
	given, err := triggerToken(w, token)
	if err != nil {
		return target{}, err
	}
	address, direct, err := directURL(w, called)
	if err != nil {
		return target{}, err
	}
	r, err := flags.open(w)
	switch {
	case err != nil && direct && !given.IsZero() && fault.Is(err, fault.NotFound):
		r, err = flags.nobody()
	case err != nil:
		return target{}, err
	}
	if err != nil || direct {
		return target{remote: r, url: address, env: r.env, token: given, typed: true}, err
	}
	found, err := r.workflow(ctx, called)
	return target{remote: r, url: found.PathURL, env: found.Environment, token: given}, err
}

// nobody is a remote without a client, for what needs none.
func (f remoteFlags) nobody() (*remote, error) {
	env, err := f.environment()
	return &remote{http: &http.Client{Timeout: 70 * time.Second}, env: env}, err
}

// triggerToken reads the token of a trigger from standard input.
func triggerToken(w world, flag string) (secret.String, error) {
	switch flag {
	case "":
		return secret.String{}, nil
	case "-":
	default:
		return secret.String{}, hinted{fault.New(fault.Invalid, "cli.invoke", "a token never comes by argument"), `printf %s "$TOKEN" | behalf invoke … --token -`}
	}
	text, err := io.ReadAll(io.LimitReader(w.stdin, 4<<10))
	token := strings.TrimSpace(string(text))
	if err != nil || token == "" || strings.ContainsAny(token, " \t\r\n") {
		return secret.String{}, fault.New(fault.Invalid, "cli.invoke", "standard input has no token")
	}
	return secret.New(token), nil
}

// directURL is the URL of a workflow that is named by it, or by its endpoint's id.
func directURL(w world, called string) (address string, direct bool, err error) {
	if strings.HasPrefix(called, "http://") || strings.HasPrefix(called, "https://") {
		u, err := url.Parse(called)
		if err != nil || u.Host == "" {
			return "", false, fault.Newf(fault.Invalid, "cli.invoke", "%q is no address of a workflow", called)
		}
		return called, true, nil
	}
	base, _ := ingressOrigin(w)
	if !isEndpointID(called) || base == "" {
		return "", false, nil // the API knows
	}
	return strings.TrimRight(base, "/") + "/e/" + called, true, nil
}

// isEndpointID tells an endpoint's id from a name that people gave a folder: ids are longer.
func isEndpointID(called string) bool {
	const idLength = 24
	id, err := behalf.ParseEndpointID(called)
	return err == nil && len(id) >= idLength
}

// ingressOrigin is the base URL of the ingress and the domain of workflows, as far as they are known here.
func ingressOrigin(w world) (base, domain string) {
	base, domain = w.env("BEHALF_INGRESS_URL", ""), w.env("BEHALF_WORKFLOW_DOMAIN", "")
	if base != "" {
		return base, domain
	}
	file, err := readDevFile(w.env("BEHALF_DATA_DIR", defaultDataDir))
	if err != nil {
		return "", domain
	}
	return file.IngressURL, file.WorkflowDomain
}

// bearer is what the invocation proves itself by. A token of the client is for our own ingress and goes nowhere else,
// whatever URL was typed. Errors: Invalid, Unavailable and those of the API.
func (t target) bearer(ctx context.Context, w world) (secret.String, error) {
	if !t.token.IsZero() {
		return t.token, nil
	}
	if t.typed && !ours(w, t.url) {
		return secret.String{}, hinted{
			fault.Newf(fault.Invalid, "cli.invoke", "the client's token is not sent to %s, which is not known to be Behalf's", t.url),
			"BEHALF_INGRESS_URL says where workflows answer; --token - sends a trigger's own token",
		}
	}
	err := t.remote.authenticate(ctx)
	return t.remote.token, err
}

// ours says whether a URL is of the ingress that is known here.
func ours(w world, address string) bool {
	base, domain := ingressOrigin(w)
	u, err := url.Parse(address)
	origin, baseErr := url.Parse(base)
	switch {
	case err != nil || baseErr != nil || base == "":
		return false
	case u.Scheme == origin.Scheme && strings.EqualFold(u.Host, origin.Host):
		return true
	}
	return domain != "" && u.Scheme == origin.Scheme && u.Port() == origin.Port() && strings.HasSuffix(strings.ToLower(u.Hostname()), "."+strings.ToLower(domain))
}
