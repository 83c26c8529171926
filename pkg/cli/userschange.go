package cli

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/fault"
)

func newUsersSet(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "set USER KEY=VALUE...", Short: "Store values beside a user, for the steps that run for them",
		Long: "Set stores values beside a user, which steps read as steps.trigger.context.external_user.config.KEY. The user is made where\n" +
			"there is none. Values are texts and not secret: credentials belong to accounts. All of them may have 64 KiB.",
		Example: "  behalf users set abc-123 channel=C0123 language=de --env production",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]any{}
			for _, pair := range args[1:] {
				key, value, ok := strings.Cut(pair, "=")
				if !ok || key == "" {
					return hinted{fault.Newf(fault.Invalid, "cli.users", "%q is not KEY=VALUE", pair), "behalf users set abc-123 channel=C0123"}
				}
				change[key] = value
			}
			return configureUser(cmd, w, flags, args[0], change)
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newUsersUnset(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "unset USER KEY...", Short: "Take out values that are stored beside a user", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]any{}
			for _, key := range args[1:] {
				change[key] = nil
			}
			return configureUser(cmd, w, flags, args[0], change)
		},
	}
	flags.add(cmd, w)
	return cmd
}

func configureUser(cmd *cobra.Command, w world, flags remoteFlags, user string, change map[string]any) error {
	r, err := flags.open(w)
	if err != nil {
		return err
	}
	var changed json.RawMessage
	if err := r.call(cmd.Context(), http.MethodPatch, "/v1/users/"+url.PathEscape(user), map[string]any{"config": change}, &changed); err != nil {
		return err
	}
	return printJSON(w, changed)
}

func newUsersDelete(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "delete USER", Short: "Delete a user with all accounts; what ran for them stays in the history", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			return r.call(cmd.Context(), http.MethodDelete, "/v1/connect/users/"+url.PathEscape(args[0]), nil, nil)
		},
	}
	flags.add(cmd, w)
	return cmd
}

func newUsersForget(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "forget USER", Short: "Take away all that is kept of a user, and print a receipt",
		Long: "Forget erases a user's accounts, credentials, config, runs and what they have stored. Nothing runs any more that was sent for\n" +
			"them until now. The receipt names the user by hash alone and says where traces may be that Behalf cannot reach. While a run\n" +
			"may still be under way it is not settled: run the same command again after the time that it tells.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			var receipt json.RawMessage
			if err := r.call(cmd.Context(), http.MethodPost, "/v1/users/forget", map[string]string{"user": args[0]}, &receipt); err != nil {
				return err
			}
			if err := printJSON(w, receipt); err != nil || flags.json {
				return err
			}
			return hintSettling(w, receipt)
		},
	}
	flags.add(cmd, w)
	return cmd
}

// hintSettling tells people when to do it again. Programs read it in the receipt.
func hintSettling(w world, receipt json.RawMessage) error {
	told, err := decoded[struct {
		Settled   bool      `json:"settled"`
		SettlesAt time.Time `json:"settles_at"`
	}](receipt)
	if err == nil && !told.Settled {
		_, err = w.stderr.Write([]byte("hint: a run that had begun may still leave something: run this again after " + ago(told.SettlesAt) + "\n"))
	}
	return err
}
