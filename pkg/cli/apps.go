package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// addApps adds the flag of a team's own apps.
func addApps(cmd *cobra.Command, w world, dir *string) {
	cmd.Flags().StringVar(dir, "apps", w.env("BEHALF_APPS_DIR", ""), "folder of your own apps, one .yaml file each, besides those that ship with Behalf; api and workers must have the same")
}

// loadApps reads the apps that ship with this binary and, where a folder is named, a team's own. Errors: Invalid, with
// every mistake.
func loadApps(dir string) (app.Catalog, error) {
	if dir == "" {
		return app.Load(configs.Apps())
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return app.Catalog{}, hinted{fault.Newf(fault.Invalid, "cli.apps", "there is no folder %s", dir), "--apps or BEHALF_APPS_DIR names the folder of your own apps"}
	}
	apps, err := app.Load(configs.Apps(), os.DirFS(dir))
	return apps, placed(dir, err)
}

// placed puts the folder before the names of the files that have mistakes.
func placed(dir string, err error) error {
	mistakes, ok := errors.AsType[strict.Mistakes](err)
	if !ok {
		return err
	}
	for i := range mistakes {
		mistakes[i].File = filepath.Join(dir, mistakes[i].File)
	}
	return mistakes
}

func newApps(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "apps", Short: "Apps of which accounts can be connected", Args: cobra.NoArgs,
		Long: "Apps are the services that workflows use on behalf of users. A team adds its own by one .yaml file each, in the folder\n" +
			"of --apps or BEHALF_APPS_DIR, which `behalf dev`, `worker` and `api` read at their start.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAppsList(w), newAppsShow(w), newAppsValidate(w))
	return cmd
}

// shownApp is an app as --json prints it: as the API shows it, and its slug under the name that files use.
type shownApp struct {
	App string `json:"app"`
	api.AppView
}

func newAppsList(w world) *cobra.Command {
	var f catalogFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the apps, and the fields of $auth that a step sees", Args: cobra.NoArgs,
		Long: "List shows the apps of the running Behalf, or, where none is known here, those that ship with this binary.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := table(w)
			defer func() { _ = t.Flush() }()
			return f.apps(cmd, w, func(v api.AppView) error {
				if f.remote.json {
					return printJSON(w, shownApp{string(v.Slug), v})
				}
				_, err := fmt.Fprintf(t, "%s\t%s\t%s\n", v.Slug, strings.Join(v.AuthFields, " "), v.Description)
				return err
			})
		},
	}
	f.add(cmd, w)
	return cmd
}

func newAppsShow(w world) *cobra.Command {
	var f catalogFlags
	cmd := &cobra.Command{
		Use: "show APP", Short: "Show an app: how it authenticates, and what a step sees", Args: cobra.ExactArgs(1),
		Example: "  behalf apps show slack",
		RunE: func(cmd *cobra.Command, args []string) error {
			var found *api.AppView
			err := f.apps(cmd, w, func(v api.AppView) error {
				if string(v.Slug) == args[0] {
					found = &v
				}
				return nil
			})
			switch {
			case err != nil:
				return err
			case found == nil:
				return hinted{fault.Newf(fault.NotFound, "cli.apps", "there is no app %.80q", args[0]), "`behalf apps list` shows them all"}
			case f.remote.json:
				return printJSON(w, shownApp{args[0], *found})
			}
			return printApp(w, *found)
		},
	}
	f.add(cmd, w)
	return cmd
}

func printApp(w world, v api.AppView) error {
	w.printf("%s: %s\n%s\n\n", v.Slug, v.Name, v.Description)
	for _, line := range [][2]string{{"auth", v.AuthType}, {"base URL", v.BaseURL}, {"hosts", strings.Join(v.Hosts, " ")}, {"docs", v.Docs}} {
		if line[1] != "" {
			w.printf("%-10s %s\n", line[0], line[1])
		}
	}
	w.printf("\nfields of $auth\n")
	t := table(w)
	for _, f := range v.Fields {
		kind := "public"
		if f.Secret {
			kind = "secret"
		}
		if f.Optional {
			kind += ", optional"
		}
		if _, err := fmt.Fprintf(t, "  %s\t%s\t%s\n", f.Name, kind, f.Description); err != nil {
			return err
		}
	}
	return t.Flush()
}

func newAppsValidate(w world) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "validate FILE|DIR", Short: "Check the file of an app, or every one of a folder", Args: cobra.ExactArgs(1),
		Long: "Validate tells every mistake at once, each with its line and what to write, and ends with 2 where there is one. With\n" +
			"--json it prints the apps, or the mistakes, one object a line. It needs no running Behalf.",
		Example: "  behalf apps validate ./apps\n  behalf apps validate ./apps/acme.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			files, dir, err := appFiles(args[0])
			if err != nil {
				return err
			}
			apps, err := app.Load(configs.Apps(), files)
			if err = placed(dir, err); err != nil {
				return mistaken(w, err, asJSON)
			}
			return printValid(w, apps, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object a line")
	return cmd
}

