package oauth_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// packed is a text in gzip.
func packed(text string) string {
	var out bytes.Buffer
	in := gzip.NewWriter(&out)
	_, _ = in.Write([]byte(text))
	_ = in.Close()
	return out.String()
}

// got is what becomes of an answer: a token, or a reason why there is none.
type got struct {
	lives     time.Duration // 0: nobody knows
	refresh   string        // new, old or none
	scopes    string
	reason    oauth.Reason
	uncertain bool
}

// Each answer that token endpoints are known to give, at both requests: the exchange of a code, and a refresh.
func TestAnswersOfATokenEndpoint(t *testing.T) {
	t.Parallel()
	const all, tenYears = "read write", 3650 * 24 * time.Hour
	never := make(chan struct{})
	bad := func(reason oauth.Reason, uncertain bool) got { return got{reason: reason, uncertain: uncertain} }
	for name, tc := range map[string]struct {
		fault              oauthtest.Fault
		exchanged, renewed got
	}{
		"as it should be":         {oauthtest.Fault{}, got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
		"no expires_in":           {oauthtest.NoExpiry(), got{refresh: "new", scopes: all}, got{refresh: "new", scopes: all}},
		"expires_in is null":      {oauthtest.Fault{Edit: func(o map[string]any) { o["expires_in"] = nil }}, got{refresh: "new", scopes: all}, got{refresh: "new", scopes: all}},
		"expires_in is a text":    {oauthtest.Set("expires_in", "3600"), got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
		"expires_in is 0":         {oauthtest.Set("expires_in", 0), got{refresh: "new", scopes: all}, got{refresh: "new", scopes: all}},
		"expires_in is negative":  {oauthtest.Set("expires_in", -3600), got{refresh: "new", scopes: all}, got{refresh: "new", scopes: all}},
		"expires_in is 10^12":     {oauthtest.Set("expires_in", int64(1_000_000_000_000)), got{lives: tenYears, refresh: "new", scopes: all}, got{lives: tenYears, refresh: "new", scopes: all}},
		"200 with invalid_grant":  {oauthtest.Refusal(http.StatusOK, "invalid_grant"), bad(oauth.ReasonGrant, false), bad(oauth.ReasonGrant, false)},
		"200 with another error":  {oauthtest.Refusal(http.StatusOK, "incorrect_client_credentials"), bad(oauth.ReasonClient, false), bad(oauth.ReasonClient, false)},
		"200 with error false":    {oauthtest.Set("error", false), got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
		"200 with error null":     {oauthtest.Fault{Edit: func(o map[string]any) { o["error"] = nil }}, got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
		"200 with HTML":           {oauthtest.HTML(), bad(oauth.ReasonAnswer, true), bad(oauth.ReasonAnswer, true)},
		"no refresh_token":        {oauthtest.NoRefreshToken(), got{lives: time.Hour, refresh: "none", scopes: all}, got{lives: time.Hour, refresh: "old", scopes: all}},
		"an empty refresh_token":  {oauthtest.Set("refresh_token", ""), got{lives: time.Hour, refresh: "none", scopes: all}, got{lives: time.Hour, refresh: "old", scopes: all}},
		"fewer scopes":            {oauthtest.Set("scope", "read"), got{lives: time.Hour, refresh: "new", scopes: "read"}, got{lives: time.Hour, refresh: "new", scopes: "read"}},
		"other scopes":            {oauthtest.Set("scope", "read admin"), got{lives: time.Hour, refresh: "new", scopes: "read admin"}, got{lives: time.Hour, refresh: "new", scopes: "read admin"}},
		"no scope":                {oauthtest.Set("scope", nil), got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new"}},
		"bearer in small letters": {oauthtest.Set("token_type", "bearer"), got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
		"no token_type":           {oauthtest.Set("token_type", nil), got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
		"302 to our own API":      {oauthtest.Redirect(http.StatusFound, "/api/me"), bad(oauth.ReasonAnswer, false), bad(oauth.ReasonAnswer, false)},
		"302 to another host":     {oauthtest.Redirect(http.StatusFound, "https://169.254.169.254/latest"), bad(oauth.ReasonAnswer, false), bad(oauth.ReasonAnswer, false)},
		"a chunk that stalls":     {oauthtest.Stalled(never), bad(oauth.ReasonTimeout, true), bad(oauth.ReasonTimeout, true)},
		"a lie about gzip":        {oauthtest.GzipLie(), got{lives: time.Hour, refresh: "new", scopes: all}, got{lives: time.Hour, refresh: "new", scopes: all}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := oauthtest.New(t, oauthtest.Config{File: fileWith("  pkce: true\n  scopes: [read, write]")})
			c := patient(t, v, 5*time.Second, strings.Contains(name, "stalls"))
			code, verifier := consented(t, v, c)
			v.Fail(oauthtest.AtToken, tc.fault)
			token, err := c.Exchange(t.Context(), code, verifier)
			judge(t, v, tc.exchanged, token, err, secret.String{})
			old := v.Grant("jane").Refresh
			v.Fail(oauthtest.AtToken, tc.fault)
			token, err = c.Refresh(t.Context(), secret.New(old))
			judge(t, v, tc.renewed, token, err, secret.New(old))
			if got := v.Counts(); got.Tokens != 2 || got.Calls != 0 {
				t.Errorf("one request each was to be sent, and none elsewhere: %+v", got)
			}
		})
	}
}

// patient is a client that waits as long as usual, or a short time where it waits in vain.
func patient(t *testing.T, v *oauthtest.Vendor, short time.Duration, vain bool) *oauth.Client {
	t.Helper()
	cfg := oauth.Config{Now: func() time.Time { return noon }}
	if vain {
		cfg.Timeout = short
	}
	id, word := v.Client()
	c, err := oauth.New(v.HTTP(), v.App(), oauth.Registration{ID: id, Secret: word, RedirectURL: redirect}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// consented has a user consent, and gives what the exchange needs.
func consented(t *testing.T, v *oauthtest.Vendor, c *oauth.Client) (code, verifier secret.String) {
	t.Helper()
	state, verifier := oauth.NewState(), oauth.NewVerifier()
	link, err := c.ConsentURL(state, verifier)
	if err != nil {
		t.Fatal(err)
	}
	back, err := v.Consent(t.Context(), link, "jane")
	if err != nil {
		t.Fatal(err)
	}
	if code, err = c.Callback(back.Query(), state); err != nil {
		t.Fatal(err)
	}
	return code, verifier
}

func judge(t *testing.T, v *oauthtest.Vendor, want got, token oauth.Token, err error, old secret.String) {
	t.Helper()
	if want.reason != "" {
		e, _ := errors.AsType[oauth.Error](err)
		if e.Reason != want.reason || e.Uncertain != want.uncertain || !token.Access.IsZero() || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %+v, %v", e, err)
		}
		return
	}
	if err != nil {
		t.Errorf("no token: %v", err)
		return
	}
	have := got{scopes: strings.Join(token.Scopes, " "), refresh: "none"}
	if !token.ExpiresAt.IsZero() {
		have.lives = token.ExpiresAt.Sub(noon)
	}
	switch {
	case token.Refresh.IsZero():
	case token.Refresh.Equal(old):
		have.refresh = "old"
	case v.Live(token.Refresh.Reveal()):
		have.refresh = "new"
	}
	if have != want || !v.Good(token.Access.Reveal()) {
		t.Errorf("got %+v, want %+v", have, want)
	}
}
