package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// replayFlags say how an event is run once more.
type replayFlags struct {
	remoteFlags
	version, from string
}

func (f *replayFlags) add(cmd *cobra.Command, w world) {
	f.remoteFlags.add(cmd, w)
	cmd.Flags().StringVar(&f.version, "version", "", "the version to run, d_… (default: the one that the environment serves now)")
	cmd.Flags().StringVar(&f.from, "from", "", "begin with this step, and keep what is recorded of those before it")
}

// replayed is what the API answers to a replay.
type replayed struct {
	Run      behalf.RunID      `json:"run_id"`
	ReplayOf behalf.RunID      `json:"replay_of,omitempty"`
	Event    behalf.EventID    `json:"event_id"`
	Workflow behalf.WorkflowID `json:"workflow,omitempty"`
	Version  behalf.VersionID  `json:"version,omitempty"`
	From     behalf.StepName   `json:"from,omitempty"`
}

func (f replayFlags) replay(ctx context.Context, w world, path string) error {
	r, err := f.open(w)
	if err != nil {
		return err
	}
	var out replayed
	in := struct {
		Version string `json:"version,omitempty"`
		From    string `json:"from,omitempty"`
	}{f.version, f.from}
	if err := r.call(ctx, http.MethodPost, path, in, &out); err != nil {
		return replayHint(err)
	}
	if f.json {
		return printJSON(w, out)
	}
	w.printf("%s\n", out.Run)
	return nil
}

// replayHint says what to do about a replay that was refused.
func replayHint(err error) error {
	switch fault.CodeOf(err) {
	case operate.CodeRunNotFinished:
		return hinted{err, "`behalf runs cancel RUN` ends it"}
	case operate.CodeStepNotRecorded:
		return hinted{err, "`behalf runs show RUN` shows which steps are recorded"}
	}
	return err
}

func newRunsReplay(w world) *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use: "replay RUN", Short: "Run the event of a finished run once more, as a new run", Args: cobra.ExactArgs(1),
		Long: "Replay runs the event of a finished run once more, as a new run, and prints its id. It runs the version that the\n" +
			"environment serves now, so that a fix which was deployed since takes effect; --version names another one of the\n" +
			"workflow. The user's accounts are those of now. With --from the steps before that one are not executed again: what\n" +
			"they exported is kept. Effects are new ones: idempotency keys are those of the new run. Nobody waits for its answer,\n" +
			"so a step that fails is tried again as often as the workflow says.",
		Example: "  behalf runs replay run_0198f3a0c1d27e0f8a1b2c3d4e5f6071 --env production\n" +
			"  behalf runs replay run_0198f3a0c1d27e0f8a1b2c3d4e5f6071 --from slack --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.replay(cmd.Context(), w, "/v1/runs/"+url.PathEscape(args[0])+"/replay")
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newRunsCancel(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "End a run: one that is queued, waits or runs", Args: cobra.ExactArgs(1),
		Long: "Cancel ends a run: one that is queued never begins, one that waits is not woken any more, and of one that runs the\n" +
			"step's processes are killed. What its steps have done is done. A run that was canceled before is no error; one that\n" +
			"has finished is.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			var out json.RawMessage
			if err := r.call(cmd.Context(), http.MethodPost, "/v1/runs/"+url.PathEscape(args[0])+"/cancel", nil, &out); err != nil {
				return err
			}
			if flags.json {
				return printJSON(w, out)
			}
			w.printf("%s canceled\n", args[0])
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newRunsTail(w world) *cobra.Command {
	var flags remoteFlags
	var workflow, state, user string
	cmd := &cobra.Command{
		Use: "tail", Short: "Print runs as they finish, until interrupted", Args: cobra.NoArgs,
		Long: "Tail prints every run that finishes from now on: its id, state, workflow, user, start and failure.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, value := range map[string]string{"state": state, "user": user} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if err := r.narrow(cmd.Context(), query, workflow); err != nil {
				return err
			}
			return over(r.tail(cmd.Context(), query, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				return printRun(w.stdout, raw)
			}))
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&workflow, "workflow", "", "only runs of this workflow, by its folder's name, its id or its name")
	cmd.Flags().StringVar(&state, "state", "", "only runs that end as ok, failed or canceled")
	cmd.Flags().StringVar(&state, "status", "", "the same as --state")
	cmd.MarkFlagsMutuallyExclusive("state", "status")
	cmd.Flags().StringVar(&user, "user", "", "only runs of this external user")
	return cmd
}

// tailAgain is how long a tail waits before it asks a server again that could not be reached.
const tailAgain = time.Second

// tail asks for what is new until ctx ends. A server that is away for a while, or starts anew, is waited for; what
// finishes meanwhile is told afterwards.
func (r *remote) tail(ctx context.Context, query url.Values, each func(json.RawMessage) error) error {
	for first := true; ; {
		var page listOf
		err := r.call(ctx, http.MethodGet, "/v1/runs/tail?"+query.Encode(), nil, &page)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted, which is how a tail ends
		case fault.Is(err, fault.Unauthenticated) && !first: // an hour has passed
			r.token, first = secret.String{}, true
			continue
		case fault.Is(err, fault.Unavailable) && !first:
			if pause.For(ctx, tailAgain) != nil {
				return nil //nolint:nilerr // interrupted, which is how a tail ends
			}
			continue
		case err != nil:
			return err
		}
		first = false
		for _, item := range page.Data {
			if err := each(item); err != nil {
				return err
			}
		}
		if page.PageInfo.EndCursor != nil {
			query.Set("after", *page.PageInfo.EndCursor)
		}
	}
}
