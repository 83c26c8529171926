package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newEvents(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "events", Short: "Events: what triggered workflows, and test events", Args: cobra.NoArgs,
		Long: "Events are what workflows were triggered by: those of runs that have finished, and test events, which a request with\n" +
			"x-pd-notrigger: 1 leaves without running anything.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEventsList(w), newEventsShow(w), newEventsSave(w))
	return cmd
}

// savedEvent is an event as the API tells it, and as a file keeps it.
type savedEvent struct {
	V           int                   `json:"v"`
	ID          behalf.EventID        `json:"id"`
	Workflow    behalf.WorkflowID     `json:"workflow"`
	Environment behalf.Environment    `json:"environment"`
	Version     behalf.VersionID      `json:"version,omitempty"`
	User        behalf.ExternalUserID `json:"user,omitempty"`
	At          time.Time             `json:"at"`
	Test        bool                  `json:"test"`
	Run         behalf.RunID          `json:"run,omitempty"`
	State       behalf.RunState       `json:"state,omitempty"`
	Method      string                `json:"method,omitempty"`
	Path        string                `json:"path,omitempty"`
	Trigger     json.RawMessage       `json:"trigger,omitempty"`
}

// outcome is what became of an event: the state of its run, or that none ran.
func (e savedEvent) outcome() string {
	if e.Test {
		return "test"
	}
	return string(e.State)
}

func newEventsList(w world) *cobra.Command {
	var flags remoteFlags
	var workflow, user, kind string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the last events that were received, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			query := url.Values{}
			for name, value := range map[string]string{"user": user, "kind": kind} {
				if value != "" {
					query.Set(name, value)
				}
			}
			if err := r.narrow(cmd.Context(), query, workflow); err != nil {
				return err
			}
			t := table(w)
			err = r.all(cmd.Context(), "/v1/events", query, limit, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				e, err := decoded[savedEvent](raw)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s %s\n", e.ID, e.outcome(), e.Workflow, e.User, ago(e.At), orDash(e.Method), e.Path)
				return err
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&workflow, "workflow", "", "only those of this workflow, by its folder's name, its id or its name")
	cmd.Flags().StringVar(&user, "user", "", "only those of this external user")
	cmd.Flags().StringVar(&kind, "kind", "", "only those of runs (run), or only test events (test)")
	cmd.Flags().IntVar(&limit, "limit", 20, "at most so many")
	return cmd
}

func newEventsShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show EVENT", Short: "Show an event with what triggered it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			e, err := r.event(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if flags.json {
				return printJSON(w, e)
			}
			w.printf("%s  %s  %s\nworkflow %s  user %s  run %s\n\n%s\n", e.ID, e.outcome(), ago(e.At), e.Workflow, orDash(string(e.User)), orDash(string(e.Run)), indented(e.Trigger))
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}

// event fetches one event with its trigger.
func (r *remote) event(ctx context.Context, id string) (savedEvent, error) {
	var e savedEvent
	err := r.call(ctx, http.MethodGet, "/v1/events/"+url.PathEscape(id), nil, &e)
	if fault.Is(err, fault.NotFound) {
		return e, hinted{err, "`behalf events list` shows those that are kept"}
	}
	return e, err
}

func indented(doc json.RawMessage) []byte {
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil { // it came as JSON
		return doc
	}
	return out
}

func newEventsSave(w world) *cobra.Command {
	var flags remoteFlags
	var file string
	cmd := &cobra.Command{
		Use: "save EVENT", Short: "Write an event to a file, for `behalf invoke --event`", Args: cobra.ExactArgs(1),
		Long: "Save writes an event as JSON to a file, readable by you alone: it holds what your user sent. `behalf invoke WORKFLOW\n" +
			"--event FILE` sends it again, and tests can read it.",
		Example: "  behalf events save evt_0198f3a0c1d27e0f8a1b2c3d4e5f6071 -o signup.json\n" +
			"  behalf invoke notify --event signup.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			e, err := r.event(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			name := file
			if name == "" {
				name = string(e.ID) + ".json"
			}
			text, err := json.MarshalIndent(e, "", "  ")
			if err != nil {
				return fault.Wrap(fault.Internal, "cli.save", err)
			}
			text = append(text, '\n')
			if name == "-" {
				w.printf("%s", text)
				return nil
			}
			if err := os.WriteFile(name, text, 0o600); err != nil {
				return fault.Newf(fault.Invalid, "cli.save", "%s cannot be written", name).Because(err)
			}
			return printSaved(w, e, name, flags.json)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVarP(&file, "output", "o", "", "the file, or - for standard output (default: EVENT.json)")
	return cmd
}

func printSaved(w world, e savedEvent, name string, asJSON bool) error {
	if asJSON {
		return printJSON(w, map[string]string{"id": string(e.ID), "file": name})
	}
	w.printf("%s\n", name)
	return nil
}
