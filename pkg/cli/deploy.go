package cli

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newDeploy(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "deploy [DIR] --env ENVIRONMENT", Short: "Deploy the workflows of a folder",
		Long: "Deploy makes the workflow in DIR, or each workflow in a folder below it, answer in an environment.\n" +
			"Every mistake of every workflow is told at once, with its line and what to write; those without any are deployed.",
		Example: "  behalf deploy ./notify --env development",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			if flags.env == "" {
				return hinted{fault.New(fault.Invalid, "cli.deploy", "say which environment"), "behalf deploy --env development"}
			}
			return deployAll(cmd.Context(), w, r, dirOf(args), flags.json)
		},
	}
	flags.add(cmd, w)
	return cmd
}

func dirOf(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "."
}

func deployAll(ctx context.Context, w world, r *remote, dir string, asJSON bool) error {
	bundles, err := bundlesOf(dir)
	if err != nil {
		return err
	}
	if len(bundles) == 0 {
		return hinted{fault.Newf(fault.Invalid, "cli.deploy", "there is no workflow.yaml in %s or in a folder below it", dir), "behalf deploy FOLDER --env development"}
	}
	var refused []error
	for _, b := range bundles {
		var out deployedView
		err := withAccountHint(r.call(ctx, http.MethodPost, "/v1/deploy", b, &out), r.env)
		switch {
		case fault.Is(err, fault.Invalid):
			refused = append(refused, err)
			continue
		case err != nil: // the next one would not fare better
			return together(append(refused, err))
		}
		if err := out.print(w, b.Folder, asJSON); err != nil {
			return err
		}
	}
	return together(refused)
}

// together makes one error of those of several workflows, of the last one's kind, with their hints.
func together(refused []error) error {
	switch len(refused) {
	case 0:
		return nil
	case 1:
		return refused[0]
	}
	lines := make([]string, 0, len(refused))
	for _, err := range refused {
		line := fault.Safe(err)
		if h, ok := errors.AsType[hinted](err); ok {
			line += "; hint: " + h.hint
		}
		lines = append(lines, line)
	}
	return fault.New(fault.KindOf(refused[len(refused)-1]), "cli.deploy", strings.Join(lines, "\n"))
}

// withAccountHint says what to do about an own account, or an environment variable, that is not there.
func withAccountHint(err error, env behalf.Environment) error {
	switch fault.CodeOf(err) {
	case string(behalf.CodeAccountRequired):
		return hinted{err, "behalf accounts create --app APP --name NAME --env " + string(env) + " --credential -"}
	case api.CodeVariableRequired:
		return hinted{err, "behalf env set NAME --env " + string(env)}
	}
	return err
}

// deployedView is a workflow as the API answers when it is deployed, promoted or rolled back.
type deployedView struct {
	api.Deployed
	TriggerToken string `json:"trigger_token,omitempty"`
}

func (v deployedView) print(w world, folder string, asJSON bool) error {
	if asJSON {
		return printJSON(w, v)
	}
	w.printf("%s  %s  %s in %s\n  %s\n", folder, v.Version, v.Name, v.Environment, v.PathURL)
	if v.TriggerToken != "" {
		w.printf("  token (shown this once): %s\n", v.TriggerToken)
	}
	return nil
}

// bundlesOf reads every workflow of a folder: itself where it is one, else its folders that are.
func bundlesOf(dir string) ([]api.Bundle, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "cli.deploy", err)
	}
	if _, err := os.Stat(absolute); err != nil {
		return nil, fault.Newf(fault.Invalid, "cli.deploy", "there is no folder %s", dir)
	}
	return bundlesIn(os.DirFS(absolute), filepath.Base(absolute))
}

func bundlesIn(root fs.FS, name string) ([]api.Bundle, error) {
	folders, err := deploy.Folders(root)
	if err != nil {
		return nil, err
	}
	var bundles []api.Bundle
	for _, folder := range folders {
		sub, err := fs.Sub(root, folder)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "cli.deploy", err)
		}
		files, err := deploy.ReadFolder(sub)
		if err != nil {
			return nil, err
		}
		b := api.Bundle{Folder: filepath.Base(folder), Files: map[string]string{}}
		if folder == "." {
			b.Folder = name
		}
		for file, text := range files {
			if !utf8.Valid(text) { // JSON would change it on its way
				return nil, hinted{fault.Newf(fault.Invalid, "cli.deploy", "%s is not UTF-8", path.Join(b.Folder, file)), "save it as UTF-8"}
			}
			b.Files[file] = string(text)
		}
		bundles = append(bundles, b)
	}
	return bundles, nil
}
