package auth

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// claims are the words of a token. Their types are as narrow as what we sign: an audience that is a list, or a time
// that is text or a fraction, is not one of ours.
type claims struct {
	Issuer       string               `json:"iss"`
	Audience     string               `json:"aud"`
	Subject      behalf.ClientID      `json:"sub"`
	Project      behalf.ProjectID     `json:"project"`
	Scope        string               `json:"scope"`
	Environments []behalf.Environment `json:"env"`
	Generation   int                  `json:"gen"`
	IssuedAt     int64                `json:"iat"`
	NotBefore    int64                `json:"nbf,omitempty"`
	Expires      int64                `json:"exp"`
	ID           string               `json:"jti"`
}

// The getters of jwt.Claims. A time of zero is one that is missing.

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.Expires), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return date(c.IssuedAt), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return date(c.NotBefore), nil }
func (c *claims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return string(c.Subject), nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{c.Audience}, nil }

func date(seconds int64) *jwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0))
}

// Validate checks what the library does not: that the ids are ids, and that the life is one that we would sign. The
// parser calls it.
func (c *claims) Validate() error {
	if _, err := behalf.ParseClientID(string(c.Subject)); err != nil {
		return err
	}
	if _, err := behalf.ParseProjectID(string(c.Project)); err != nil {
		return err
	}
	switch {
	case c.IssuedAt <= 0 || c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > int64(maxLifetime/time.Second):
		return errors.New("the life of the token is not one of ours")
	case c.ID == "":
		return errors.New("the token has no id")
	}
	return c.checkEnvironments()
}

func (c *claims) checkEnvironments() error {
	if len(c.Environments) == 0 || len(c.Environments) > len(behalf.Environments()) {
		return errors.New("the token names no environment, or too many")
	}
	for _, env := range c.Environments {
		if _, err := behalf.ParseEnvironment(string(env)); err != nil {
			return err
		}
	}
	return nil
}

func (c *claims) identity() (behalf.Identity, error) {
	scopes, err := behalf.ParseScopes(c.Scope)
	if err != nil {
		return behalf.Identity{}, err
	}
	return behalf.Identity{
		Client: c.Subject, Project: c.Project, Scopes: scopes,
		Environments: c.Environments, Generation: c.Generation,
	}, nil
}

// spell writes scopes as a token and RFC 6749 have them.
func spell(scopes []behalf.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// ordered lists environments production first, each once.
func ordered(environments []behalf.Environment) []behalf.Environment {
	var out []behalf.Environment
	for _, env := range behalf.Environments() {
		if slices.Contains(environments, env) {
			out = append(out, env)
		}
	}
	return out
}
