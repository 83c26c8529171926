package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

func newUsers(w world) *cobra.Command {
	cmd := &cobra.Command{
		Use: "users", Short: "External users", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUsersList(w), newUsersShow(w), newUsersSet(w), newUsersUnset(w), newUsersDelete(w), newUsersForget(w))
	return cmd
}

func newUsersList(w world) *cobra.Command {
	var flags remoteFlags
	var limit int
	var search string
	cmd := &cobra.Command{
		Use: "list", Short: "List the external users of the project", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			query := url.Values{}
			if search != "" {
				query.Set("q", search)
			}
			t := table(w)
			err = r.all(cmd.Context(), "/v1/users", query, limit, func(raw json.RawMessage) error {
				if flags.json {
					return printJSON(w, raw)
				}
				u, err := decoded[struct {
					ID        behalf.UserRecordID   `json:"id"`
					User      behalf.ExternalUserID `json:"user"`
					CreatedAt time.Time             `json:"created_at"`
				}](raw)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(t, "%s\t%s\t%s\n", u.User, u.ID, ago(u.CreatedAt))
				return err
			})
			_ = t.Flush()
			return err
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&search, "search", "", "only users whose id holds this text")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many (default: all)")
	return cmd
}

func newUsersShow(w world) *cobra.Command {
	var flags remoteFlags
	cmd := &cobra.Command{
		Use: "show USER", Short: "Show an external user", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return showOne(cmd, w, flags, "/v1/users/"+url.PathEscape(args[0]))
		},
	}
	flags.add(cmd, w)
	return cmd
}