// appFiles opens a folder, or a folder in which one file is all there is.
func appFiles(path string) (files fs.FS, dir string, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, "", fault.Newf(fault.Invalid, "cli.apps", "there is no file or folder %s", path)
	case info.IsDir():
		return os.DirFS(path), path, nil
	case filepath.Ext(path) != ".yaml":
		return nil, "", hinted{fault.Newf(fault.Invalid, "cli.apps", "%s is no file of an app: its name does not end in .yaml", path), "name it after the app's slug: acme.yaml"}
	}
	dir = filepath.Dir(path)
	return oneFile{os.DirFS(dir), filepath.Base(path)}, dir, nil
}

// oneFile is a folder that has one of its files, and no other.
type oneFile struct {
	fs.FS
	name string
}

// ReadDir lists the one file.
func (o oneFile) ReadDir(dir string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(o.FS, o.name)
	if err != nil || dir != "." {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

// mistakeView is a mistake of a file, for editors and pipelines.
type mistakeView struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	What string `json:"what"`
	Hint string `json:"hint,omitempty"`
}

func mistaken(w world, err error, asJSON bool) error {
	mistakes, ok := errors.AsType[strict.Mistakes](err)
	if !ok || !asJSON {
		return err
	}
	for _, m := range mistakes {
		if err := printJSON(w, mistakeView{m.File, m.Line, m.What, m.Hint}); err != nil {
			return err
		}
	}
	return fault.Newf(fault.Invalid, "cli.apps", "%d mistakes", len(mistakes))
}

func printValid(w world, apps app.Catalog, asJSON bool) error {
	found := 0
	for _, v := range (catalogView{apps: apps}).Apps() {
		if !v.Own {
			continue
		}
		found++
		if asJSON {
			if err := printJSON(w, shownApp{string(v.Slug), v}); err != nil {
				return err
			}
			continue
		}
		w.printf("%s: %s, %s, fields %s\n", v.Slug, v.Name, v.AuthType, strings.Join(v.AuthFields, " "))
	}
	if found == 0 {
		return hinted{fault.New(fault.Invalid, "cli.apps", "there is no .yaml file there"), "an app is a file such as acme.yaml; `behalf apps show slack` shows what one says"}
	}
	return nil
}

// catalogFlags say whose catalogue a command shows.
type catalogFlags struct {
	remote remoteFlags
	dir    string
	local  func() bool
}

func (f *catalogFlags) add(cmd *cobra.Command, w world) {
	f.remote.add(cmd, w)
	cmd.Flags().StringVar(&f.dir, "apps", w.env("BEHALF_APPS_DIR", ""), "show what ships with this binary and the apps of this folder, whatever runs")
	f.local = func() bool { return cmd.Flags().Changed("apps") }
}

// server opens the running Behalf. Nil where none is known here, or a folder of apps is asked for.
func (f *catalogFlags) server(w world) (*remote, error) {
	if f.local() {
		return nil, nil
	}
	r, err := f.remote.open(w)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return r, err
}

// here is what ships with this binary, and the team's own apps of the folder.
func (f *catalogFlags) here() (catalogView, error) {
	apps, err := loadApps(f.dir)
	if err != nil {
		return catalogView{}, err
	}
	return newCatalogView(apps)
}

func (f *catalogFlags) apps(cmd *cobra.Command, w world, each func(api.AppView) error) error {
	return shown(cmd.Context(), w, f, "/v1/apps", each, catalogView.Apps)
}

func (f *catalogFlags) actions(cmd *cobra.Command, w world, each func(api.ActionView) error) error {
	return shown(cmd.Context(), w, f, "/v1/actions", each, catalogView.Actions)
}

// shown hands over the entries of the running Behalf's catalogue, else of ours. One that does not answer is told on
// stderr, and ours is shown.
func shown[T any](ctx context.Context, w world, f *catalogFlags, path string, each func(T) error, ours func(catalogView) []T) error {
	r, err := f.server(w)
	if err != nil {
		return err
	}
	if r != nil {
		err := r.all(ctx, path, url.Values{"limit": {"100"}}, 0, func(raw json.RawMessage) error {
			v, err := decoded[T](raw)
			if err != nil {
				return err
			}
			return each(v)
		})
		if !fault.Is(err, fault.Unavailable) {
			return err
		}
		_, _ = fmt.Fprintf(w.stderr, "behalf: %s; this is what ships with the command\n", fault.Safe(err))
	}
	view, err := f.here()
	if err != nil {
		return err
	}
	for _, v := range ours(view) {
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}
