package practice_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/practice"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const (
	redirect     = "http://127.0.0.1:8080/connect/callback?app=practice"
	clientSecret = "s3cret+/="
)

func vendor(t *testing.T, c *clock) *practice.Practice {
	t.Helper()
	return open(t, practice.Config{ClientSecret: secret.New(clientSecret), RedirectURIs: []string{redirect}, Now: c.Now})
}

func authorizeQuery(verifier string) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"practice"}, "redirect_uri": {redirect}, "state": {"st"}, "scope": {"messages.write"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
}

// visit opens the consent page and returns the form's id and the cookie.
func visit(t *testing.T, p http.Handler, query url.Values) (id string, cookie string) {
	t.Helper()
	w := call(t, p, http.MethodGet, "/oauth/authorize?"+query.Encode(), "")
	field := regexp.MustCompile(`name="request" value="([^"]+)"`).FindStringSubmatch(w.Body.String())
	if w.Code != 200 || field == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookies %v", cookies)
	}
	return field[1], cookies[0].Name + "=" + cookies[0].Value
}

func answer(t *testing.T, p http.Handler, id, cookie, user, yes string) *httptest.ResponseRecorder {
	t.Helper()
	form := url.Values{"request": {id}, "user": {user}, "answer": {yes}}
	return call(t, p, http.MethodPost, "/oauth/authorize", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookie)
}

func location(t *testing.T, w *httptest.ResponseRecorder) url.Values {
	t.Helper()
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || u.Host != "127.0.0.1:8080" || u.Path != "/connect/callback" || u.Query().Get("app") != "practice" {
		t.Fatalf("%d, location %q", w.Code, w.Header().Get("Location"))
	}
	return u.Query()
}

func code(t *testing.T, p http.Handler, verifier string) string {
	t.Helper()
	id, cookie := visit(t, p, authorizeQuery(verifier))
	return location(t, answer(t, p, id, cookie, "abc-123", "allow")).Get("code")
}

func token(t *testing.T, p http.Handler, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	if !form.Has("client_id") {
		form.Set("client_id", "practice")
		form.Set("client_secret", clientSecret)
	}
	return call(t, p, http.MethodPost, "/oauth/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

func trade(t *testing.T, p http.Handler, code, verifier string) *httptest.ResponseRecorder {
	t.Helper()
	return token(t, p, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}})
}

