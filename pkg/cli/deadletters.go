package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newDeadletters(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "deadletters", Short: "Events that could not be finished, and why", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadlettersList(w), newDeadlettersShow(w), newDeadlettersReplay(w), newDeadlettersDiscard(w))
	return cmd
}

// listedLetter is a dead letter as the API tells it.
type listedLetter struct {
	ID       behalf.LetterID   `json:"id"`
	Workflow behalf.WorkflowID `json:"workflow"`
	Reason   bus.Reason        `json:"reason"`
	Detail   string            `json:"detail"`
	Run      behalf.RunID      `json:"run"`
	Worker   string            `json:"worker"`
	At       time.Time         `json:"at"`
	Original json.RawMessage   `json:"original"`
	Raw      []byte            `json:"raw"`
}

func newDeadlettersList(w world) *cobra.Command {
	var flags remoteFlags
	var workflow, reason string
	var limit int
	var count bool
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, newest first, or count them", Args: cobra.NoArgs,
		Long: "List prints each letter's id, reason, workflow, run, time and detail. With --count it prints how many there are, by\n" +
			"workflow and reason.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			query := url.Values{}
			if err := r.narrow(cmd.Context(), query, workflow); err != nil {
				return err
			}
			path, row := "/v1/deadletters", printLetter
			if reason != "" {
				query.Set("reason", reason)
			}
			if count {
				path, row, limit = path+"/counts", printCount, 0
				query.Del("reason")
			}
			t := table(w)
			err = r.all(cmd.Context(), path, query, limit, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				return row(t, raw)
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&workflow, "workflow", "", "only those of this workflow, by its folder's name, its id or its name")
	cmd.Flags().StringVar(&reason, "reason", "", "only those of this reason, such as worker_lost")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&count, "count", false, "count them by workflow and reason")
	cmd.MarkFlagsMutuallyExclusive("count", "reason")
	return cmd
}

func printLetter(t interface{ Write([]byte) (int, error) }, raw json.RawMessage) error {
	l, err := decoded[listedLetter](raw)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Reason, l.Workflow, orDash(string(l.Run)), ago(l.At), l.Detail)
	return err
}

func printCount(t interface{ Write([]byte) (int, error) }, raw json.RawMessage) error {
	c, err := decoded[bus.LetterCount](raw)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t, "%d\t%s\t%s\n", c.Count, c.Reason, c.Workflow)
	return err
}

func newDeadlettersShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show LETTER", Short: "Show a dead letter with its event", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/v1/deadletters/" + url.PathEscape(args[0])
			if flags.json {
				return showOne(cmd, w, flags, path)
			}
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			var l listedLetter
			if err := r.call(cmd.Context(), http.MethodGet, path, nil, &l); err != nil {
				return err
			}
			w.printf("%s  %s\nworkflow %s  run %s  worker %s  at %s\n", l.ID, l.Reason, l.Workflow, orDash(string(l.Run)), l.Worker, ago(l.At))
			if l.Detail != "" {
				w.printf("%s\n", l.Detail)
			}
			w.printf("\n%s%s\n", l.Original, l.Raw)
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newDeadlettersReplay(w world) *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use: "replay LETTER", Short: "Run the event of a dead letter once more, and take the letter away", Args: cobra.ExactArgs(1),
		Long: "Replay runs the event of a dead letter once more, as a new run that goes on after the steps which were done, and\n" +
			"takes the letter away. It prints the id of the new run: one run, however often and by how many it is asked for.\n" +
			"It runs the version that the environment serves now; --version names another, and --from another step.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.replay(cmd.Context(), w, "/v1/deadletters/"+url.PathEscape(args[0])+"/replay")
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newDeadlettersDiscard(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "discard LETTER", Short: "Take a dead letter away for good", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			var out struct {
				ID        behalf.LetterID `json:"id"`
				Discarded bool            `json:"discarded"`
			}
			err = r.call(cmd.Context(), http.MethodDelete, "/v1/deadletters/"+url.PathEscape(args[0]), nil, &out)
			if fault.Is(err, fault.NotFound) { // a second time it is gone, which is what was asked for
				out.ID, err = behalf.LetterID(args[0]), nil
			}
			if err != nil {
				return err
			}
			switch {
			case flags.json:
				return printJSON(w, out)
			case out.Discarded:
				w.printf("%s discarded\n", out.ID)
			default:
				w.printf("%s is not there\n", out.ID)
			}
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}
