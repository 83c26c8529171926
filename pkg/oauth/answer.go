package oauth

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// maxLife is the longest life that a token is believed to have.
const maxLife = 10 * 365 * 24 * time.Hour

// read takes the tokens out of a document. What is missing or odd, but for the access token, is as if it were not there:
// to throw away a token for the form of its expiry could lose a grant whose refresh token is spent.
func (c *Client) read(document map[string]any, began time.Time) Token {
	text := func(name string) string {
		value, _ := document[name].(string)
		return value
	}
	token := Token{Access: secret.New(text("access_token")), Refresh: secret.New(text("refresh_token")), Scopes: scopes(document["scope"])}
	life := lifetime(document)
	if life == 0 {
		life = c.app.Auth.Tokens.Lifetime
	}
	if life > 0 {
		token.ExpiresAt = began.Add(life).Round(0).UTC()
	}
	for field, place := range c.app.Auth.Tokens.Answer {
		if value, ok := app.Pick(document, place); ok && value != "" {
			if token.Fields == nil {
				token.Fields = map[string]secret.String{}
			}
			token.Fields[field] = secret.New(value)
		}
	}
	return token
}

// lifetime reads expires_in, a number or a text with one. 0 means that the service does not say.
func lifetime(document map[string]any) time.Duration {
	written, ok := app.Pick(document, "expires_in")
	if !ok {
		return 0
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(written), 64)
	if err != nil || math.IsNaN(seconds) || seconds < 1 {
		return 0
	}
	return time.Duration(min(seconds, maxLife.Seconds())) * time.Second
}

// scopes reads a text with spaces or commas between, or a list of texts.
func scopes(value any) []string {
	var words []string
	switch v := value.(type) {
	case string:
		words = strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' })
	case []any:
		for _, item := range v {
			if word, ok := item.(string); ok && word != "" {
				words = append(words, word)
			}
		}
	}
	if len(words) == 0 {
		return nil
	}
	return words
}

// judge says what a failed answer means. It is ok for one that has a token in it.
func (c *Client) judge(a answer) (Error, bool) {
	problem := Error{Status: a.status, RetryAfter: retryAfter(a.header, c.cfg.Now())}
	switch {
	case a.status == http.StatusTooManyRequests:
		problem.Reason = ReasonLimited
	case a.status >= 500 || a.status == http.StatusRequestTimeout || a.status == http.StatusTooEarly:
		problem.Reason = ReasonAway
		problem.Uncertain = a.status >= 500 && a.status != http.StatusServiceUnavailable
	case a.status >= 300 && a.status < 400:
		problem.Reason = ReasonAnswer
	case a.document == nil:
		problem.Reason, problem.Uncertain = ReasonAnswer, a.status < 300
		if a.status == http.StatusUnauthorized {
			problem.Reason = ReasonClient
		}
	case a.status >= 400 || refuses(a.document):
		problem.Reason, problem.Code = c.refusal(a.document)
	case a.document["access_token"] == nil:
		problem.Reason, problem.Uncertain = ReasonAnswer, true
	default:
		return Error{}, true
	}
	return problem, false
}

// refuses says whether a document of status 200 is an error all the same.
func refuses(document map[string]any) bool {
	return document["ok"] == false || says(document["error"])
}

// says tells an error from the ways to write that there is none.
func says(problem any) bool {
	switch p := problem.(type) {
	case string:
		return p != ""
	case bool:
		return p
	case json.Number:
		return p != "0"
	case map[string]any:
		return len(p) > 0
	case []any:
		return len(p) > 0
	}
	return false
}

// refusal looks for the word that says why, in all places where services are known to put it.
func (c *Client) refusal(document map[string]any) (Reason, string) {
	var first string
	for _, place := range []string{"error", "error.type", "error.code", "error.status", "code", "status", "error_code"} {
		word, ok := app.Pick(document, place)
		if !ok || word == "" {
			continue
		}
		if reason := c.meaning(word); reason != "" {
			return reason, safeWord(word)
		}
		if first == "" {
			first = safeWord(word)
		}
	}
	return ReasonClient, first
}

// meaning is that of an error word: the service's own words first, then those of RFC 6749 and OpenID Connect. Empty for
// an unknown one.
func (c *Client) meaning(word string) Reason {
	own := c.app.Auth.Tokens.Errors
	same := func(other string) bool { return strings.EqualFold(word, other) }
	switch {
	case slices.ContainsFunc(own.Grant, same):
		return ReasonGrant
	case slices.ContainsFunc(own.Client, same):
		return ReasonClient
	case slices.ContainsFunc(own.Later, same):
		return ReasonAway
	}
	switch strings.ToLower(word) {
	case "invalid_grant", "consent_required", "interaction_required", "login_required":
		return ReasonGrant
	case "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_grant_type", "unsupported_response_type":
		return ReasonClient
	case "temporarily_unavailable", "server_error":
		return ReasonAway
	case "slow_down", "rate_limit_exceeded", "too_many_requests":
		return ReasonLimited
	}
	return ""
}

// safeWord is an error word that may be shown, or nothing where it is no word: a vendor may write anything.
func safeWord(word string) string {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}
	if len(word) > 64 || strings.ContainsFunc(word, foreign) {
		return ""
	}
	return word
}

// maxRetryAfter bounds how long a service can keep us away.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads both forms of the header. 0 means that it says nothing.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	var wait time.Duration
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(seconds) {
		wait = time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
