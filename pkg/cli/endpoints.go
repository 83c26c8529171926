package cli

import (
	"context"
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
	cmd.AddCommand(newEndpointsList(w), newEndpointsURL(w), newRotateToken(w))
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
			found, err := r.workflow(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			w.printf("%s\n", found.PathURL)
			return nil
		},
	}
	flags.add(cmd, w)
	return cmd
}

// narrow has a query ask for one workflow alone, where one is named. Errors as workflow.
func (r *remote) narrow(ctx context.Context, query url.Values, called string) error {
	if called == "" {
		return nil
	}
	found, err := r.workflow(ctx, called)
	if err != nil {
		return err
	}
	query.Set("workflow", string(found.WorkflowID))
	return nil
}

// workflow finds one of the environment's workflows by its id, its folder's name or its name, in this order. Errors:
// NotFound; Invalid where several are called so.
func (r *remote) workflow(ctx context.Context, called string) (endpointView, error) {
	var byID, byFolder, byName []endpointView
	err := r.all(ctx, "/v1/workflows", url.Values{}, 0, func(raw json.RawMessage) error {
		v, err := decoded[endpointView](raw)
		switch called {
		case string(v.WorkflowID), string(v.EndpointID):
			byID = append(byID, v)
		case v.Folder:
			byFolder = append(byFolder, v)
		case v.Name:
			byName = append(byName, v)
		}
		return err
	})
	if err != nil {
		return endpointView{}, err
	}
	for _, found := range [][]endpointView{byID, byFolder, byName} {
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return endpointView{}, hinted{
				fault.Newf(fault.Invalid, "cli.workflow", "%d workflows are called %s here", len(found), called),
				"say which by its id, as `behalf endpoints list --json` shows it",
			}
		}
	}
	return endpointView{}, hinted{fault.Newf(fault.NotFound, "cli.workflow", "no workflow is called %s here", called), "behalf endpoints list"}
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
