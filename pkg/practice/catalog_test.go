package practice_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// What the catalogue says of the practice app is so: a user connects by it, the test request says whose token it is, and a
// spent refresh token ends everything.
func TestTheCatalogueSaysHowToConnect(t *testing.T) {
	t.Parallel()
	p := vendor(t, &clock{now: time.Now()})
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	entry := practiceAt(t, server.URL)
	client, err := oauth.New(server.Client(), entry, oauth.Registration{ID: "practice", Secret: secret.New(clientSecret), RedirectURL: redirect}, oauth.Config{})
	if err != nil {
		t.Fatal(err)
	}

	state, verifier := oauth.NewState(), oauth.NewVerifier()
	link, err := client.ConsentURL(state, verifier)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	id, cookie := visit(t, p, asked.Query())
	code, err := client.Callback(location(t, answer(t, p, id, cookie, "abc-123", "allow")), state)
	if err != nil {
		t.Fatal(err)
	}
	first, err := client.Exchange(t.Context(), code, verifier)
	if err != nil || first.Scopes[0] != "messages.write" || whose(t, server.Client(), entry, first) != "abc-123" {
		t.Fatalf("got %+v, %v", first, err)
	}

	second, err := client.Refresh(t.Context(), first.Refresh)
	if err != nil || second.Refresh.Equal(first.Refresh) || whose(t, server.Client(), entry, second) != "abc-123" {
		t.Fatalf("got %+v, %v", second, err)
	}
	_, err = client.Refresh(t.Context(), first.Refresh)
	if e, _ := errors.AsType[oauth.Error](err); e.Reason != oauth.ReasonGrant {
		t.Errorf("a spent token: %v", err)
	}
	if who := whose(t, server.Client(), entry, second); who != "" {
		t.Errorf("%s is still connected", who)
	}
}

func practiceAt(t *testing.T, address string) app.App {
	t.Helper()
	apps, err := app.Load(configs.Apps())
	if err != nil {
		t.Fatal(err)
	}
	if apps, err = apps.WithURL("practice", address); err != nil {
		t.Fatal(err)
	}
	entry, _ := apps.App("practice")
	return entry
}

// whose asks by the app's test request; empty where the token is not accepted.
func whose(t *testing.T, network *http.Client, entry app.App, token oauth.Token) string {
	t.Helper()
	req, err := entry.TestRequest(t.Context(), map[string]secret.String{"oauth_access_token": token.Access})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := network.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	who, err := entry.TestAnswer(resp)
	if err != nil {
		return ""
	}
	return who.ID
}
