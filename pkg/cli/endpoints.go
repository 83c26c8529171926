package cli

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// endpointView is a workflow as the API lists it.
type endpointView struct {
	api.Deployed
	Folder string `json:"folder"`
}

func newEndpoints(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "endpoints", Short: "The URLs at which workflows answer", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newEndpointsList(w), newEndpointsURL(w))
	return cmd
}

func newEndpointsList(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the endpoints of the project's workflows", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			t := table(w)
			err = r.all(cmd.Context(), "/v1/workflows", url.Values{}, 0, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				v, err := decoded[endpointView](raw)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Folder, v.EndpointID, v.Environment, v.PathURL)
				return err
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newEndpointsURL(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "url WORKFLOW", Short: "Print the URL of one workflow, for a curl line", Args: cobra.ExactArgs(1),
		Example: `  curl "$(behalf endpoints url notify)" …`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			found := ""
			err = r.all(cmd.Context(), "/v1/workflows", url.Values{}, 0, func(raw json.RawMessage) error {
				v, err := decoded[endpointView](raw)
				if v.Folder == args[0] || string(v.WorkflowID) == args[0] || v.Name == args[0] {
					found = v.PathURL
				}
				return err
			})
			if err != nil {
				return err
			}
			if found == "" {
				return hinted{fault.Newf(fault.NotFound, "cli.endpoints", "no workflow is called %s here", args[0]), "behalf endpoints list"}
			}
			w.printf("%s\n", found)
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newToken(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "token", Short: "Print an access token of the client, good for an hour", Args: cobra.NoArgs,
		Long:    "Token prints an access token for the client of BEHALF_CLIENT_ID, or of dev.json. It is for trying things by hand.",
		Example: `  curl -H "Authorization: Bearer $(behalf token)" …`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			if err := r.authenticate(cmd.Context()); err != nil {
				return err
			}
			w.printf("%s\n", r.token.Reveal())
			return nil
		},
	}
	return cmd
}
