package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/fault"
)

func newRollback(w world) *cobra.Command {
	var flags remoteFlags
	var version string
	cmd := &cobra.Command{
		Use: "rollback WORKFLOW --env ENVIRONMENT", Short: "Make an earlier version of a workflow serve again", Args: cobra.ExactArgs(1),
		Long: "Rollback makes a version that has served in an environment serve there again: the one before the active one, or that\n" +
			"of --version. A second rollback goes further back. Runs that have begun end with the version that they began with.",
		Example: "  behalf rollback notify --env production",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			if flags.env == "" {
				return hinted{fault.New(fault.Invalid, "cli.rollback", "say which environment"), "behalf rollback " + args[0] + " --env production"}
			}
			found, err := r.workflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var out deployedView
			err = r.call(cmd.Context(), http.MethodPost, "/v1/workflows/"+url.PathEscape(string(found.WorkflowID))+"/rollback", versionRequest{version}, &out)
			if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
				return hinted{err, "`behalf endpoints list --env " + flags.env + " --json` shows the versions that have served"}
			}
			if err != nil {
				return err
			}
			return out.print(w, found.Folder, flags.json)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&version, "version", "", "the version, d_… (default: the one before the active one)")
	return cmd
}
