package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

func newRuns(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "runs", Short: "Runs: what happened, and what came of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRunsList(w), newRunsShow(w), newRunsTail(w), newRunsReplay(w), newRunsCancel(w))
	return cmd
}

func newRunsList(w world) *cobra.Command {
	var flags remoteFlags
	var workflow, state, user string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
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
			t := table(w)
			err = r.all(cmd.Context(), "/v1/runs", query, limit, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				return printRun(t, raw)
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&workflow, "workflow", "", "only runs of this workflow, by its folder's name, its id or its name")
	cmd.Flags().StringVar(&state, "state", "", "only runs in this state: running, waiting, ok, failed, canceled")
	cmd.Flags().StringVar(&user, "user", "", "only runs of this external user")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	return cmd
}

// listedRun is a run as the API lists it: without its result, but with why it failed.
type listedRun struct {
	behalf.Run
	Failure *behalf.Failure `json:"failure"`
}

func printRun(t interface{ Write([]byte) (int, error) }, raw json.RawMessage) error {
	run, err := decoded[listedRun](raw)
	if err != nil {
		return err
	}
	why := ""
	if run.Failure != nil {
		why = run.Failure.Message
	}
	_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", run.ID, run.State, run.Workflow, run.User, ago(run.StartedAt), why)
	return err
}

func newRunsShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Show a run: its steps with their exports, logs, errors and times", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.json {
				return showOne(cmd, w, flags, "/v1/runs/"+url.PathEscape(args[0]))
			}
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			var run behalf.Run
			if err := r.call(cmd.Context(), http.MethodGet, "/v1/runs/"+url.PathEscape(args[0]), nil, &run); err != nil {
				return err
			}
			printWholeRun(w, run)
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}

// printWholeRun tells a run to people.
func printWholeRun(w world, run behalf.Run) {
	w.printf("%s  %s  attempts %d\n", run.ID, run.State, run.Attempts)
	w.printf("workflow %s  version %s  user %s\n", run.Workflow, run.Version, orDash(string(run.User)))
	w.printf("started %s  updated %s\n", ago(run.StartedAt), ago(run.UpdatedAt))
	if run.ReplayOf != "" {
		w.printf("replay of %s\n", run.ReplayOf)
	}
	if run.Wait != nil {
		w.printf("waits (%s) until %s: %s\n", run.Wait.Reason, ago(run.Wait.Until), run.Wait.Why)
	}
	for _, s := range run.Steps {
		w.printf("\nstep %s  %s  attempt %d\n", s.Path, s.Duration.Round(10*time.Microsecond), s.Attempt)
		for _, line := range s.Logs {
			w.printf("  %s %s  %s\n", line.At.Local().Format("15:04:05.000"), line.Stream, line.Text)
		}
		if s.Err != nil {
			w.printf("  %s\n", strings.ReplaceAll(thrown(*s.Err), "\n", "\n  "))
		}
		if len(s.Exports) > 0 {
			w.printf("  exports %s\n", s.Exports)
		}
	}
	printTrigger(w, run.Event)
	if run.Result != nil && run.Result.Failure != nil {
		w.printf("\n%s: %s\n", run.Result.Failure.Code, run.Result.Failure.Message)
	}
}

// thrown tells an error as its author knows it: Node's stacks begin with its name and message.
func thrown(e behalf.StepError) string {
	what, stack := orDash(e.Name)+": "+e.Message, strings.TrimRight(e.Stack, "\n")
	switch {
	case stack == "":
		return what
	case strings.HasPrefix(stack, what):
		return stack
	}
	return what + "\n" + stack
}

// maxShown is how much of an event is shown to people; --json has all of it.
const maxShown = 4 << 10

// printTrigger tells what a run was triggered by, where that is kept.
func printTrigger(w world, event json.RawMessage) {
	var e behalf.Event
	if json.Unmarshal(event, &e) != nil {
		return
	}
	switch size := len(e.Trigger); {
	case size == 0 || string(e.Trigger) == "null":
	case size > maxShown:
		w.printf("\nevent %s … (%d bytes; --json shows more)\n", strings.ToValidUTF8(string(e.Trigger[:maxShown]), ""), size)
	default:
		w.printf("\nevent %s\n", e.Trigger)
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
