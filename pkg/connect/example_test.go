package connect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
)

func Example() {
	vendor := oauthtest.Start(oauthtest.Config{})
	defer vendor.Close()
	id, word := vendor.Client()
	store := newMemory()
	pages := connect.New(connect.Config{URL: "https://behalf.example.com"}, connect.Deps{
		Environments: map[behalf.Environment]connect.Env{behalf.Production: store.env(), behalf.Development: newMemory().env()},
		Apps:         catalogue{oauthtest.Slug: vendor.App()},
		Clients:      &clients{shipped: oauth.Registration{ID: id, Secret: word}},
		HTTP:         vendor.HTTP(), // of pkg/egress, where it is no test
		Log:          zerolog.Nop(),
	})
	defer pages.Wait()

	// A backend makes a token for its user, and hands over a link with it.
	token := auth.NewConnectToken()
	_, err := store.PutConnectToken(context.Background(), behalf.ConnectToken{
		Hash: auth.Hash(token), Project: "proj_acme", User: "abc-123", ExpiresAt: time.Now().Add(time.Hour),
	}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	pages.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/_static/connect.html?connectLink=true&app=vendor&token="+token.Reveal(), http.NoBody))
	fmt.Println(answer.Code, strings.Contains(answer.Body.String(), "Continue to Vendor"))

	stranger := httptest.NewRecorder()
	pages.ServeHTTP(stranger, httptest.NewRequest(http.MethodGet, "/_static/connect.html?connectLink=true&app=vendor&token=ctok_guess", http.NoBody))
	fmt.Println(stranger.Code, strings.Contains(stranger.Body.String(), "This link has expired"))
	// Output:
	// 200 true
	// 404 true
}
