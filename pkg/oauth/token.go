package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Token is what a token endpoint gave.
type Token struct {
	Access secret.String
	// Refresh makes the next token. After a refresh it is the new one, or the one before where the service sent none. Empty
	// where there never was one.
	Refresh secret.String
	// ExpiresAt is when the access token ends, reckoned from before the request, so that a slow answer makes it too early
	// and never too late. Zero means that nobody knows.
	ExpiresAt time.Time
	// Scopes that were granted. Nil means that a refresh did not say: they are as before.
	Scopes []string
	// Fields are what the catalogue takes from the answer besides, such as oauth_uid.
	Fields map[string]secret.String
}

// Exchange trades a code for tokens. Where the service checks no PKCE proof, the verifier is not sent. A code is good for
// one try: after any error the user must start again. Its errors hold an Error.
func (c *Client) Exchange(ctx context.Context, code, verifier secret.String) (Token, error) {
	const op = "oauth.Exchange"
	if code.IsZero() || c.registration.RedirectURL == "" || c.app.Auth.PKCE && verifier.IsZero() {
		return Token{}, fault.New(fault.Invalid, op, "an exchange needs a code, its verifier and a redirect URL")
	}
	form := url.Values{
		"grant_type":   {"authorization_code"},
		"code":         {code.Reveal()},
		"redirect_uri": {c.registration.RedirectURL},
	}
	if c.app.Auth.PKCE {
		form.Set("code_verifier", verifier.Reveal())
	}
	token, err := c.tokens(ctx, op, form, code, verifier)
	if err == nil && token.Scopes == nil {
		token.Scopes = c.registration.Scopes // RFC 6749 §5.1: none means those that were asked for
	}
	return token, err
}

// Refresh trades a refresh token for a new access token. Whether the one that is sent is spent by it, the catalogue says
// (app.Auth.Refresh); an Error that is Uncertain may have spent it, too. It sends one request and never repeats it.
func (c *Client) Refresh(ctx context.Context, refresh secret.String) (Token, error) {
	const op = "oauth.Refresh"
	if refresh.IsZero() {
		return Token{}, fault.New(fault.Invalid, op, "there is no refresh token")
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}}
	token, err := c.tokens(ctx, op, form, refresh)
	if err == nil && token.Refresh.IsZero() {
		token.Refresh = refresh
	}
	return token, err
}

// tokens sends one request to the token endpoint. The secrets are those that no error may show.
func (c *Client) tokens(ctx context.Context, op string, form url.Values, secrets ...secret.String) (Token, error) {
	as := asPost
	if c.app.Auth.Client == app.ClientBasic {
		as = asBasic
	}
	began := c.cfg.Now()
	answer, err := c.send(ctx, op, call{
		method: http.MethodPost, url: c.app.Auth.TokenURL, params: form, json: c.app.Auth.Tokens.Format == app.FormatJSON, as: as, secrets: secrets,
	})
	if err != nil {
		return Token{}, err
	}
	if problem, ok := c.judge(answer); !ok {
		return Token{}, c.fail(op, problem)
	}
	token := c.read(answer.document, began)
	if !validToken(token.Access) || !token.Refresh.IsZero() && !validToken(token.Refresh) {
		return Token{}, c.fail(op, Error{Reason: ReasonAnswer, Status: answer.status, Uncertain: true})
	}
	return token, nil
}

// Margin is how long before its end a token that lives so long should be refreshed: 10 % of its life and at least two
// minutes, which is more than clocks of machines differ, but never more than half of its life.
func Margin(life time.Duration) time.Duration {
	return min(max(2*time.Minute, life/10), life/2)
}

// validToken holds a token against RFC 6749, appendix A: what is not printable ASCII fits in no header.
func validToken(token secret.String) bool {
	value := token.Reveal()
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return value != ""
}
