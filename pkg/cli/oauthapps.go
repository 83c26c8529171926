package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const oauthAppsPath = "/v1/connect/oauth_apps"

func newOAuthApps(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "oauth-apps", Short: "Your own OAuth clients at services, under whose name your users consent", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newOAuthAppsCreate(w), newOAuthAppsList(w), newOAuthAppsShow(w), newOAuthAppsChange(w), newOAuthAppsDelete(w))
	return cmd
}

// oauthAppFlags are what an OAuth app is made of, or changed to.
type oauthAppFlags struct {
	remoteFlags

	name, clientID, secret string
	scopes                 []string
}

func (f *oauthAppFlags) addAll(cmd *cobra.Command, w world) {
	f.add(cmd, w)
	cmd.Flags().StringVar(&f.clientID, "client-id", "", "what the service calls your client")
	cmd.Flags().StringVar(&f.secret, "secret", "", "- reads the client's secret from standard input")
	cmd.Flags().StringVar(&f.name, "name", "", "what you call it")
	cmd.Flags().StringSliceVar(&f.scopes, "scopes", nil, "what users are asked for, with commas between (default: those of the app)")
}

// body is a request of what was given.
func (f *oauthAppFlags) body(cmd *cobra.Command, w world) (map[string]any, error) {
	body := map[string]any{}
	for flag, field := range map[string]string{"client-id": "client_id", "name": "name"} {
		if cmd.Flags().Changed(flag) {
			body[field] = cmd.Flag(flag).Value.String()
		}
	}
	if cmd.Flags().Changed("scopes") {
		body["scopes"] = f.scopes
	}
	switch f.secret {
	case "":
		return body, nil
	case "-":
		word, err := io.ReadAll(io.LimitReader(w.stdin, 16<<10))
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "cli.oauthApps", err)
		}
		if body["client_secret"] = strings.TrimSpace(string(word)); body["client_secret"] == "" {
			return nil, hinted{fault.New(fault.Invalid, "cli.oauthApps", "standard input is empty"), "printf %s \"$SECRET\" | behalf oauth-apps … --secret -"}
		}
		return body, nil
	}
	return nil, hinted{fault.New(fault.Invalid, "cli.oauthApps", "a secret never comes by argument"), "pass --secret - and write it to standard input"}
}

func newOAuthAppsCreate(w world) *cobra.Command {
	var flags oauthAppFlags
	cmd := &cobra.Command{
		Use: "create APP --client-id ID --secret -", Short: "Keep your own OAuth client at a service",
		Long: "Create keeps the client that you registered at a service, in one environment: its secret with the credentials. From then\n" +
			"on users consent under its name. Register the redirect URI that is printed at the service.",
		Example: "  printf %s \"$SECRET\" | behalf oauth-apps create slack --client-id 123.456 --secret - --env production",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := flags.body(cmd, w)
			if err != nil {
				return err
			}
			body["app"] = args[0]
			return flags.send(cmd, w, http.MethodPost, oauthAppsPath, body)
		},
	}
	flags.addAll(cmd, w)
	return cmd
}

func newOAuthAppsChange(w world) *cobra.Command {
	var flags oauthAppFlags
	cmd := &cobra.Command{
		Use: "change ID [--client-id ID] [--secret -]", Short: "Change an OAuth client; what is not given stays", Args: cobra.ExactArgs(1),
		Example: "  printf %s \"$SECRET\" | behalf oauth-apps change oa_… --secret -",
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := flags.body(cmd, w)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return hinted{fault.New(fault.Invalid, "cli.oauthApps", "there is nothing to change"), "see `behalf oauth-apps change --help`"}
			}
			return flags.send(cmd, w, http.MethodPut, oauthAppsPath+"/"+url.PathEscape(args[0]), body)
		},
	}
	flags.addAll(cmd, w)
	return cmd
}

// oauthAppLine is what is printed of an OAuth app for people.
type oauthAppLine struct {
	ID       behalf.OAuthAppID `json:"id"`
	App      behalf.AppSlug    `json:"app"`
	ClientID string            `json:"client_id"`
	Name     string            `json:"name"`
	Redirect string            `json:"redirect_uri"`
}

func (f *oauthAppFlags) send(cmd *cobra.Command, w world, method, path string, body map[string]any) error {
	r, err := f.open(w)
	if err != nil {
		return err
	}
	var made json.RawMessage
	if err := r.call(cmd.Context(), method, path, body, &made); err != nil {
		return err
	}
	if f.json {
		return printJSON(w, made)
	}
	line, err := decoded[oauthAppLine](made)
	if err != nil {
		return err
	}
	w.printf("%s\t%s\t%s\nredirect URI to register: %s\n", line.ID, line.App, line.ClientID, line.Redirect)
	return nil
}

func newOAuthAppsList(w world) *cobra.Command {
	var flags remoteFlags
	var app string
	cmd := &cobra.Command{
		Use: "list", Short: "List your own OAuth clients, never with their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			query := url.Values{}
			if app != "" {
				query.Set("app", app)
			}
			t := table(w)
			err = r.all(cmd.Context(), oauthAppsPath, query, 0, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				line, err := decoded[oauthAppLine](raw)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", line.ID, line.App, line.ClientID, line.Name)
				return err
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&app, "app", "", "only those of this app")
	return cmd
}

func newOAuthAppsShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show an OAuth client, never its secret", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showOne(cmd, w, flags, oauthAppsPath+"/"+url.PathEscape(args[0]))
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newOAuthAppsDelete(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "delete ID", Short: "Delete an OAuth client and its secret",
		Long: "Delete removes the client and its secret. Accounts that were connected with it can no longer be refreshed, and have to be\nconnected again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			return r.call(cmd.Context(), http.MethodDelete, oauthAppsPath+"/"+url.PathEscape(args[0]), nil, nil)
		},
	}
	flags.add(cmd, w)
	return cmd
}
