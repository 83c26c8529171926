package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newActions(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "actions", Short: "Prebuilt actions, for `uses:` in workflow files", Args: cobra.NoArgs,
		Long: "Actions shows the actions of the running Behalf, or, where none is known here, those that ship with this binary.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newActionsList(w), newActionsShow(w))
	return cmd
}

func newActionsList(w world) *cobra.Command {
	var f catalogFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the actions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := table(w)
			defer func() { _ = t.Flush() }()
			return f.actions(cmd, w, func(a api.ActionView) error {
				if f.remote.json {
					return printJSON(w, a)
				}
				_, err := fmt.Fprintf(t, "%s\t%s\t%s\n", a.Uses, appOf(a), a.Description)
				return err
			})
		},
	}
	f.add(cmd, w)
	return cmd
}

func newActionsShow(w world) *cobra.Command {
	var f catalogFlags
	cmd := &cobra.Command{
		Use: "show ACTION", Short: "Show an action with its props", Args: cobra.ExactArgs(1),
		Example: "  behalf actions show slack-send-message@1",
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := f.action(cmd.Context(), w, args[0])
			switch {
			case fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):
				return hinted{err, "`behalf actions list` shows them all"}
			case err != nil:
				return err
			case f.remote.json:
				return printJSON(w, a)
			}
			return printAction(w, a)
		},
	}
	f.add(cmd, w)
	return cmd
}

// action finds one in the catalogue of the running Behalf, else in ours.
func (f *catalogFlags) action(ctx context.Context, w world, uses string) (api.ActionView, error) {
	r, err := f.server(w)
	if err != nil {
		return api.ActionView{}, err
	}
	if r != nil {
		var found struct {
			Data api.ActionView `json:"data"`
		}
		err := r.call(ctx, http.MethodGet, "/v1/actions/"+url.PathEscape(uses), nil, &found)
		if !fault.Is(err, fault.Unavailable) {
			return found.Data, err
		}
		_, _ = fmt.Fprintf(w.stderr, "behalf: %s; this is what ships with the command\n", fault.Safe(err))
	}
	view, err := f.here()
	if err != nil {
		return api.ActionView{}, err
	}
	a, err := view.Action(uses)
	if err != nil {
		return a, fault.New(fault.KindOf(err), "cli.actions", fault.Safe(err))
	}
	return a, nil
}

func printAction(w world, a api.ActionView) error {
	w.printf("%s: %s\n%s\n\n", a.Uses, a.Name, a.Description)
	for _, line := range [][2]string{{"app", appOf(a)}, {"scopes", strings.Join(a.Scopes, " ")}, {"docs", a.Docs}, {"run twice", a.Repeat}} {
		if line[1] != "" {
			w.printf("%-10s %s\n", line[0], line[1])
		}
	}
	w.printf("\nprops\n")
	t := table(w)
	for _, p := range a.Props {
		kind := p.Type
		if p.Required {
			kind += ", required"
		}
		if _, err := fmt.Fprintf(t, "  %s\t%s\t%s\n", p.Name, kind, p.Description); err != nil {
			return err
		}
	}
	return t.Flush()
}
