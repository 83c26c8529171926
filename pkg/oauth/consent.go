package oauth

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// NewState makes a state: 256 random bits, to be bound to the browser that starts.
func NewState() string { return oauth2.GenerateVerifier() }

// NewVerifier makes a proof for PKCE, to be kept until the code comes back. It is a secret: who has it and the code has
// the user's tokens.
func NewVerifier() secret.String { return secret.New(oauth2.GenerateVerifier()) }

// ConsentURL is the link to the service's consent page. Where the service checks no PKCE proof, the verifier is left
// out. Kind Invalid for an empty state or verifier, and for a registration without a redirect URL.
func (c *Client) ConsentURL(state string, verifier secret.String) (string, error) {
	const op = "oauth.ConsentURL"
	switch {
	case state == "" || verifier.IsZero():
		return "", fault.New(fault.Invalid, op, "a consent needs a state and a verifier")
	case c.registration.RedirectURL == "":
		return "", fault.Newf(fault.Invalid, op, "the OAuth client for %s has no redirect URL", c.app.Name)
	}
	auth := c.app.Auth
	link := oauth2.Config{
		ClientID:    c.registration.ID,
		RedirectURL: c.registration.RedirectURL,
		Endpoint:    oauth2.Endpoint{AuthURL: auth.AuthorizeURL},
	}
	if len(c.registration.Scopes) > 0 {
		link.Scopes = []string{strings.Join(c.registration.Scopes, auth.ScopeSeparator)}
	}
	return link.AuthCodeURL(state, linkOptions(auth, verifier)...), nil
}

func linkOptions(auth app.Auth, verifier secret.String) []oauth2.AuthCodeOption {
	options := make([]oauth2.AuthCodeOption, 0, len(auth.AuthorizeParams)+1)
	for _, name := range slices.Sorted(maps.Keys(auth.AuthorizeParams)) {
		options = append(options, oauth2.SetAuthURLParam(name, auth.AuthorizeParams[name]))
	}
	if auth.PKCE {
		options = append(options, oauth2.S256ChallengeOption(verifier.Reveal()))
	}
	return options
}

// maxCode is the longest code that is sent on, in bytes.
const maxCode = 8 << 10

// Callback reads the parameters with which the service sends the browser back, and gives the code. Its errors hold an
// Error: ReasonState where the state is not the one that was given to this browser, ReasonDenied where the user said no,
// else what the service's own error word means.
func (c *Client) Callback(query url.Values, state string) (secret.String, error) {
	const op = "oauth.Callback"
	given := secret.New(query.Get("state"))
	if state == "" || len(query["state"]) != 1 || !given.Equal(secret.New(state)) {
		return secret.String{}, c.fail(op, Error{Reason: ReasonState})
	}
	if word := query.Get("error"); word != "" {
		return secret.String{}, c.fail(op, Error{Reason: c.callbackReason(word), Code: safeWord(word)})
	}
	code := query.Get("code")
	if len(query["code"]) != 1 || code == "" || len(code) > maxCode {
		return secret.String{}, c.fail(op, Error{Reason: ReasonAnswer})
	}
	return secret.New(code), nil
}

func (c *Client) callbackReason(word string) Reason {
	if strings.EqualFold(word, "access_denied") {
		return ReasonDenied
	}
	if reason := c.meaning(word); reason != "" {
		return reason
	}
	return ReasonClient
}