func refresh(t *testing.T, p http.Handler, refresh string) *httptest.ResponseRecorder {
	t.Helper()
	return token(t, p, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
}

type tokens struct {
	Access    string `json:"access_token"`
	Refresh   string `json:"refresh_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Error     string `json:"error"`
}

func alive(t *testing.T, p http.Handler, access string) bool {
	t.Helper()
	return call(t, p, http.MethodGet, "/me", "", "Authorization", "Bearer "+access).Code == 200
}

func TestABrowserConsentsAndAClientTradesTheCode(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := vendor(t, c)
	verifier := oauth2.GenerateVerifier()
	id, cookie := visit(t, p, authorizeQuery(verifier))
	back := location(t, answer(t, p, id, cookie, "abc-123", "allow"))
	if back.Get("state") != "st" || back.Get("code") == "" || back.Get("error") != "" {
		t.Fatalf("back came %v", back)
	}
	w := trade(t, p, back.Get("code"), verifier)
	got := decode[tokens](t, w)
	if w.Code != 200 || got.Type != "Bearer" || got.ExpiresIn != 3600 || w.Header().Get("Cache-Control") != "no-store" || !alive(t, p, got.Access) {
		t.Errorf("%d %+v", w.Code, got)
	}
	c.advance(time.Hour)
	if alive(t, p, got.Access) {
		t.Error("the access token outlives its hour")
	}
}

func TestTheAuthorizePageNeverRedirectsWhereItWasNotAllowed(t *testing.T) {
	t.Parallel()
	p := vendor(t, newClock())
	for name, change := range map[string]url.Values{
		"another redirect URI":       {"redirect_uri": {"https://evil.example/"}},
		"the allowed one and more":   {"redirect_uri": {redirect + "x"}},
		"no redirect URI":            {"redirect_uri": {""}},
		"another client":             {"client_id": {"evil"}},
		"another client, and script": {"client_id": {"evil"}, "redirect_uri": {"javascript:alert(1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query := authorizeQuery("v")
			maps.Copy(query, change)
			w := call(t, p, http.MethodGet, "/oauth/authorize?"+query.Encode(), "")
			if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || len(w.Result().Cookies()) != 0 {
				t.Errorf("%d, location %q", w.Code, w.Header().Get("Location"))
			}
		})
	}
}

func TestABadRequestGoesBackToTheClient(t *testing.T) {
	t.Parallel()
	p := vendor(t, newClock())
	for want, change := range map[string]url.Values{
		"unsupported_response_type": {"response_type": {"token"}},
		"invalid_request":           {"code_challenge_method": {"plain"}},
		"invalid_scope":             {"scope": {"everything"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			query := authorizeQuery("v")
			maps.Copy(query, change)
			back := location(t, call(t, p, http.MethodGet, "/oauth/authorize?"+query.Encode(), ""))
			if back.Get("error") != want || back.Get("state") != "st" {
				t.Errorf("back came %v", back)
			}
		})
	}
}

func TestNoOtherSiteCanConsent(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := vendor(t, c)
	id, cookie := visit(t, p, authorizeQuery("v"))
	_, foreign := visit(t, p, authorizeQuery("v"))
	for name, w := range map[string]*httptest.ResponseRecorder{
		"without a cookie":        answer(t, p, id, "", "abc-123", "allow"),
		"with another's cookie":   answer(t, p, id, foreign, "abc-123", "allow"),
		"with an unknown request": answer(t, p, "AAAA", cookie, "abc-123", "allow"),
	} {
		if w.Code != http.StatusForbidden || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := answer(t, p, id, cookie, "", "allow"); w.Code != http.StatusBadRequest {
		t.Errorf("nobody consents: %d", w.Code)
	}
	if back := location(t, answer(t, p, id, cookie, "", "deny")); back.Get("error") != "access_denied" || back.Has("code") {
		t.Errorf("a refusal comes back as %v", back)
	}
	if w := answer(t, p, id, cookie, "abc-123", "allow"); w.Code != http.StatusForbidden {
		t.Errorf("a form is good twice: %d", w.Code)
	}
	late, cookie := visit(t, p, authorizeQuery("v"))
	c.advance(11 * time.Minute)
	if w := answer(t, p, late, cookie, "abc-123", "allow"); w.Code != http.StatusForbidden {
		t.Errorf("a form is good for ever: %d", w.Code)
	}
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	verifier := oauth2.GenerateVerifier()
	for name, c := range map[string]struct {
		change url.Values
		age    time.Duration
		status int
		code   string
	}{
		"a wrong secret":           {url.Values{"client_id": {"practice"}, "client_secret": {"x"}}, 0, 401, "invalid_client"},
		"an empty secret":          {url.Values{"client_id": {"practice"}}, 0, 401, "invalid_client"},
		"another client":           {url.Values{"client_id": {"x"}, "client_secret": {clientSecret}}, 0, 401, "invalid_client"},
		"another grant type":       {url.Values{"grant_type": {"password"}}, 0, 400, "unsupported_grant_type"},
		"a wrong verifier":         {url.Values{"code_verifier": {"x"}}, 0, 400, "invalid_grant"},
		"no verifier":              {url.Values{"code_verifier": {""}}, 0, 400, "invalid_grant"},
		"another redirect URI":     {url.Values{"redirect_uri": {"https://practice.invalid/connected"}}, 0, 400, "invalid_grant"},
		"an unknown code":          {url.Values{"code": {"x"}}, 0, 400, "invalid_grant"},
		"an old code":              {nil, 3 * time.Minute, 400, "invalid_grant"},
		"an unknown refresh token": {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, 0, 400, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newClock()
			p := vendor(t, clock)
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code(t, p, verifier)}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
			maps.Copy(form, c.change)
			clock.advance(c.age)
			w := token(t, p, form)
			if w.Code != c.status || decode[tokens](t, w).Error != c.code {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestACodeThatIsShownTwiceRevokesItsTokens(t *testing.T) {
	t.Parallel()
	p := vendor(t, newClock())
	verifier := oauth2.GenerateVerifier()
	text := code(t, p, verifier)
	first := decode[tokens](t, trade(t, p, text, verifier))
	if w := trade(t, p, text, verifier); w.Code != 400 || decode[tokens](t, w).Error != "invalid_grant" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if alive(t, p, first.Access) {
		t.Error("the tokens of a leaked code live on")
	}
}

func TestRefreshTokensRotateAndASpentOneEndsTheGrant(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "practice.jsonl")
	cfg := practice.Config{StatePath: path, ClientSecret: secret.New(clientSecret), RedirectURIs: []string{redirect}}
	p := open(t, cfg)
	verifier := oauth2.GenerateVerifier()
	first := decode[tokens](t, trade(t, p, code(t, p, verifier), verifier))
	second := decode[tokens](t, refresh(t, p, first.Refresh))
	if second.Access == first.Access || second.Refresh == first.Refresh || !alive(t, p, second.Access) || !alive(t, p, first.Access) {
		t.Fatalf("first %+v, second %+v", first, second)
	}

	restarted := open(t, cfg)
	third := decode[tokens](t, refresh(t, restarted, second.Refresh))
	if !alive(t, restarted, third.Access) {
		t.Fatal("a refresh token does not outlive a restart")
	}
	if w := refresh(t, restarted, first.Refresh); w.Code != 400 || decode[tokens](t, w).Error != "invalid_grant" {
		t.Errorf("a spent refresh token: %d %s", w.Code, w.Body)
	}
	if alive(t, restarted, third.Access) || refresh(t, restarted, third.Refresh).Code != 400 {
		t.Error("a stolen grant lives on")
	}
	if alive(t, open(t, cfg), third.Access) {
		t.Error("a revoked grant comes back with a restart")
	}
}

func TestTheClientMayProveItselfByBasic(t *testing.T) {
	t.Parallel()
	p := vendor(t, newClock())
	verifier := oauth2.GenerateVerifier()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code(t, p, verifier)}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("practice", url.QueryEscape(clientSecret))
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestConnectRefusesAUserWhoCannotBe(t *testing.T) {
	t.Parallel()
	p := open(t, practice.Config{})
	for _, user := range []string{"", "a\nb", strings.Repeat("x", 251)} {
		if _, err := p.Connect(t.Context(), user); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", user, err)
		}
	}
	got := connect(t, p, "ünïcode & <user>")
	if got.Access.IsZero() || got.Refresh.IsZero() || time.Until(got.ExpiresAt) < 59*time.Minute || got.Scopes[0] != "messages.write" {
		t.Errorf("got %+v", got)
	}
}

func TestABadRedirectURIIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"javascript:alert(1)", "/relative", "https://x.example/#f", "::"} {
		if _, err := practice.New(practice.Config{RedirectURIs: []string{uri}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: got %v", uri, err)
		}
	}
}
