package oauth_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const redirect = "https://connect.example/oauth/callback"

// fileWith is an app's file with other lines in auth.
func fileWith(auth string) string {
	return `slug: vendor
name: Vendor
base_url: at_start
auth:
  type: oauth2
  authorize: /authorize
  token: /token
  send: [{ header: Authorization, value: "Bearer {oauth_access_token}" }]
` + auth + `
fields:
  oauth_access_token: { from: credential }
  oauth_uid: { from: credential, optional: true, public: true }
`
}

func clientOf(tb testing.TB, v *oauthtest.Vendor) *oauth.Client {
	tb.Helper()
	id, word := v.Client()
	c, err := oauth.New(v.HTTP(), v.App(), oauth.Registration{ID: id, Secret: word, RedirectURL: redirect}, oauth.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// connect has a user consent, and gives the tokens.
func connect(tb testing.TB, v *oauthtest.Vendor, c *oauth.Client, user string) oauth.Token {
	tb.Helper()
	state, verifier := oauth.NewState(), oauth.NewVerifier()
	link, err := c.ConsentURL(state, verifier)
	if err != nil {
		tb.Fatal(err)
	}
	back, err := v.Consent(tb.Context(), link, user)
	if err != nil {
		tb.Fatal(err)
	}
	code, err := c.Callback(back.Query(), state)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := c.Exchange(tb.Context(), code, verifier)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

func TestAUserConnectsAndStaysConnectedUntilTheTokensAreGivenBack(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"secret in the form, with PKCE": "",
		"secret by Basic":               fileWith("  client: basic\n  revoke: { url: /revoke }\n  scopes: [read, write]\n  tokens: { answer: { oauth_uid: user.id } }"),
		"JSON": fileWith("  client: basic\n  pkce: true\n  revoke: { url: /revoke, in: json, token: access, client: post }\n" +
			"  scopes: [read, write]\n  tokens: { format: json, answer: { oauth_uid: user.id } }"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := oauthtest.New(t, oauthtest.Config{File: file, ClientID: "cl+ient/1", ClientSecret: secret.New("s%20 &:é+cret")})
			c := clientOf(t, v)
			first := connect(t, v, c, "jane")
			if first.Fields["oauth_uid"].Reveal() != "jane" || !slices.Equal(first.Scopes, []string{"read", "write"}) || !v.Good(first.Access.Reveal()) {
				t.Fatalf("got %+v", first)
			}
			second, err := c.Refresh(t.Context(), first.Refresh)
			if err != nil || second.Access.Equal(first.Access) || second.Refresh.Equal(first.Refresh) || !v.Live(second.Refresh.Reveal()) || v.Live(first.Refresh.Reveal()) {
				t.Fatalf("got %+v, %v", second, err)
			}
			for range 2 { // that they are worth nothing already is no error
				if err := c.Revoke(t.Context(), second.Access, second.Refresh); err != nil {
					t.Fatal(err)
				}
			}
			if v.Good(second.Access.Reveal()) || v.Live(second.Refresh.Reveal()) {
				t.Error("the tokens still work")
			}
			if got, want := v.Counts(), (oauthtest.Counts{Tokens: 2, Exchanges: 1, Refreshes: 1, Revocations: 2}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestAConsentURLHasWhatTheAppSays(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{File: fileWith(`  scopes: ["chat:write", users]
  scope_separator: ","
  authorize_params: { access_type: offline, prompt: consent }
  pkce: true`)})
	link, err := clientOf(t, v).ConsentURL("state-1", secret.New("verifier-1-verifier-1-verifier-1-verifier-1"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {"client-1"}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {"state-1"}, "scope": {"chat:write,users"},
		"access_type": {"offline"}, "prompt": {"consent"},
		"code_challenge": {"dt8ujWhPSLOsJWvKmUhDV5FnSMKJMhXFhAEWMHL-oFk"}, "code_challenge_method": {"S256"},
	}
	want.Set("code_challenge", at.Query().Get("code_challenge"))
	if at.Query().Encode() != want.Encode() || len(want.Get("code_challenge")) != 43 || strings.Contains(link, "verifier") {
		t.Errorf("got %s", link)
	}
}

func TestNoScopesAndNoProofAreLeftOut(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{File: fileWith("")})
	link, err := clientOf(t, v).ConsentURL("state-1", oauth.NewVerifier())
	if err != nil || strings.Contains(link, "scope") || strings.Contains(link, "challenge") {
		t.Errorf("got %s, %v", link, err)
	}
}

func TestAConsentNeedsStateVerifierAndRedirect(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	c := clientOf(t, v)
	if _, err := c.ConsentURL("", oauth.NewVerifier()); !fault.Is(err, fault.Invalid) {
		t.Errorf("no state: %v", err)
	}
	if _, err := c.ConsentURL("state", secret.String{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no verifier: %v", err)
	}
	bare, err := oauth.New(v.HTTP(), v.App(), oauth.Registration{ID: "client-1"}, oauth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bare.ConsentURL("state", oauth.NewVerifier()); !fault.Is(err, fault.Invalid) {
		t.Errorf("no redirect: %v", err)
	}
	for name, try := range map[string]func() error{
		"no code":  func() error { _, err := c.Exchange(t.Context(), secret.String{}, oauth.NewVerifier()); return err },
		"no proof": func() error { _, err := c.Exchange(t.Context(), secret.New("code"), secret.String{}); return err },
		"no redirect": func() error {
			_, err := bare.Exchange(t.Context(), secret.New("code"), oauth.NewVerifier())
			return err
		},
		"no refresh token": func() error { _, err := c.Refresh(t.Context(), secret.String{}); return err },
		"nothing to give":  func() error { return c.Revoke(t.Context(), secret.String{}, secret.String{}) },
	} {
		if err := try(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v.Counts().Tokens != 0 {
		t.Error("something was sent")
	}
}

func TestWhatComesBackIsJudged(t *testing.T) {
	t.Parallel()
	c := clientOf(t, oauthtest.New(t, oauthtest.Config{}))
	for name, tc := range map[string]struct {
		query  string
		reason oauth.Reason
	}{
		"a code":                      {"state=s-1&code=c-1", ""},
		"no state":                    {"code=c-1", oauth.ReasonState},
		"another state":               {"state=s-2&code=c-1", oauth.ReasonState},
		"two states":                  {"state=s-1&state=s-2&code=c-1", oauth.ReasonState},
		"an error with another state": {"state=s-2&error=access_denied", oauth.ReasonState},
		"no":                          {"state=s-1&error=access_denied&error_description=canary", oauth.ReasonDenied},
		"a passing error":             {"state=s-1&error=temporarily_unavailable", oauth.ReasonAway},
		"our mistake":                 {"state=s-1&error=invalid_scope", oauth.ReasonClient},
		"an unknown error":            {"state=s-1&error=%3Cscript%3E", oauth.ReasonClient},
		"an error and a code":         {"state=s-1&error=access_denied&code=c-1", oauth.ReasonDenied},
		"no code":                     {"state=s-1", oauth.ReasonAnswer},
		"two codes":                   {"state=s-1&code=a&code=b", oauth.ReasonAnswer},
		"a huge code":                 {"state=s-1&code=" + strings.Repeat("a", 9<<10), oauth.ReasonAnswer},
	} {
		query, err := url.ParseQuery(tc.query)
		if err != nil {
			t.Fatal(err)
		}
		code, err := c.Callback(query, "s-1")
		if got := reasonOf(err); got != tc.reason || (err == nil) != (code.Reveal() == "c-1") {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "<")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Callback(url.Values{"state": {""}, "code": {"c"}}, ""); reasonOf(err) != oauth.ReasonState {
		t.Errorf("an empty state: %v", err)
	}
}

func TestWhatCannotBeAClient(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	vendor := v.App()
	keys, homeless := vendor, vendor
	keys.Auth.Type = app.Keys
	homeless.Auth.TokenURL = ""
	for name, tc := range map[string]struct {
		app          app.App
		registration oauth.Registration
	}{
		"an app with keys":       {keys, oauth.Registration{ID: "a"}},
		"an app without address": {homeless, oauth.Registration{ID: "a"}},
		"no id":                  {vendor, oauth.Registration{}},
		"plain http":             {vendor, oauth.Registration{ID: "a", RedirectURL: "http://connect.example/cb"}},
		"a fragment":             {vendor, oauth.Registration{ID: "a", RedirectURL: "https://connect.example/cb#x"}},
		"a user":                 {vendor, oauth.Registration{ID: "a", RedirectURL: "https://u@connect.example/cb"}},
		"no host":                {vendor, oauth.Registration{ID: "a", RedirectURL: "https:///cb"}},
		"no scheme":              {vendor, oauth.Registration{ID: "a", RedirectURL: "/cb"}},
	} {
		if _, err := oauth.New(http.DefaultClient, tc.app, tc.registration, oauth.Config{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, good := range []string{"", "https://connect.example/cb?a=b", "http://127.0.0.1:8080/cb", "http://localhost/cb", "http://[::1]:1/cb"} {
		if _, err := oauth.New(http.DefaultClient, vendor, oauth.Registration{ID: "a", RedirectURL: good}, oauth.Config{}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestTheMarginIsMoreThanClocksDiffer(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{
		time.Hour:        6 * time.Minute,
		12 * time.Hour:   72 * time.Minute,
		10 * time.Minute: 2 * time.Minute,
		time.Minute:      30 * time.Second,
		0:                0,
	} {
		if got := oauth.Margin(life); got != want {
			t.Errorf("%s: got %s, want %s", life, got, want)
		}
	}
}
