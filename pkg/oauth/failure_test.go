package oauth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func reasonOf(err error) oauth.Reason {
	e, _ := errors.AsType[oauth.Error](err)
	return e.Reason
}

// wordy is a file with a service's own error words.
func wordy() string {
	return fileWith(`  revoke: { url: /revoke }
  tokens:
    lifetime_seconds: 3600
    errors: { grant: [bad_refresh_token, unauthorized_client, BAD_REFRESH_TOKEN], client: [bad_client_secret], later: [internal_error] }`)
}

func TestFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	const large = 64<<10 + 1
	text := func(status int, kind, body string) oauthtest.Fault {
		return oauthtest.Fault{Undone: true, Status: status, Header: http.Header{"Content-Type": {kind}}, Body: body}
	}
	in90 := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for name, tc := range map[string]struct {
		fault     oauthtest.Fault
		reason    oauth.Reason
		kind      fault.Kind
		code      string
		uncertain bool
		wait      time.Duration
	}{
		"the grant is gone":               {oauthtest.Refusal(400, "invalid_grant"), oauth.ReasonGrant, fault.Invalid, "invalid_grant", false, 0},
		"the grant is gone, with 403":     {oauthtest.Refusal(403, "invalid_grant"), oauth.ReasonGrant, fault.Invalid, "invalid_grant", false, 0},
		"a word of the service's own":     {oauthtest.Refusal(200, "bad_refresh_token"), oauth.ReasonGrant, fault.Invalid, "bad_refresh_token", false, 0},
		"an own word beats the RFC's":     {oauthtest.Refusal(403, "unauthorized_client"), oauth.ReasonGrant, fault.Invalid, "unauthorized_client", false, 0},
		"an own word in another place":    {text(400, "application/json", `{"status":"BAD_REFRESH_TOKEN","message":"canary-in-error"}`), oauth.ReasonGrant, fault.Invalid, "BAD_REFRESH_TOKEN", false, 0},
		"200 with ok false":               {text(200, "application/json", `{"ok":false,"error":"bad_client_secret"}`), oauth.ReasonClient, fault.Forbidden, "bad_client_secret", false, 0},
		"200 with ok false, passing":      {text(200, "application/json", `{"ok":false,"error":"internal_error"}`), oauth.ReasonAway, fault.Unavailable, "internal_error", false, 0},
		"200 with ok false and no word":   {text(200, "application/json", `{"ok":false,"access_token":"x"}`), oauth.ReasonClient, fault.Forbidden, "", false, 0},
		"the client is refused":           {oauthtest.Refusal(401, "invalid_client"), oauth.ReasonClient, fault.Forbidden, "invalid_client", false, 0},
		"401 and no more":                 {text(401, "text/plain", "no"), oauth.ReasonClient, fault.Forbidden, "", false, 0},
		"an unknown word":                 {oauthtest.Refusal(400, "who_knows"), oauth.ReasonClient, fault.Forbidden, "who_knows", false, 0},
		"a word that is none":             {text(400, "application/json", `{"error":"canary in error"}`), oauth.ReasonClient, fault.Forbidden, "", false, 0},
		"an error that is an object":      {text(400, "application/json", `{"error":{"code":400,"status":"invalid_grant"}}`), oauth.ReasonGrant, fault.Invalid, "invalid_grant", false, 0},
		"a form":                          {text(200, "application/x-www-form-urlencoded", "error=bad_refresh_token&error_uri=x"), oauth.ReasonGrant, fault.Invalid, "bad_refresh_token", false, 0},
		"too many requests":               {oauthtest.Limited("7"), oauth.ReasonLimited, fault.Exhausted, "", false, 7 * time.Second},
		"too many, until a date":          {oauthtest.Limited(in90), oauth.ReasonLimited, fault.Exhausted, "", false, 90 * time.Second},
		"too many, for a year":            {oauthtest.Limited("31536000"), oauth.ReasonLimited, fault.Exhausted, "", false, 24 * time.Hour},
		"too many, for nonsense":          {oauthtest.Limited("soon"), oauth.ReasonLimited, fault.Exhausted, "", false, 0},
		"too many, for less than nothing": {oauthtest.Limited("-5"), oauth.ReasonLimited, fault.Exhausted, "", false, 0},
		"too many, by a word":             {oauthtest.Refusal(400, "slow_down"), oauth.ReasonLimited, fault.Exhausted, "slow_down", false, 0},
		"not now":                         {oauthtest.Away("3"), oauth.ReasonAway, fault.Unavailable, "", false, 3 * time.Second},
		"a gateway lost it":               {oauthtest.Fault{Status: 502}, oauth.ReasonAway, fault.Unavailable, "", true, 0},
		"a bug of theirs":                 {text(500, "application/json", `{"error":"invalid_grant"}`), oauth.ReasonAway, fault.Unavailable, "", true, 0},
		"HTML":                            {oauthtest.HTML(), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"HTML with 403":                   {text(403, "text/html", "<html>canary-in-error"), oauth.ReasonAnswer, fault.Unavailable, "", false, 0},
		"an empty body":                   {text(200, "application/json", ""), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"a list":                          {text(200, "application/json", `[1]`), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"half of JSON":                    {text(200, "application/json", `{"access_token":"canary-in-error`), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"two documents":                   {text(200, "application/json", `{"access_token":"a"}{}`), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"no token":                        {text(200, "application/json", `{"token_type":"bearer"}`), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"an empty token":                  {oauthtest.Set("access_token", ""), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"a number for a token":            {oauthtest.Set("access_token", 12), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"a token with a line break":       {oauthtest.Set("access_token", "canary-in-error\r\nX: y"), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"a refresh token with one":        {oauthtest.Set("refresh_token", "canary-in-error\n"), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"an endless answer":               {oauthtest.Set("more", strings.Repeat("x", large)), oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"a redirect":                      {oauthtest.Fault{Undone: true, Status: 307, Header: http.Header{"Location": {"/api/me?canary-in-error"}}}, oauth.ReasonAnswer, fault.Unavailable, "", false, 0},
		"a cut":                           {oauthtest.CutAfter(), oauth.ReasonAway, fault.Unavailable, "", true, 0},
		"a broken gzip":                   {oauthtest.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}, Body: "\x1f\x8bcanary-in-error"}, oauth.ReasonAway, fault.Unavailable, "", true, 0},
		"half of a gzip":                  {oauthtest.Fault{Body: packed(`{"access_token":"at-1"}`)[:20]}, oauth.ReasonAway, fault.Unavailable, "", true, 0},
		"an endless gzip":                 {oauthtest.Fault{Body: packed(`{"access_token":"at-1","more":"` + strings.Repeat("x", 1<<20) + `"}`)}, oauth.ReasonAnswer, fault.Unavailable, "", true, 0},
		"200 with an error in an object":  {text(200, "application/json", `{"error":{"type":"invalid_grant"}}`), oauth.ReasonGrant, fault.Invalid, "invalid_grant", false, 0},
		"200 with a token and an error":   {oauthtest.Set("error", "invalid_grant"), oauth.ReasonGrant, fault.Invalid, "invalid_grant", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := oauthtest.New(t, oauthtest.Config{File: wordy()})
			c, tokens := clientOf(t, v), v.Grant("jane")
			v.Fail(oauthtest.AtToken, tc.fault)
			_, err := c.Refresh(t.Context(), secret.New(tokens.Refresh))
			e, ok := errors.AsType[oauth.Error](err)
			if !ok || e.Reason != tc.reason || e.Code != tc.code || e.Uncertain != tc.uncertain || fault.KindOf(err) != tc.kind {
				t.Errorf("got %+v, %v", e, err)
			}
			if off := tc.wait - e.RetryAfter; off < 0 || off > 30*time.Second || tc.wait == 0 && e.RetryAfter != 0 {
				t.Errorf("it asks to wait for %s", e.RetryAfter)
			}
			for _, canary := range []string{"canary", tokens.Refresh, "127.0.0.1"} {
				if strings.Contains(fault.Safe(err), canary) || canary != "127.0.0.1" && strings.Contains(err.Error(), canary) {
					t.Errorf("%q is in %v", canary, err)
				}
			}
			if v.Counts().Tokens != 1 || v.Counts().Calls != 0 {
				t.Errorf("one request was to be sent: %+v", v.Counts())
			}
		})
	}
}

func TestASpentRefreshTokenIsFinal(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	c, tokens := clientOf(t, v), v.Grant("jane")
	if _, err := c.Refresh(t.Context(), secret.New(tokens.Refresh)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Refresh(t.Context(), secret.New(tokens.Refresh))
	if reasonOf(err) != oauth.ReasonGrant || oauth.ReasonGrant.Passes() || fault.Safe(err) != "Vendor no longer accepts this consent: connect the account again" {
		t.Errorf("got %v", err)
	}
}

func TestAStateIsForOneBrowserAndACodeForOneTry(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	c := clientOf(t, v)
	state, verifier := oauth.NewState(), oauth.NewVerifier()
	link, err := c.ConsentURL(state, verifier)
	if err != nil {
		t.Fatal(err)
	}
	no, err := v.Deny(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Callback(no.Query(), state); reasonOf(err) != oauth.ReasonDenied {
		t.Errorf("got %v", err)
	}
	yes, err := v.Consent(t.Context(), link, "jane")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Callback(yes.Query(), oauth.NewState()); reasonOf(err) != oauth.ReasonState {
		t.Errorf("got %v", err)
	}
	code, err := c.Callback(yes.Query(), state)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exchange(t.Context(), code, oauth.NewVerifier()); reasonOf(err) != oauth.ReasonGrant || strings.Contains(err.Error(), code.Reveal()) {
		t.Errorf("with another's proof: %v", err)
	}
	token, err := c.Exchange(t.Context(), code, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exchange(t.Context(), code, verifier); reasonOf(err) != oauth.ReasonGrant || v.Good(token.Access.Reveal()) {
		t.Errorf("a second time: %v", err)
	}
}

func TestAWrongSecretIsTheOperatorsToMend(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	c, err := oauth.New(v.HTTP(), v.App(), oauth.Registration{ID: "client-1", Secret: secret.New("wrong-secret-canary")}, oauth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := v.Grant("jane")
	_, err = c.Refresh(t.Context(), secret.New(tokens.Refresh))
	if reasonOf(err) != oauth.ReasonClient || !v.Live(tokens.Refresh) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestOurOwnDialerMayRefuse(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	c, err := oauth.New(egress.New(egress.Config{}).Client(0), v.App(), oauth.Registration{ID: "client-1"}, oauth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Refresh(t.Context(), secret.New("rt-canary"))
	if reasonOf(err) != oauth.ReasonBlocked || !fault.Is(err, fault.Forbidden) || v.Counts().Tokens != 0 {
		t.Errorf("got %v", err)
	}
}

func TestAServiceThatIsNotThereHasDoneNothing(t *testing.T) {
	t.Parallel()
	v := oauthtest.Start(oauthtest.Config{})
	c := clientOf(t, v)
	v.Close()
	_, err := c.Refresh(t.Context(), secret.New("rt-canary"))
	if e, _ := errors.AsType[oauth.Error](err); e.Reason != oauth.ReasonAway || e.Uncertain || e.Err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestACallerThatLeavesMayHaveSpentTheToken(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{})
	c, tokens := clientOf(t, v), v.Grant("jane")
	release := make(chan struct{})
	defer close(release)
	v.Fail(oauthtest.AtToken, oauthtest.Fault{HoldAnswer: release, Edit: nil})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan error, 1)
	go func() {
		_, err := c.Refresh(ctx, secret.New(tokens.Refresh))
		left <- err
	}()
	for v.Counts().Refreshes == 0 {
		select {
		case err := <-left:
			t.Fatalf("it ended early: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	err := <-left
	if e, _ := errors.AsType[oauth.Error](err); e.Reason != oauth.ReasonCanceled || !e.Uncertain || !fault.Is(err, fault.Canceled) {
		t.Errorf("got %+v, %v", e, err)
	}
}

// roundTrip is a network of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func appWith(tb testing.TB, file string) app.App {
	tb.Helper()
	return oauthtest.AppAt(tb, file, "https://vendor.example")
}

// The answer never comes, or its body stalls: both end after the timeout, which is 20 seconds unless told otherwise.
func TestAnAnswerThatDoesNotComeInTimeIsUncertain(t *testing.T) {
	t.Parallel()
	vendor := appWith(t, wordy())
	for name, reply := range map[string]roundTrip{
		"no answer": func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).WroteHeaders()
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"half a body": func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).WroteHeaders()
			body := stalled{strings.NewReader(`{"access_token":`), r.Context()}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, err := oauth.New(&http.Client{Transport: reply}, vendor, oauth.Registration{ID: "a", Secret: secret.New("secret-canary")}, oauth.Config{})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = c.Refresh(t.Context(), secret.New("rt-canary"))
				if e, _ := errors.AsType[oauth.Error](err); e.Reason != oauth.ReasonTimeout || !e.Uncertain || !fault.Is(err, fault.Timeout) {
					t.Errorf("got %+v, %v", e, err)
				}
				if time.Since(began) != 20*time.Second || strings.Contains(err.Error(), "canary") {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		})
	}
}

type stalled struct {
	io.Reader
	ctx context.Context //nolint:containedctx // the body of one request
}

func (s stalled) Read(p []byte) (int, error) {
	if n, err := s.Reader.Read(p); err == nil {
		return n, nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// An answer that took long makes the end of the token earlier, never later.
func TestASlowAnswerMakesTheTokenEndEarlier(t *testing.T) {
	t.Parallel()
	vendor := appWith(t, wordy())
	synctest.Test(t, func(t *testing.T) {
		slow := roundTrip(func(r *http.Request) (*http.Response, error) {
			<-time.After(15 * time.Second)
			body := io.NopCloser(strings.NewReader(`{"access_token":"at","expires_in":3600}`))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
		})
		c, err := oauth.New(&http.Client{Transport: slow}, vendor, oauth.Registration{ID: "a"}, oauth.Config{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		token, err := c.Refresh(t.Context(), secret.New("rt"))
		if err != nil || !token.ExpiresAt.Equal(began.Add(time.Hour)) || token.ExpiresAt.Location() != time.UTC {
			t.Errorf("got %s after %s, %v", token.ExpiresAt, began, err)
		}
	})
}

// An error of the way there may quote what was on the way.
func TestNoErrorShowsASecretOfTheRequest(t *testing.T) {
	t.Parallel()
	leaky := roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return nil, errors.New("broken: " + string(body) + r.Header.Get("Authorization"))
	})
	for _, file := range []string{wordy(), fileWith("  client: basic\n  revoke: { url: /revoke, in: bearer }")} {
		c, err := oauth.New(&http.Client{Transport: leaky}, appWith(t, file), oauth.Registration{ID: "a", Secret: secret.New("secret/canary"), RedirectURL: redirect}, oauth.Config{})
		if err != nil {
			t.Fatal(err)
		}
		_, exchanged := c.Exchange(t.Context(), secret.New("code/canary"), secret.New("verifier/canary"))
		_, refreshed := c.Refresh(t.Context(), secret.New("rt/canary"))
		given := c.Revoke(t.Context(), secret.New("at/canary"), secret.New("rt/canary"))
		for _, err := range []error{exchanged, refreshed, given} {
			if reasonOf(err) != oauth.ReasonAway || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "broken: ") {
				t.Errorf("got %v", err)
			}
		}
	}
}

func TestRevokingIsAsTheAppSays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		revoke string
		fault  oauthtest.Fault
		reason oauth.Reason
	}{
		"it is away":          {"{ url: /revoke }", oauthtest.Away(""), oauth.ReasonAway},
		"unknown there":       {"{ url: /revoke }", oauthtest.Refusal(400, "invalid_token"), ""},
		"gone, in own words":  {"{ url: /revoke }", oauthtest.Refusal(200, "bad_refresh_token"), ""},
		"refused":             {"{ url: /revoke }", oauthtest.Refusal(401, "invalid_client"), oauth.ReasonClient},
		"ok false":            {"{ url: /revoke }", oauthtest.Fault{Undone: true, Body: `{"ok":false,"error":"internal_error"}`}, oauth.ReasonAway},
		"a redirect":          {"{ url: /revoke }", oauthtest.Fault{Undone: true, Status: 302}, oauth.ReasonAnswer},
		"by a bearer":         {"{ url: /revoke, token: access, in: bearer, client: none }", oauthtest.Fault{Undone: true, Body: `{"ok":true}`}, ""},
		"alone":               {"{ url: /revoke, client: none, name: access_token, token: access }", oauthtest.Fault{Undone: true, Status: 204}, ""},
		"where there is none": {"{ url: /nowhere, method: DELETE }", oauthtest.Fault{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := oauthtest.New(t, oauthtest.Config{File: strings.Replace(wordy(), "{ url: /revoke }", tc.revoke, 1)})
			c, tokens := clientOf(t, v), v.Grant("jane")
			v.Fail(oauthtest.AtRevoke, tc.fault)
			err := c.Revoke(t.Context(), secret.New(tokens.Access), secret.New(tokens.Refresh))
			if reasonOf(err) != tc.reason || (err == nil) != (tc.reason == "") {
				t.Fatalf("got %v", err)
			}
			seen := v.Seen()
			switch name {
			case "by a bearer":
				if seen[0].Header.Get("Authorization") != "Bearer "+tokens.Access || len(seen[0].Params) != 0 {
					t.Errorf("got %+v", seen[0])
				}
			case "alone":
				if seen[0].Header.Get("Authorization") != "" || len(seen[0].Params) != 1 || seen[0].Params["access_token"] != tokens.Access {
					t.Errorf("got %+v", seen[0])
				}
			}
		})
	}
}

// The client's id may stand in the address, and there it is one part of the path whatever is in it.
func TestTheClientsIDInAnAddressIsOnePart(t *testing.T) {
	t.Parallel()
	var asked string
	once := roundTrip(func(r *http.Request) (*http.Response, error) {
		user, word, _ := r.BasicAuth()
		body, err := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.String() + " " + user + ":" + word + " " + string(body)
		return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: r}, err
	})
	vendor := appWith(t, fileWith(`  revoke: { url: "https://api.vendor.example/applications/{client_id}/grant", method: DELETE, in: json, token: access, name: access_token, client: basic }`))
	c, err := oauth.New(&http.Client{Transport: once}, vendor, oauth.Registration{ID: "../x?y", Secret: secret.New("s")}, oauth.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), secret.New("at-1"), secret.String{}); err != nil {
		t.Fatal(err)
	}
	if want := `DELETE https://vendor.example/applications/..%2Fx%3Fy/grant ..%2Fx%3Fy:s {"access_token":"at-1"}`; asked != want {
		t.Errorf("got  %s\nwant %s", asked, want)
	}
}

func TestAnAppMayHaveNoWayToRevoke(t *testing.T) {
	t.Parallel()
	v := oauthtest.New(t, oauthtest.Config{File: fileWith("")})
	c := clientOf(t, v)
	if err := c.Revoke(t.Context(), secret.New("a"), secret.New("b")); c.CanRevoke() || !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

// Every reason has a kind that is not our own bug, and only what passes is retried.
func TestEveryReasonHasItsKind(t *testing.T) {
	t.Parallel()
	for reason, passes := range map[oauth.Reason]bool{
		oauth.ReasonGrant: false, oauth.ReasonDenied: false, oauth.ReasonState: false, oauth.ReasonClient: false, oauth.ReasonBlocked: false,
		oauth.ReasonLimited: true, oauth.ReasonAway: true, oauth.ReasonTimeout: true, oauth.ReasonAnswer: true, oauth.ReasonCanceled: true,
	} {
		if reason.Passes() != passes {
			t.Errorf("%s passes: %v", reason, reason.Passes())
		}
	}
}
