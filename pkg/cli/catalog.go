package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// The catalogues are part of the binary, so these commands need no running Behalf.

func newActions(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "actions", Short: "Prebuilt actions, for `uses:` in workflow files", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newActionsList(w), newActionsShow(w))
	return cmd
}

func newActionsList(w world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the actions", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, actions, err := catalogs()
			if err != nil {
				return err
			}
			t := table(w)
			defer func() { _ = t.Flush() }()
			for _, a := range actions.List() {
				if asJSON {
					err = printJSON(w, viewOf(a))
				} else {
					_, err = fmt.Fprintf(t, "%s\t%s\t%s\n", a.Ref(), appOf(a), a.Description)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object a line")
	return cmd
}

func newActionsShow(w world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ACTION", Short: "Show an action with its props", Args: cobra.ExactArgs(1),
		Example: "  behalf actions show slack-send-message@1",
		RunE: func(_ *cobra.Command, args []string) error {
			_, actions, err := catalogs()
			if err != nil {
				return err
			}
			a, err := actions.Find(args[0])
			switch {
			case err != nil:
				return hinted{fault.New(fault.KindOf(err), "cli.actions", fault.Safe(err)), "`behalf actions list` shows them all"}
			case asJSON:
				return printJSON(w, viewOf(a))
			}
			return printAction(w, a)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

func printAction(w world, a *action.Action) error {
	w.printf("%s: %s\n%s\n\n", a.Ref(), a.Name, a.Description)
	for _, line := range [][2]string{{"app", appOf(a)}, {"scopes", strings.Join(a.Scopes, " ")}, {"docs", a.Docs}, {"run twice", a.Repeat}} {
		if line[1] != "" {
			w.printf("%-10s %s\n", line[0], line[1])
		}
	}
	w.printf("\nprops\n")
	t := table(w)
	for _, p := range a.Props {
		kind := string(p.Type)
		if p.Required {
			kind += ", required"
		}
		if _, err := fmt.Fprintf(t, "  %s\t%s\t%s\n", p.Name, kind, p.Description); err != nil {
			return err
		}
	}
	return t.Flush()
}

// appOf says in a word whose account an action takes.
func appOf(a *action.Action) string {
	switch {
	case a.AnyApp:
		return "any app"
	case a.App == "":
		return "-"
	}
	return string(a.App)
}

// actionView is an action as it is printed by --json.
type actionView struct {
	Uses        string         `json:"uses"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Docs        string         `json:"docs,omitempty"`
	App         behalf.AppSlug `json:"app,omitempty"`
	AnyApp      bool           `json:"any_app,omitempty"`
	Scopes      []string       `json:"scopes,omitempty"`
	Repeat      string         `json:"repeat,omitempty"`
	Props       []propView     `json:"props"`
}

type propView struct {
	Name        string          `json:"name"`
	Type        action.PropType `json:"type"`
	Required    bool            `json:"required,omitempty"`
	Description string          `json:"description,omitempty"`
	Default     any             `json:"default,omitempty"`
	Options     []string        `json:"options,omitempty"`
	Aliases     []string        `json:"aliases,omitempty"`
}

func viewOf(a *action.Action) actionView {
	view := actionView{
		Uses: a.Ref(), Name: a.Name, Description: a.Description, Docs: a.Docs, App: a.App, AnyApp: a.AnyApp, Scopes: a.Scopes,
		Repeat: a.Repeat, Props: make([]propView, 0, len(a.Props)),
	}
	for _, p := range a.Props {
		view.Props = append(view.Props, propView{p.Name, p.Type, p.Required, p.Description, p.Default, p.Options, p.Aliases})
	}
	return view
}

func newApps(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "apps", Short: "Apps of which accounts can be connected", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAppsList(w))
	return cmd
}

// appView is an app as it is printed by --json.
type appView struct {
	Slug        behalf.AppSlug `json:"app"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Docs        string         `json:"docs,omitempty"`
	Fields      []string       `json:"auth_fields"`
}

func newAppsList(w world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the apps, and the fields of $auth that a step sees", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			apps, _, err := catalogs()
			if err != nil {
				return err
			}
			t := table(w)
			defer func() { _ = t.Flush() }()
			for _, slug := range apps.Slugs() {
				if err := printApp(w, t, apps, slug, asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object a line")
	return cmd
}

func printApp(w world, t io.Writer, apps app.Catalog, slug behalf.AppSlug, asJSON bool) error {
	known, _ := apps.App(slug)
	view := appView{Slug: slug, Name: known.Name, Description: known.Description, Docs: known.Docs}
	for _, f := range known.Fields {
		view.Fields = append(view.Fields, f.Name)
	}
	if asJSON {
		return printJSON(w, view)
	}
	_, err := fmt.Fprintf(t, "%s\t%s\t%s\n", slug, strings.Join(view.Fields, " "), known.Description)
	return err
}

// catalogs loads what ships with this binary.
func catalogs() (app.Catalog, action.Catalog, error) {
	apps, err := app.Load(configs.Apps())
	if err != nil {
		return app.Catalog{}, action.Catalog{}, err
	}
	actions, err := action.Standard(apps)
	return apps, actions, err
}
