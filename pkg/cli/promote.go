package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// versionRequest is what the API wants to know of a promotion or a rollback.
type versionRequest struct {
	Version string `json:"version,omitempty"`
}

func newPromote(w world) *cobra.Command {
	var flags remoteFlags
	var version string
	cmd := &cobra.Command{
		Use: "promote WORKFLOW", Short: "Make the version that serves development serve production", Args: cobra.ExactArgs(1),
		Long: "Promote makes the very version of a workflow that serves development serve production too; no file is read again.\n" +
			"Nothing else of development reaches production: the project's own accounts that its steps name must exist there.",
		Example: "  behalf promote notify",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			r.env = behalf.Development
			found, err := r.workflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r.env = behalf.Production
			var out deployedView
			err = r.call(cmd.Context(), http.MethodPost, "/v1/workflows/"+url.PathEscape(string(found.WorkflowID))+"/promote", versionRequest{version}, &out)
			if err := withAccountHint(err, r.env); err != nil {
				return err
			}
			return out.print(w, found.Folder, flags.json)
		},
	}
	cmd.Flags().BoolVar(&flags.json, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&version, "version", "", "another version that development knows, d_… (default: the one that serves it)")
	return cmd
}
