package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newInvoke(w world) *cobra.Command {
	var flags remoteFlags
	var user, data, event string
	cmd := &cobra.Command{
		Use: "invoke WORKFLOW", Short: "Invoke a workflow and print its answer", Args: cobra.ExactArgs(1),
		Long: "Invoke calls a workflow, by its folder's name, its id or its name, as a backend would: with a token of the client, for\n" +
			"the user of --user. It prints the body of the answer. A run that fails ends it with 1, with the message on stderr.\n" +
			"With --event it sends the request of an event again: method, path, query, headers and body, for the event's user.",
		Example: "  behalf invoke notify --user abc-123 --env development -d '{\"text\":\"Hello\"}'\n" +
			"  behalf invoke notify --user abc-123 -d @body.json --json\n" +
			"  behalf invoke notify --event signup.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			body, err := dataOf(w, data, cmd.Flags().Changed("data"))
			if err != nil {
				return err
			}
			found, err := r.workflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			request := plainShot(user, body)
			if event != "" {
				if request, err = r.shotOf(cmd.Context(), event, user); err != nil {
					return err
				}
			}
			answer, err := r.invoke(cmd.Context(), found, request)
			if err != nil {
				return err
			}
			return printInvoked(w, answer, found.Environment, flags.json)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&user, "user", "", "the external user's id in your system, for whom the run is")
	cmd.Flags().StringVarP(&data, "data", "d", "", "the body: JSON, @FILE, or - for standard input (default: none)")
	cmd.Flags().StringVar(&event, "event", "", "the event to send again: a file that `behalf events save` wrote, or its id")
	cmd.MarkFlagsMutuallyExclusive("data", "event")
	return cmd
}

// dataOf reads the body of an invocation: the argument itself, a file, or standard input.
func dataOf(w world, data string, given bool) ([]byte, error) {
	if !given {
		return nil, nil
	}
	body := []byte(data)
	file, isFile := strings.CutPrefix(data, "@")
	var err error
	switch {
	case isFile:
		body, err = os.ReadFile(file)
	case data == "-":
		body, err = io.ReadAll(io.LimitReader(w.stdin, 64<<20))
	}
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "cli.invoke", "%s cannot be read", data).Because(err)
	}
	if !json.Valid(body) {
		return nil, hinted{fault.New(fault.Invalid, "cli.invoke", "the body is not JSON"), `-d '{"text":"Hello"}', -d @FILE, or -d - for standard input`}
	}
	return body, nil
}

// invoked is what a workflow answered, as --json prints it.
type invoked struct {
	Status  int               `json:"status"`
	Run     string            `json:"run_id,omitempty"`
	Error   string            `json:"error,omitempty"`
	Step    string            `json:"step,omitempty"`
	Body    any               `json:"body"`
	Headers map[string]string `json:"headers"`
	// text is the body as it came.
	text []byte
}

// invoke calls a workflow where it answers. Errors: Invalid, Unavailable; a run that fails is none of them.
func (r *remote) invoke(ctx context.Context, at endpointView, s shot) (invoked, error) {
	if err := r.authenticate(ctx); err != nil {
		return invoked{}, err
	}
	target := at.PathURL + strings.TrimSuffix(s.path, "/")
	if s.query != "" {
		target += "?" + s.query
	}
	request, err := http.NewRequestWithContext(ctx, s.method, target, bytes.NewReader(s.body))
	if err != nil {
		return invoked{}, fault.Newf(fault.Internal, "cli.invoke", "%q is no address of a workflow", at.PathURL).Because(err)
	}
	request.Header = s.header
	request.Header.Set("Authorization", "Bearer "+r.token.Reveal())
	request.Header.Set("X-Pd-Environment", string(at.Environment))
	if s.user != "" {
		request.Header.Set("X-Behalf-External-User-Id", url.PathEscape(s.user))
	}
	client := *r.http
	// A redirect is the workflow's answer, not a way to it.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		return invoked{}, fault.Newf(fault.Unavailable, "cli.invoke", "no answer came from %s", at.PathURL).Because(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return invoked{}, fault.Wrap(fault.Unavailable, "cli.invoke", err)
	}
	return newInvoked(answer.StatusCode, answer.Header, text), nil
}

func newInvoked(status int, h http.Header, text []byte) invoked {
	v := invoked{
		Status: status, Run: h.Get("X-Behalf-Run-Id"), Error: h.Get("X-Behalf-Error"), Step: h.Get("X-Behalf-Step"),
		Headers: map[string]string{}, text: text,
	}
	for name := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-behalf-") || lower == "server-timing" {
			v.Headers[lower] = h.Get(name)
		}
	}
	switch {
	case json.Valid(text):
		v.Body = json.RawMessage(text)
	case utf8.Valid(text) && len(text) > 0:
		v.Body = string(text)
	case len(text) > 0:
		v.Body = text // as base64
	}
	return v
}

// failure says why there is no answer of the workflow's own, whatever its status. What never reached a run, and says
// so by its status alone, has come from something in front of the ingress.
func (v invoked) failure(env behalf.Environment) error {
	if v.Error == "" && (v.Run != "" || v.Status < http.StatusBadRequest) {
		return nil
	}
	message := cmp.Or(strings.TrimSpace(string(v.text)), v.Error, http.StatusText(v.Status))
	err := fault.New(fault.StepFailed, "cli.invoke", message).WithCode(v.Error)
	if v.Run == "" {
		return err
	}
	return hinted{err, "behalf runs show " + v.Run + " --env " + string(env)}
}

func printInvoked(w world, v invoked, env behalf.Environment, asJSON bool) error {
	failure := v.failure(env)
	switch {
	case asJSON:
		if err := printJSON(w, v); err != nil {
			return err
		}
	case failure == nil:
		w.printf("%s", v.text)
		if len(v.text) > 0 && !bytes.HasSuffix(v.text, []byte("\n")) {
			w.printf("\n")
		}
	}
	return failure
}
