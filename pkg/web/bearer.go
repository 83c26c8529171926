package web

import (
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Bearer reads the token of a request. There must be exactly one Authorization header that holds anything; an empty one
// counts as absent, because clients send it when told to send none. Errors: Unauthenticated.
func Bearer(r *http.Request) (secret.String, error) {
	value, err := authorization(r)
	if err != nil {
		return secret.String{}, err
	}
	scheme, token, ok := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || !validToken(token) {
		return secret.String{}, noBearer("send Authorization: Bearer with a token")
	}
	return secret.New(token), nil
}

// HasAuthorization says whether the request tries to prove anything.
func HasAuthorization(r *http.Request) bool {
	for _, value := range r.Header.Values("Authorization") {
		if value != "" {
			return true
		}
	}
	return false
}

func authorization(r *http.Request) (string, error) {
	var found string
	for _, value := range r.Header.Values("Authorization") {
		switch {
		case value == "":
		case found != "":
			return "", noBearer("send one Authorization header, not several")
		default:
			found = value
		}
	}
	if found == "" {
		return "", noBearer("send Authorization: Bearer with a token")
	}
	return found, nil
}

func noBearer(why string) error { return fault.New(fault.Unauthenticated, "web.Bearer", why) }

// validToken holds a token to the alphabet of RFC 6750.
func validToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return s != ""
}
