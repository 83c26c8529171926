package auth_test

import (
	"context"
	"fmt"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func ExampleVerifier_Verify() {
	ctx, copies := context.Background(), newBook() // a watched copy, in truth
	copies.put(aClient())
	signer, err := auth.OpenSigner(ctx, auth.Config{}, &safe{}, copies)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier := auth.NewVerifier(auth.Config{}, serving(behalf.Production, copies))

	token, err := signer.Sign(identityOf(aClient()))
	if err != nil {
		fmt.Println(err)
		return
	}
	identity, err := verifier.Verify(ctx, token.Text)
	fmt.Println(token.Text, identity.Client, identity.Scopes, err)

	revoked := aClient()
	revoked.Revoked = true
	copies.put(revoked)
	_, err = verifier.Verify(ctx, token.Text)
	fmt.Println(fault.KindOf(err), "-", fault.Safe(err))
	// Output:
	// *** oac_abc [connect invoke manage] <nil>
	// unauthenticated - send Authorization: Bearer with a valid token
}

func ExampleMatches() {
	made := auth.NewSecret() // shown once
	stored := auth.Hash(made)
	fmt.Println(made, auth.Matches(made, stored), auth.Matches(auth.NewSecret(), stored))
	// Output: *** true false
}
