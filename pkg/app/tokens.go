package app

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// Tokens says how a token endpoint speaks and how long its tokens live. The zero value is what RFC 6749 says.
type Tokens struct {
	// Format is that of the requests to the token endpoint; answers are read in either.
	//
	// Defaults to FormatForm.
	Format Format
	// Headers go with every request to the token and revocation endpoints.
	Headers map[string]string
	// Answer names fields of the credential that the token endpoint's answer has besides the standard ones, each with its
	// place in the answer: names with dots between, as in authed_user.id.
	Answer map[string]string
	// Errors are the service's own words, beyond those of the RFC.
	Errors ErrorWords

	// Lifetime is that of an access token whose answer does not say. 0 means that nobody knows.
	Lifetime time.Duration
	// Grace is how long a spent refresh token is still taken, so that a refresh whose answer was lost may be repeated.
	// 0 means not at all, or unknown.
	Grace time.Duration
	// Idle is how long a refresh token lives unused. 0 means that it does not end so, or unknown.
	Idle time.Duration
	// RefreshLifetime is how long a refresh token, or what it was rotated into, lives at all. 0 means without end, or
	// unknown.
	RefreshLifetime time.Duration
}

// Format is how a request carries its parameters.
type Format string

// The formats.
const (
	// FormatForm is application/x-www-form-urlencoded, as RFC 6749 has it.
	FormatForm Format = "form"
	// FormatJSON is one JSON object.
	FormatJSON Format = "json"
)

// ErrorWords are what a token endpoint says in `error`, sorted by what it means. They are compared without regard to case.
type ErrorWords struct {
	// Grant means that the grant is gone for good: the user must connect again.
	Grant []string
	// Client means that our client, and not the user's grant, is refused.
	Client []string
	// Later means that the same request may succeed later.
	Later []string
}

// Revocation says how a token is given back. The zero value is for a service that has no way, or whose way is unknown.
type Revocation struct {
	// URL is where. {client_id} in it stands for the id of our client.
	URL string
	// Method defaults to POST.
	Method string
	// Token is which one is sent.
	//
	// Defaults to RevokeRefresh. Where the account lacks it and Name is token, the other one is sent.
	Token RevokedToken
	// In is where the token is put.
	//
	// Defaults to RevokeInForm.
	In RevokePlace
	// Name is that of the token in a form or in JSON.
	//
	// Defaults to token.
	Name string
	// Client is how our client proves itself.
	//
	// Defaults to RevokeAsToken.
	Client RevokeClient

	url string // as the file says it
}

// RevokedToken is one of an account's tokens.
type RevokedToken string

// The tokens.
const (
	RevokeRefresh RevokedToken = "refresh"
	RevokeAccess  RevokedToken = "access"
)

// RevokePlace is where a request carries the token that it revokes.
type RevokePlace string

// The places.
const (
	RevokeInForm RevokePlace = "form"
	RevokeInJSON RevokePlace = "json"
	// RevokeAsBearer sends it as what authorizes the request, and nothing else.
	RevokeAsBearer RevokePlace = "bearer"
)

// RevokeClient is how our client proves itself where a token is revoked.
type RevokeClient string

// The ways.
const (
	// RevokeAsToken is as at the token endpoint.
	RevokeAsToken RevokeClient = "as_token"
	RevokePost    RevokeClient = "post"
	RevokeBasic   RevokeClient = "basic"
	// RevokeAlone is without our client.
	RevokeAlone RevokeClient = "none"
)

const clientID = "{client_id}"

// movedTo returns the same at another address.
func (r Revocation) movedTo(base string) Revocation {
	if r.url != "" {
		r.URL = movedWithID(base, r.url)
	}
	return r
}

// movedWithID keeps {client_id}, which the parser of URLs would escape.
func movedWithID(base, endpoint string) string {
	const mark = "client_id_goes_here"
	return strings.ReplaceAll(moved(base, strings.ReplaceAll(endpoint, clientID, mark)), mark, clientID)
}

