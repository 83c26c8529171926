package cli

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// rotatedView is what the API answers, and --json prints.
type rotatedView struct {
	WorkflowID  behalf.WorkflowID  `json:"workflow_id"`
	Name        string             `json:"name"`
	Environment behalf.Environment `json:"environment"`
	EndpointID  behalf.EndpointID  `json:"endpoint_id"`
	Token       string             `json:"trigger_token"` // in the clear: to show it once is what the command is for
}

func newRotateToken(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "rotate-token WORKFLOW --env ENVIRONMENT", Short: "Make a new token for a trigger with auth: token", Args: cobra.ExactArgs(1),
		Long: "Rotate-token makes a new token and prints it, this once; only its hash is kept. The old one is refused from then on, by\n" +
			"every ingress within 5 seconds. The other environment's token stays as it is.",
		Example: "  behalf endpoints rotate-token notify --env production",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			if flags.env == "" {
				return hinted{fault.New(fault.Invalid, "cli.rotateToken", "say which environment"), "behalf endpoints rotate-token " + args[0] + " --env production"}
			}
			found, err := r.workflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var rotated rotatedView
			path := "/v1/endpoints/" + url.PathEscape(string(found.EndpointID)) + "/token"
			if err := r.call(cmd.Context(), http.MethodPost, path, nil, &rotated); err != nil {
				return err
			}
			return printRotated(w, rotated, flags.json)
		},
	}
	flags.add(cmd, w)
	return cmd
}

func printRotated(w world, v rotatedView, asJSON bool) error {
	if asJSON {
		return printJSON(w, v)
	}
	w.printf("%s in %s\n  token (shown this once): %s\n", v.Name, v.Environment, v.Token)
	return nil
}
