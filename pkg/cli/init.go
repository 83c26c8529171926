package cli

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/deploy"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// schemaFile lies beside workflow.yaml, so that editors complete the format of this very release without a network.
// Deploys leave it alone.
const schemaFile = "workflow.schema.json"

const schemaComment = "# yaml-language-server: $schema=./" + schemaFile + "\n"

func newInit(w world) *cobra.Command {
	var template string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "init [DIR]", Short: "Make a first workflow, which deploys as it is",
		Long: "Init writes a workflow into DIR, whose name identifies the workflow in its project; without DIR into a folder called\n" +
			"like the template. The templates are hello, which anyone may call, notify, which calls an app by code on behalf of a\n" +
			"user, and actions, which does so without code. Nothing that is there is overwritten.",
		Example: "  behalf init\n  behalf init ./workflows/notify --template notify",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := template
			if len(args) > 0 {
				dir = args[0]
			}
			made, err := initialize(w, dir, template)
			if err != nil {
				return err
			}
			return made.print(w, asJSON)
		},
	}
	cmd.Flags().StringVar(&template, "template", "hello", "what to begin with: hello, notify or actions")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one object")
	return cmd
}

// initialized is what was made, as --json prints it.
type initialized struct {
	Folder   string   `json:"folder"`
	Workflow string   `json:"workflow"`
	Template string   `json:"template"`
	Files    []string `json:"files"`
	Next     string   `json:"next"`
}

func (v initialized) print(w world, asJSON bool) error {
	if asJSON {
		return printJSON(w, v)
	}
	w.printf("made %s: %s\nnext: %s\n", v.Folder, strings.Join(v.Files, ", "), v.Next)
	return nil
}

// initialize writes a template into a folder. Errors: Invalid, where a file is there already, or the folder's name can
// name no workflow; then nothing is written.
func initialize(w world, dir, template string) (initialized, error) {
	files, err := templateFiles(template)
	if err != nil {
		return initialized{}, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return initialized{}, fault.Wrap(fault.Invalid, "cli.init", err)
	}
	name := filepath.Base(absolute)
	if err := deployable(name, files); err != nil {
		return initialized{}, err
	}
	files[schemaFile] = configs.WorkflowSchema()
	if err := writeNew(dir, files); err != nil {
		return initialized{}, err
	}
	next := "behalf dev " + dir
	if _, err := (remoteFlags{}).open(w); err == nil {
		next = "behalf deploy " + dir + " --env development"
	}
	return initialized{Folder: dir, Workflow: name, Template: template, Files: slices.Sorted(maps.Keys(files)), Next: next}, nil
}

func templateFiles(template string) (map[string][]byte, error) {
	const hint = "behalf init --template hello, notify or actions"
	folder, err := fs.Sub(configs.Examples(), template)
	if err != nil {
		return nil, hinted{fault.Newf(fault.Invalid, "cli.init", "there is no template %.80q", template), hint}
	}
	files, err := deploy.ReadFolder(folder)
	if err != nil || files[deploy.File] == nil {
		return nil, hinted{fault.Newf(fault.Invalid, "cli.init", "there is no template %.80q", template), hint}
	}
	files[deploy.File] = append([]byte(schemaComment), files[deploy.File]...)
	return files, nil
}

// deployable reads the workflow as a deploy will, so that nothing is written that would be refused.
func deployable(name string, files map[string][]byte) error {
	apps, err := loadApps("")
	if err != nil {
		return err
	}
	load, err := loader(apps)
	if err != nil {
		return err
	}
	_, err = load("proj_new", name, files)
	return err
}

// writeNew writes files into a folder, which it makes. It writes none where one is there already.
func writeNew(dir string, files map[string][]byte) error {
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return hinted{fault.Newf(fault.Invalid, "cli.init", "%s is there already, and nothing was written", filepath.Join(dir, name)), "behalf init ANOTHER-FOLDER"}
		}
	}
	for _, name := range names {
		if err := writeExclusive(filepath.Join(dir, name), files[name]); err != nil {
			return fault.Newf(fault.Invalid, "cli.init", "cannot write %s", filepath.Join(dir, name)).Because(err)
		}
	}
	return nil
}

func writeExclusive(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // G301: source code, which the team reads
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // G302: the same
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
