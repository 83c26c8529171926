package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newAccounts(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "accounts", Short: "Accounts of users, and the project's own", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAccountsConnect(w), newAccountsCreate(w), newAccountsImport(w), newAccountsList(w), newAccountsShow(w), newAccountsDelete(w))
	return cmd
}

func newAccountsCreate(w world) *cobra.Command {
	var flags remoteFlags
	var app, user, name, credential string
	cmd := &cobra.Command{
		Use: "create --app SLUG (--user ID | --name NAME) --credential -", Short: "Keep the credential of an account",
		Long: "Create reads a credential as JSON from standard input, keeps it in the credential store and makes the account.\n" +
			"With --user it is that user's account; with --name and no user it is the project's own, own/NAME in workflow files.",
		Example: `  echo '{"oauth_access_token":"xoxp-…"}' | behalf accounts create --app slack --user abc-123 --env development --credential -`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if credential != "-" {
				return hinted{fault.New(fault.Invalid, "cli.accounts", "a credential never comes by argument"), "pass --credential - and write the JSON to standard input"}
			}
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			secretJSON, err := io.ReadAll(io.LimitReader(w.stdin, 1<<20))
			if err != nil || !json.Valid(secretJSON) {
				return hinted{fault.New(fault.Invalid, "cli.accounts", "standard input is not JSON"), `echo '{"oauth_access_token":"…"}' | behalf accounts create …`}
			}
			body := map[string]any{"app": app, "credential": json.RawMessage(secretJSON)}
			if user != "" {
				body["user"] = user
			} else {
				body["own"] = true
			}
			if name != "" {
				body["name"] = name
			}
			var made json.RawMessage
			if err := r.call(cmd.Context(), http.MethodPost, "/v1/accounts", body, &made); err != nil {
				return err
			}
			return printJSON(w, made)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&app, "app", "", "the app, such as slack")
	cmd.Flags().StringVar(&user, "user", "", "the external user's id in your system")
	cmd.Flags().StringVar(&name, "name", "", "the account's name; without --user it is the project's own account of this name")
	cmd.Flags().StringVar(&credential, "credential", "", "- reads the credential from standard input")
	return cmd
}

func newAccountsList(w world) *cobra.Command {
	var flags remoteFlags
	var app, user string
	cmd := &cobra.Command{
		Use: "list", Short: "List a user's accounts, or the project's own", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			query := url.Values{}
			if user != "" {
				query.Set("user", user)
			} else {
				query.Set("own", "true")
			}
			if app != "" {
				query.Set("app", app)
			}
			return printAccounts(cmd, w, r, query, flags.json)
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&user, "user", "", "the external user's id; without it the project's own accounts")
	cmd.Flags().StringVar(&app, "app", "", "only accounts of this app")
	return cmd
}

func printAccounts(cmd *cobra.Command, w world, r *remote, query url.Values, asJSON bool) error {
	t := table(w)
	err := r.all(cmd.Context(), "/v1/accounts", query, 0, func(raw json.RawMessage) error {
		if asJSON {
			return printJSON(w, raw)
		}
		a, err := decoded[behalf.Account](raw)
		if err != nil {
			return err
		}
		state := "healthy"
		if !a.Usable() {
			state = "must be connected again"
			if a.Reason != "" {
				state = string(a.State) + ": " + a.Reason
			}
		}
		owner := string(a.User)
		if a.Own() {
			owner = "own/" + a.Name
		}
		_, err = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.ID, a.App, owner, state, ago(a.CreatedAt))
		return err
	})
	_ = t.Flush()
	return err
}

func newAccountsShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show ACCOUNT", Short: "Show an account, never its credential", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showOne(cmd, w, flags, "/v1/accounts/"+url.PathEscape(args[0]))
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newAccountsDelete(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "delete ACCOUNT", Short: "Delete an account and its credential", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			return r.call(cmd.Context(), http.MethodDelete, "/v1/accounts/"+url.PathEscape(args[0]), nil, nil)
		},
	}
	flags.add(cmd, w)
	return cmd
}

// showOne prints one object as the API tells it: on one line for programs, indented for people.
func showOne(cmd *cobra.Command, w world, flags remoteFlags, path string) error {
	r, err := flags.open(w)
	if err != nil {
		return err
	}
	var thing json.RawMessage
	if err := r.call(cmd.Context(), http.MethodGet, path, nil, &thing); err != nil {
		return err
	}
	if flags.json {
		return printJSON(w, thing)
	}
	var decoded any
	if err := json.Unmarshal(thing, &decoded); err != nil {
		return fault.Wrap(fault.Internal, "cli.show", err)
	}
	pretty, err := json.MarshalIndent(decoded, "", "  ")
	if err != nil {
		return fault.Wrap(fault.Internal, "cli.show", err)
	}
	w.printf("%s\n", pretty)
	return nil
}
