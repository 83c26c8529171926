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
	var user, data, token, event string
	cmd := &cobra.Command{
		Use: "invoke WORKFLOW", Short: "Invoke a workflow and print its answer", Args: cobra.ExactArgs(1),
		Long: "Invoke calls a workflow, by its folder's name, its id or its name, as a backend would: with a token of the client, for\n" +
			"the user of --user. It prints the body of the answer. A run that fails ends it with 1, with the message on stderr.\n" +
			"With --event it sends the request of an event again: method, path, query, headers and body, for the event's user.\n\n" +
			"A workflow's URL or its endpoint's id (en…) may stand in place of its name: then the client needs the scope invoke and\n" +
			"no other. For a trigger with auth: token, --token - reads the token from standard input, and no client is needed.",
		Example: "  behalf invoke notify --user abc-123 --env development -d '{\"text\":\"Hello\"}'\n" +
			"  behalf invoke notify --user abc-123 -d @body.json --json\n" +
			"  behalf invoke notify --event signup.json\n" +
			"  printf %s \"$TOKEN\" | behalf invoke https://workflows.example.com/e/en… --token - -d '{}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "-" && token == "-" {
				return hinted{fault.New(fault.Invalid, "cli.invoke", "body and token cannot both come from standard input"), "-d @FILE reads the body from a file"}
			}
			if _, err := flags.environment(); err != nil {
				return err
			}
			body, err := dataOf(w, data, cmd.Flags().Changed("data"))
			if err != nil {
				return err
			}
			at, err := targetOf(cmd.Context(), w, flags, args[0], token)
			if err != nil {
				return err
			}
			request := plainShot(user, body)
			if event != "" {
				if request, err = at.remote.shotOf(cmd.Context(), event, user); err != nil {
					return err
				}
			}
			answer, err := at.invoke(cmd.Context(), w, request)
			if err != nil {
				return err
			}
			return printInvoked(w, answer, at.env, flags.json)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&token, "token", "", "- reads the token of a trigger with auth: token from standard input")
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
func (t target) invoke(ctx context.Context, w world, s shot) (invoked, error) {
	bearer, err := t.bearer(ctx, w)
	if err != nil {
		return invoked{}, err
	}
	request, err := http.NewRequestWithContext(ctx, s.method, s.at(t.url), bytes.NewReader(s.body))
	if err != nil {
		return invoked{}, fault.Newf(fault.Internal, "cli.invoke", "%q is no address of a workflow", t.url).Because(err)
	}
	request.Header = s.header
	request.Header.Set("Authorization", "Bearer "+bearer.Reveal())
	if t.env != "" {
		request.Header.Set("X-Pd-Environment", string(t.env))
	}
	if s.user != "" {
		request.Header.Set("X-Behalf-External-User-Id", url.PathEscape(s.user))
	}
	client := *t.remote.http
	// A redirect is the workflow's answer, not a way to it.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		return invoked{}, fault.Newf(fault.Unavailable, "cli.invoke", "no answer came from %s", t.url).Because(err)
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
	hint := "behalf runs show " + v.Run
	if env != "" {
		hint += " --env " + string(env)
	}
	return hinted{err, hint}
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
