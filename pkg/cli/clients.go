package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

const clientsPath = "/v1/clients"

func newClients(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "clients", Short: "OAuth clients of your backends: make, list, rotate and revoke them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClientsCreate(w), newClientsList(w), newClientsShow(w), newClientsRotate(w), newClientsRevoke(w))
	return cmd
}

// clientLine is what the API tells of a client. The secret is there where it was just made.
type clientLine struct {
	ID           behalf.ClientID      `json:"id"`
	Name         string               `json:"name"`
	Scopes       []behalf.Scope       `json:"scopes"`
	Environments []behalf.Environment `json:"environments"`
	Revoked      bool                 `json:"revoked"`
	Secret       string               `json:"client_secret"` // in the clear: to show it once is what the command is for
}

func (l clientLine) String() string {
	may := strings.Trim(fmt.Sprint(l.Scopes), "[]")
	if l.Revoked {
		may = "revoked"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", l.ID, l.Name, may, strings.Trim(fmt.Sprint(l.Environments), "[]"))
}

func newClientsCreate(w world) *cobra.Command {
	var flags remoteFlags
	var name string
	var scopes, environments []string
	cmd := &cobra.Command{
		Use: "create --name NAME", Short: "Make an OAuth client for a backend, and show its secret once", Args: cobra.NoArgs,
		Long: "Create makes a client that may invoke workflows and connect accounts in one environment; --scopes and --environments\n" +
			"say otherwise. Its secret is printed, this once; only its hash is kept. Nobody can give what they lack themselves.",
		Example: "  behalf clients create --name backend --environments development,production\n" +
			"  behalf clients create --name deployer --scopes manage --env production",
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]any{"name": name}
			if len(scopes) > 0 {
				body["scopes"] = scopes
			}
			if len(environments) > 0 {
				body["environments"] = environments
			}
			return printClient(cmd, w, flags, clientsPath, body)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&name, "name", "", "what you call it")
	cmd.Flags().StringSliceVar(&scopes, "scopes", nil, "of invoke, connect and manage, with commas between (default: invoke,connect)")
	cmd.Flags().StringSliceVar(&environments, "environments", nil, "where it may act, with commas between (default: the one of --env)")
	return cmd
}

func newClientsRotate(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Give a client a new secret, and show it once", Args: cobra.ExactArgs(1),
		Long:    "Rotate makes a new secret. The old one, and every token that it got, is refused within 5 seconds.",
		Example: "  behalf clients rotate oac_…",
		RunE: func(cmd *cobra.Command, args []string) error {
			return printClient(cmd, w, flags, clientsPath+"/"+url.PathEscape(args[0])+"/secret", nil)
		},
	}
	flags.add(cmd, w)
	return cmd
}

// printClient asks for a client with a secret, and shows both.
func printClient(cmd *cobra.Command, w world, flags remoteFlags, path string, body any) error {
	r, err := flags.open(w)
	if err != nil {
		return err
	}
	var made json.RawMessage
	if err := r.call(cmd.Context(), http.MethodPost, path, body, &made); err != nil {
		return err
	}
	if flags.json {
		return printJSON(w, made)
	}
	line, err := decoded[clientLine](made)
	if err != nil {
		return err
	}
	w.printf("%s\n  secret (shown this once): %s\n", line, line.Secret)
	return nil
}

func newClientsList(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the clients that may act in an environment, also the revoked ones", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			t := table(w)
			err = r.all(cmd.Context(), clientsPath, url.Values{}, 0, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				line, err := decoded[clientLine](raw)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(t, line)
				return err
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newClientsShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a client, never its secret", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showOne(cmd, w, flags, clientsPath+"/"+url.PathEscape(args[0]))
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newClientsRevoke(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End a client: its secret and its tokens are refused within 5 seconds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			return r.call(cmd.Context(), http.MethodDelete, clientsPath+"/"+url.PathEscape(args[0]), nil, nil)
		},
	}
	flags.add(cmd, w)
	return cmd
}
