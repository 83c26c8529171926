package api

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// maxTokenRequest bounds the body of a request for a token, in bytes.
const maxTokenRequest = 16 << 10

// The errors of RFC 6749.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	invalidScope         = "invalid_scope"
	unsupportedGrantType = "unsupported_grant_type"
)

// oauthError is an answer of RFC 6749, which has another shape than the other errors of the API.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e oauthError) Error() string { return e.Code + ": " + e.Description }

// tokenRequest is the body of a request, whichever way it came. What else is in it is passed over: clients send the
// project and the environment, too.
type tokenRequest struct {
	GrantType    string        `json:"grant_type"`
	ClientID     string        `json:"client_id"`
	ClientSecret secret.String `json:"client_secret"`
	Scope        string        `json:"scope"`
}

// tokenAnswer is what clients expect, to the letter.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	CreatedAt   int64  `json:"created_at"`
	Scope       string `json:"scope"`
}

// token gives a client its access token. Every other answer than 200 is an error of RFC 6749, a refusal for the rate,
// or ours.
func (a *API) token(w http.ResponseWriter, r *http.Request) error {
	if err := take(a.addresses, a.address(r)); err != nil {
		return err
	}
	answer, err := a.grant(w, r)
	if refused, ok := err.(oauthError); ok { //nolint:errorlint // never wrapped: it is an answer
		writeOAuthError(w, refused)
		return nil
	}
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func writeOAuthError(w http.ResponseWriter, refused oauthError) {
	status := http.StatusBadRequest
	if refused.Code == invalidClient {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="behalf"`)
	}
	w.Header().Set("Pragma", "no-cache")
	web.WriteJSON(w, status, refused)
}

func (a *API) grant(w http.ResponseWriter, r *http.Request) (tokenAnswer, error) {
	req, err := readTokenRequest(w, r)
	if err != nil {
		return tokenAnswer{}, err
	}
	switch req.GrantType {
	case "":
		return tokenAnswer{}, oauthError{invalidRequest, "grant_type is missing"}
	case "client_credentials":
	default:
		return tokenAnswer{}, oauthError{unsupportedGrantType, "grant_type must be client_credentials"}
	}
	client, err := a.authenticate(r.Context(), req)
	if err != nil {
		return tokenAnswer{}, err
	}
	// Counted only now: a stranger who knows a client's id must not use up its allowance.
	if err := take(a.clients, string(client.ID)); err != nil {
		return tokenAnswer{}, err
	}
	return a.sign(client, req.Scope)
}

func (a *API) sign(client behalf.Client, asked string) (tokenAnswer, error) {
	scopes, err := grantedScopes(client, asked)
	if err != nil {
		return tokenAnswer{}, err
	}
	token, err := a.deps.Signer.Sign(behalf.Identity{
		Client: client.ID, Project: client.Project, Scopes: scopes,
		Environments: client.Environments, Generation: client.Generation,
	})
	if err != nil {
		return tokenAnswer{}, err
	}
	return tokenAnswer{
		AccessToken: token.Text.Reveal(), TokenType: "Bearer", ExpiresIn: int64(token.Lifetime.Seconds()),
		CreatedAt: token.IssuedAt.Unix(), Scope: token.Scope,
	}, nil
}

// grantedScopes are those asked for that the client has: all of its own where it asks for none, or for `*`.
func grantedScopes(client behalf.Client, asked string) ([]behalf.Scope, error) {
	scopes, err := behalf.ParseScopes(asked)
	switch {
	case err != nil:
		return nil, oauthError{invalidScope, fault.Safe(err)}
	case len(scopes) == 0:
		return client.Scopes, nil
	}
	scopes = slices.DeleteFunc(scopes, func(s behalf.Scope) bool { return !slices.Contains(client.Scopes, s) })
	if len(scopes) == 0 {
		return nil, oauthError{invalidScope, "this client has none of these scopes"}
	}
	return scopes, nil
}

// authenticate finds the client and checks its secret. Every environment is read, and a secret compared, whoever asks,
// so that an unknown client costs and reads the same as a wrong secret.
func (a *API) authenticate(ctx context.Context, req tokenRequest) (behalf.Client, error) {
	refused := oauthError{invalidClient, "no such client, or another secret"}
	id, err := behalf.ParseClientID(req.ClientID)
	if err != nil || req.ClientSecret.IsZero() {
		return behalf.Client{}, refused
	}
	client, err := a.client(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return behalf.Client{}, err
	}
	known := auth.Matches(req.ClientSecret, client.SecretHash)
	if !known || client.Revoked || len(client.Environments) == 0 {
		return behalf.Client{}, refused
	}
	return client, nil
}

// client reads the leaders, production first. Once a record is found, what the others say does not matter.
func (a *API) client(ctx context.Context, id behalf.ClientID) (behalf.Client, error) {
	var found *behalf.Client
	var last error = notFound("no such client")
	for _, env := range behalf.Environments() {
		stores, ok := a.deps.Environments[env]
		if !ok {
			continue
		}
		client, err := stores.Clients.ClientFromLeader(ctx, id)
		switch {
		case err == nil && found == nil:
			found = &client
		case err != nil && !fault.Is(err, fault.NotFound):
			last = err
		}
	}
	if found == nil {
		return behalf.Client{}, last
	}
	return *found, nil
}

// readTokenRequest reads JSON, a form, or either with the client in HTTP Basic.
func readTokenRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	var req tokenRequest
	var err error
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/json":
		err = web.DecodeTolerantJSON(w, r, maxTokenRequest, &req)
	case "application/x-www-form-urlencoded", "":
		req, err = readForm(w, r)
	default:
		err = invalid("send application/json or application/x-www-form-urlencoded")
	}
	if err != nil {
		return tokenRequest{}, oauthError{invalidRequest, fault.Safe(err)}
	}
	if !web.HasAuthorization(r) {
		return req, nil
	}
	return withBasic(r, req)
}

func readForm(w http.ResponseWriter, r *http.Request) (tokenRequest, error) {
	body, err := web.ReadBody(w, r, maxTokenRequest)
	if err != nil {
		return tokenRequest{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return tokenRequest{}, invalid("the form could not be read")
	}
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope"} {
		if len(form[name]) > 1 {
			return tokenRequest{}, invalid(name + " is given more than once")
		}
	}
	return tokenRequest{
		GrantType: form.Get("grant_type"), ClientID: form.Get("client_id"),
		ClientSecret: secret.New(form.Get("client_secret")), Scope: form.Get("scope"),
	}, nil
}

// withBasic takes the client from the header. RFC 6749 forbids to prove oneself in two ways at once.
func withBasic(r *http.Request, req tokenRequest) (tokenRequest, error) {
	id, password, ok := r.BasicAuth()
	if !ok || len(r.Header.Values("Authorization")) > 1 {
		return tokenRequest{}, oauthError{invalidClient, "the Authorization header of a request for a token must be Basic"}
	}
	id, idErr := url.QueryUnescape(id)
	password, secretErr := url.QueryUnescape(password)
	if idErr != nil || secretErr != nil {
		return tokenRequest{}, oauthError{invalidClient, "no such client, or another secret"}
	}
	if !req.ClientSecret.IsZero() || req.ClientID != "" && req.ClientID != id {
		return tokenRequest{}, oauthError{invalidRequest, "send the client in the header or in the body, not in both"}
	}
	req.ClientID, req.ClientSecret = id, secret.New(password)
	return req, nil
}
