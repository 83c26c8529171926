package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func newAccountsConnect(w world) *cobra.Command {
	var flags remoteFlags
	var ask connecting
	cmd := &cobra.Command{
		Use: "connect APP --user ID", Short: "Have a user connect an account in a browser",
		Long: "Connect makes a link that is good once, for a few hours, prints it to standard error, opens it where there is a browser,\n" +
			"waits until the account is connected, and prints it. Whoever opens the link connects an account of their own to the user,\n" +
			"so send it to nobody else.",
		Example: "  behalf accounts connect practice --user abc-123 --env development",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.open(w)
			if err != nil {
				return err
			}
			ask.app = args[0]
			account, err := ask.run(cmd.Context(), w, r)
			if err != nil {
				return err
			}
			if flags.json {
				return printJSON(w, account)
			}
			a, err := decoded[behalf.Account](account)
			if err != nil {
				return err
			}
			w.printf("%s\t%s\t%s\t%s\n", a.ID, a.App, a.User, a.Name)
			return nil
		},
	}
	flags.add(cmd, w)
	cmd.Flags().StringVar(&ask.user, "user", "", "the external user's id in your system")
	cmd.Flags().StringVar(&ask.oauthApp, "oauth-app", "", "your own OAuth client at the service, by its id (default: your newest for the app)")
	cmd.Flags().StringVar(&ask.account, "account", "", "the account to be connected again, by its id (default: that of the same person, or a new one)")
	cmd.Flags().BoolVar(&ask.stay, "no-open", false, "open no browser")
	return cmd
}

// connecting is what a user is asked to connect.
type connecting struct {
	app, user, oauthApp, account string

	stay bool
}

// run makes the link, and waits until it was used. It gives the account as the API tells of it.
func (c connecting) run(ctx context.Context, w world, r *remote) (json.RawMessage, error) {
	body := map[string]any{"external_user_id": c.user, "app_id": c.app}
	if c.oauthApp != "" {
		body["oauth_app_id"] = c.oauthApp
	}
	var made struct {
		Token     string    `json:"token"`
		Link      string    `json:"connect_link_url"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := r.call(ctx, http.MethodPost, "/v1/connect/tokens", body, &made); err != nil {
		return nil, err
	}
	if c.account != "" {
		made.Link += "&accountId=" + url.QueryEscape(c.account)
	}
	_, _ = fmt.Fprintf(w.stderr, "Open this link to connect %s for %s:\n\n  %s\n\nWaiting…\n", c.app, c.user, made.Link)
	if !c.stay {
		openLink(w, made.Link)
	}
	id, err := c.wait(ctx, r, made.Token, usedFor)
	if err != nil {
		return nil, err
	}
	var account json.RawMessage
	return account, r.call(ctx, http.MethodGet, "/v1/accounts/"+string(id), nil, &account)
}

// askEvery is how often it is asked whether the account is connected.
const askEvery = time.Second

// usedFor is how long a link that is no longer good is believed to be connecting an account: longer than a service and the
// stores may take. After that it was used up by tries that failed.
const usedFor = time.Minute

// wait asks until the account is there. Errors: Timeout, where the link has ended; Conflict, where it was used up in vain.
func (c connecting) wait(ctx context.Context, r *remote, token string, usedFor time.Duration) (behalf.AccountID, error) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var good time.Time // when it was last seen to be
	for {
		var state struct {
			Success bool             `json:"success"`
			Account behalf.AccountID `json:"account_id"`
			Project behalf.ProjectID `json:"project_id"`
		}
		err := r.call(ctx, http.MethodGet, "/v1/connect/tokens/"+url.PathEscape(token)+"/validate?app_id="+url.QueryEscape(c.app), nil, &state)
		switch {
		case err != nil && !fault.Is(err, fault.Unavailable):
			return "", err
		case err != nil: // it may be back in a moment
		case state.Account != "":
			return state.Account, nil
		case state.Project == "":
			return "", fault.New(fault.Timeout, "cli.connect", "the link has expired, and nothing was connected")
		case state.Success || good.IsZero():
			good = time.Now()
		case time.Since(good) > usedFor:
			return "", fault.New(fault.Conflict, "cli.connect", "the link was used up by tries that failed, and nothing was connected: run this again")
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}
