package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// CanRevoke says whether the catalogue knows how tokens of this app are given back.
func (c *Client) CanRevoke() bool { return c.app.Auth.Revoke.URL != "" }

// Revoke gives an account's tokens back, so that they are worth nothing from now on; either may be empty. That they are
// worth nothing already is no error. Its errors hold an Error; kind Invalid where there is no token or no way.
func (c *Client) Revoke(ctx context.Context, access, refresh secret.String) error {
	const op = "oauth.Revoke"
	token := revoked(c.app.Auth.Revoke, access, refresh)
	switch {
	case !c.CanRevoke():
		return fault.Newf(fault.Invalid, op, "tokens of %s cannot be revoked from here: only in the user's settings there", c.app.Name)
	case token.IsZero():
		return fault.New(fault.Invalid, op, "there is no token to revoke")
	}
	answer, err := c.send(ctx, op, c.revocation(token))
	if err != nil {
		return err
	}
	return c.revokedBy(op, answer)
}

// revoked chooses the token that the service wants, or else the other, where the service takes both.
func revoked(r app.Revocation, access, refresh secret.String) secret.String {
	want, other := refresh, access
	if r.Token == app.RevokeAccess {
		want, other = access, refresh
	}
	if want.IsZero() && r.Name == "token" {
		return other
	}
	return want
}

func (c *Client) revocation(token secret.String) call {
	r := c.app.Auth.Revoke
	l := call{
		method:  r.Method,
		url:     strings.ReplaceAll(r.URL, "{client_id}", url.PathEscape(c.registration.ID)),
		params:  url.Values{},
		json:    r.In == app.RevokeInJSON,
		secrets: []secret.String{token},
	}
	if r.In == app.RevokeAsBearer {
		l.bearer = token
		return l
	}
	l.params.Set(r.Name, token.Reveal())
	switch r.Client {
	case app.RevokeBasic:
		l.as = asBasic
	case app.RevokePost:
		l.as = asPost
	case app.RevokeAlone:
	case app.RevokeAsToken:
		l.as = asPost
		if c.app.Auth.Client == app.ClientBasic {
			l.as = asBasic
		}
	}
	return l
}

// revokedBy judges the answer. RFC 7009 has 200 for an unknown token; not everybody does.
func (c *Client) revokedBy(op string, a answer) error {
	if a.status >= 200 && a.status < 300 && !refuses(a.document) {
		return nil
	}
	problem, _ := c.judge(a)
	gone := problem.Reason == ReasonGrant || strings.EqualFold(problem.Code, "invalid_token") ||
		a.status == http.StatusNotFound && c.app.Auth.Revoke.Method == http.MethodDelete
	if gone {
		return nil
	}
	if problem.Reason == "" {
		problem = Error{Reason: ReasonAnswer, Status: a.status}
	}
	return c.fail(op, problem)
}
