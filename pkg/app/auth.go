package app

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// Auth says how a credential comes about, and where it goes.
type Auth struct {
	Type AuthType
	// Docs is where the service describes it. May be empty.
	Docs string
	// Send are the places of a request to which the credential goes. Empty for an app without an HTTP API.
	Send []Placement

	// What follows is for oauth2 alone.

	// AuthorizeURL and TokenURL are empty as long as BaseURL is, where they are paths below it.
	AuthorizeURL string
	TokenURL     string
	Scopes       []string
	// ScopeSeparator stands between the scopes in the request for consent.
	//
	// Defaults to a space.
	ScopeSeparator string
	// AuthorizeParams are what the request for consent has besides the parameters of RFC 6749 and 7636.
	AuthorizeParams map[string]string
	// Client is how our client proves itself at TokenURL.
	//
	// Defaults to ClientPost.
	Client ClientAuth
	// Refresh is what a refresh does to the refresh token.
	//
	// Defaults to RefreshRotates, which is safe with either.
	Refresh Refresh
	// PKCE says that the service checks the proof of RFC 7636, by S256.
	PKCE bool
	// Revoke says how a token is given back.
	Revoke Revocation
	// Tokens says how TokenURL speaks, and how long its tokens live.
	Tokens Tokens

	authorize, token string // as the file says them
}

// AuthType is a way of authentication.
type AuthType string

// The ways.
const (
	// OAuth2 has the user consent at the service, and gives tokens that expire.
	OAuth2 AuthType = "oauth2"
	// Keys has the user hand over keys, such as an API key.
	Keys AuthType = "keys"
)

// ClientAuth is how an OAuth client proves itself at the token endpoint.
type ClientAuth string

// The ways of RFC 6749 §2.3.1.
const (
	// ClientPost sends client_id and client_secret in the form.
	ClientPost ClientAuth = "post"
	// ClientBasic sends them by HTTP Basic.
	ClientBasic ClientAuth = "basic"
)

// Refresh is what becomes of a refresh token when it is used.
type Refresh string

// The kinds of refresh.
const (
	// RefreshRotates gives a new refresh token with each refresh, and the one before is spent: it is never posted again.
	RefreshRotates Refresh = "rotates"
	// RefreshKeeps leaves the refresh token as it is.
	RefreshKeeps Refresh = "keeps"
	// RefreshNone says that there is none: the access token does not expire.
	RefreshNone Refresh = "none"
)

// movedTo returns the endpoints below another address. Those that are whole URLs move with their paths.
func (a Auth) movedTo(base string) Auth {
	a.AuthorizeURL = moved(base, a.authorize)
	a.TokenURL = moved(base, a.token)
	a.Scopes = slices.Clone(a.Scopes)
	a.AuthorizeParams = maps.Clone(a.AuthorizeParams)
	a.Send = slices.Clone(a.Send)
	a.Revoke = a.Revoke.movedTo(base)
	a.Tokens.Answer = maps.Clone(a.Tokens.Answer)
	a.Tokens.Headers = maps.Clone(a.Tokens.Headers)
	return a
}

func moved(base, endpoint string) string {
	if endpoint == "" || strings.HasPrefix(endpoint, "/") {
		return joined(base, endpoint)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "" // Load refused it
	}
	return joined(base, u.EscapedPath())
}

// joined is an endpoint of the file as a whole URL, or empty where a path still has no address to be a path of.
func joined(base, endpoint string) string {
	switch {
	case !strings.HasPrefix(endpoint, "/"):
		return endpoint
	case base == "":
		return ""
	}
	return base + endpoint
}

func readAuth(value strict.Value, base string) Auth {
	if !value.Given() {
		return Auth{}
	}
	shape := strict.Shape{Known: append([]string{"type", "docs", "send"}, oauth2Fields()...)}
	fields, ok := value.Shaped(shape, "write auth: { type: keys, send: … }")
	if !ok {
		return Auth{}
	}
	kind := fields.Required("type", "write type: oauth2 or type: keys")
	text, ok := given(kind)
	auth := Auth{Type: AuthType(text), Docs: readHTTPS(fields.Field("docs")), Send: readPlacements(fields.Field("send"))}
	switch {
	case !ok:
	case auth.Type == OAuth2:
		return auth.readOAuth2(fields, base)
	case auth.Type == Keys:
		refuseOAuth2(fields)
	default:
		kind.Mistake("this is no way of authentication", "write type: oauth2 or type: keys")
	}
	return auth
}

func oauth2Fields() []string {
	return []string{"authorize", "token", "scopes", "scope_separator", "authorize_params", "client", "refresh", "pkce", "revoke", "tokens"}
}

func (a Auth) readOAuth2(fields strict.Fields, base string) Auth {
	a.authorize = readEndpoint(fields.Required("authorize", "write authorize: https://… , or a path of the base URL"))
	a.token = readEndpoint(fields.Required("token", "write token: https://… , or a path of the base URL"))
	a.AuthorizeURL, a.TokenURL = joined(base, a.authorize), joined(base, a.token)
	a.Scopes = fields.Field("scopes").Texts()
	a.ScopeSeparator = readWord(fields.Field("scope_separator"), " ", ",")
	a.AuthorizeParams = readAuthorizeParams(fields.Field("authorize_params"))
	a.Client = ClientAuth(readWord(fields.Field("client"), string(ClientPost), string(ClientBasic)))
	a.Refresh = Refresh(readWord(fields.Field("refresh"), string(RefreshRotates), string(RefreshKeeps), string(RefreshNone)))
	if pkce := fields.Field("pkce"); pkce.Given() {
		a.PKCE, _ = pkce.Bool()
	}
	a.Revoke = readRevocation(fields.Field("revoke"), base)
	a.Tokens = readTokens(fields.Field("tokens"))
	return a
}

func refuseOAuth2(fields strict.Fields) {
	for _, name := range fields.Names() {
		if slices.Contains(oauth2Fields(), name) {
			fields.Field(name).Mistake(name+" is only for type: oauth2", "leave it out")
		}
	}
}

// readAuthorizeParams refuses what would take the place of our own parameters.
func readAuthorizeParams(value strict.Value) map[string]string {
	if !value.Given() {
		return nil
	}
	ours := []string{"client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"}
	fields, _ := value.Fields("write authorize_params: { access_type: offline }")
	params := make(map[string]string, len(fields.Names()))
	for _, name := range fields.Names() {
		field := fields.Field(name)
		if slices.Contains(ours, name) {
			field.Mistake(name+" is set by Behalf itself", "leave it out")
		}
		params[name], _ = field.Text("write a text, in quotes where it looks like a number")
	}
	return params
}

func readEndpoint(value strict.Value) string {
	text, ok := given(value)
	if !ok {
		return ""
	}
	if strings.HasPrefix(text, "/") {
		if u, err := url.Parse(text); err != nil || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
			value.Mistake("this is not a path", "write a path such as /oauth/token")
		}
		return text
	}
	return readHTTPS(value)
}

// readWord reads one of a few words, of which the first is the default.
func readWord(value strict.Value, words ...string) string {
	if !value.Given() {
		return words[0]
	}
	text, ok := value.Text("")
	if ok && !slices.Contains(words, text) {
		quoted := make([]string, 0, len(words))
		for _, word := range words {
			quoted = append(quoted, `"`+word+`"`)
		}
		value.Mistake("this word is not known here", "write "+strict.Alternatives(quoted))
	}
	return text
}