func readRevocation(value strict.Value, base string) Revocation {
	if !value.Given() {
		return Revocation{}
	}
	fields, ok := value.Shaped(strict.Shape{Known: []string{"url", "method", "token", "in", "name", "client"}}, "write revoke: { url: https://… }")
	if !ok {
		return Revocation{}
	}
	r := Revocation{
		Method: readWord(fields.Field("method"), "POST", "DELETE"),
		Token:  RevokedToken(readWord(fields.Field("token"), string(RevokeRefresh), string(RevokeAccess))),
		In:     RevokePlace(readWord(fields.Field("in"), string(RevokeInForm), string(RevokeInJSON), string(RevokeAsBearer))),
		Client: RevokeClient(readWord(fields.Field("client"), string(RevokeAsToken), string(RevokePost), string(RevokeBasic), string(RevokeAlone))),
		Name:   "token",
		url:    readRevokeURL(fields.Required("url", "write url: https://… , or a path of the base URL")),
	}
	if name, ok := given(fields.Field("name")); ok {
		r.Name = name
	}
	if r.In == RevokeAsBearer && fields.Field("name").Given() {
		fields.Field("name").Mistake("a bearer has no name", "leave name out")
	}
	r.URL = joined(base, r.url)
	return r
}

// readRevokeURL reads an endpoint that may have {client_id} as one part of its path.
func readRevokeURL(value strict.Value) string {
	text, ok := given(value)
	if !ok {
		return ""
	}
	if !strings.Contains(text, clientID) {
		return readEndpoint(value)
	}
	before, _, _ := strings.Cut(text, clientID)
	plain := strings.ReplaceAll(text, "/"+clientID, "/client_id")
	if strings.Contains(plain, "{") || !strings.HasPrefix(plain, "/") && (!isHTTPS(plain) || strings.Count(before, "/") < 3) {
		value.Mistake("{client_id} must be a part of the path of an https URL", "write https://api.example.com/applications/{client_id}/grant")
	}
	return text
}

func readTokens(value strict.Value) Tokens {
	if !value.Given() {
		return Tokens{Format: FormatForm}
	}
	shape := strict.Shape{Known: []string{"format", "headers", "answer", "errors", "lifetime_seconds", "grace_seconds", "idle_days", "refresh_days"}}
	fields, ok := value.Shaped(shape, "write tokens: { lifetime_seconds: 3600 }")
	if !ok {
		return Tokens{Format: FormatForm}
	}
	return Tokens{
		Format:          Format(readWord(fields.Field("format"), string(FormatForm), string(FormatJSON))),
		Headers:         readHeaders(fields.Field("headers")),
		Answer:          readAnswer(fields.Field("answer")),
		Errors:          readErrors(fields.Field("errors")),
		Lifetime:        readSpan(fields.Field("lifetime_seconds"), time.Second),
		Grace:           readSpan(fields.Field("grace_seconds"), time.Second),
		Idle:            readSpan(fields.Field("idle_days"), day),
		RefreshLifetime: readSpan(fields.Field("refresh_days"), day),
	}
}

const day = 24 * time.Hour

// readSpan reads a whole number of units, of ten years at most.
func readSpan(value strict.Value, unit time.Duration) time.Duration {
	if !value.Given() {
		return 0
	}
	n, _ := value.Int(1, int(3650*day/unit))
	return time.Duration(n) * unit
}

func readErrors(value strict.Value) ErrorWords {
	if !value.Given() {
		return ErrorWords{}
	}
	fields, ok := value.Shaped(strict.Shape{Known: []string{"grant", "client", "later"}}, "write errors: { grant: [bad_refresh_token] }")
	if !ok {
		return ErrorWords{}
	}
	return ErrorWords{Grant: fields.Field("grant").Texts(), Client: fields.Field("client").Texts(), Later: fields.Field("later").Texts()}
}

func readAnswer(value strict.Value) map[string]string {
	if !value.Given() {
		return nil
	}
	fields, _ := value.Fields("write answer: { oauth_uid: authed_user.id }")
	answer := make(map[string]string, len(fields.Names()))
	for _, name := range fields.Names() {
		field := fields.Field(name)
		text, ok := field.Text("write where it stands in the answer: authed_user.id")
		if ok && !validPlace(text) {
			field.Mistake("this is no place in a JSON document", "write names with dots between: authed_user.id")
		}
		answer[name] = text
	}
	return answer
}

// checkAnswer holds the fields that the token endpoint gives against those that the file names. The tokens themselves are
// nobody's to redirect.
func checkAnswer(value strict.Value, answer map[string]string, fields []Field) {
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		if name == accessToken || name == "oauth_refresh_token" {
			value.Mistake(name+" is read by Behalf itself", "leave it out of answer")
			continue
		}
		mustBeFields(value, []string{name}, fields)
	}
}
