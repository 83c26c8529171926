package oauth_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
)

func Example() {
	ctx := context.Background()
	vendor := oauthtest.Start(oauthtest.Config{})
	defer vendor.Close()
	id, word := vendor.Client()
	client, err := oauth.New(vendor.HTTP(), vendor.App(), oauth.Registration{ID: id, Secret: word, RedirectURL: "https://connect.example/callback"}, oauth.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}

	state, verifier := oauth.NewState(), oauth.NewVerifier() // kept for this browser until it comes back
	link, err := client.ConsentURL(state, verifier)
	if err != nil {
		fmt.Println(err)
		return
	}
	back, err := vendor.Consent(ctx, link, "jane") // what the user's browser does
	if err != nil {
		fmt.Println(err)
		return
	}
	code, err := client.Callback(back.Query(), state)
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := client.Exchange(ctx, code, verifier)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Access, token.Scopes, token.Fields["oauth_uid"].Reveal())

	fresh, err := client.Refresh(ctx, token.Refresh)
	fmt.Println(fresh.Refresh.Equal(token.Refresh), err)
	_, err = client.Refresh(ctx, token.Refresh) // spent
	e, _ := errors.AsType[oauth.Error](err)
	fmt.Println(e.Reason, e.Reason.Passes(), "-", fault.Safe(err))
	// Output:
	// *** [read write] jane
	// false <nil>
	// invalid_grant false - Vendor no longer accepts this consent: connect the account again
}
