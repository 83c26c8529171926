// Package credential keeps the secrets of accounts, and hands one to whoever names its full path.
//
// It never logs a value, never puts one into an error and never decides who may have one: a Store cannot list, and a path
// belongs to one user of one project in one environment.
package credential

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/secret"
)

// FieldAccessToken is the field of a vendor's access token, by the name under which steps read it.
const FieldAccessToken = "oauth_access_token" //nolint:gosec // the name of a field, no value

// FieldClientSecret is the one field of what lies at an OAuthAppPath.
const FieldClientSecret = "client_secret"

// Credential is the secret of one account.
type Credential struct {
	// Fields are what a step reads as its prop's $auth: oauth_access_token, or the app's own fields.
	Fields map[string]secret.String
	// RefreshToken makes the next access token. No step ever sees it, so it is none of the fields.
	RefreshToken secret.String
	// ExpiresAt is when the access token ends. Zero means that it does not, or that nobody knows.
	ExpiresAt time.Time
	// IssuedAt is when the access token was made. Zero means that nobody knows.
	IssuedAt time.Time
	// Generation counts how often the access token was made anew since the account was connected.
	Generation uint64
	// Scopes that the vendor granted.
	Scopes []string
	// OAuthApp names the OAuth app with which the account was connected. Empty means the one we ship.
	OAuthApp string
}

// AccessToken returns the vendor's access token, if there is one.
func (c Credential) AccessToken() secret.String { return c.Fields[FieldAccessToken] }

// Secrets lists every secret value, for a redactor.
func (c Credential) Secrets() []secret.String {
	all := make([]secret.String, 0, len(c.Fields)+1)
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		all = append(all, c.Fields[name])
	}
	if !c.RefreshToken.IsZero() {
		all = append(all, c.RefreshToken)
	}
	return all
}

// Clone returns a copy that shares nothing with the original.
func (c Credential) Clone() Credential {
	c.Fields = maps.Clone(c.Fields)
	c.Scopes = slices.Clone(c.Scopes)
	return c
}

// Equal says whether two are the same credential in the same state.
func (c Credential) Equal(other Credential) bool {
	return maps.EqualFunc(c.Fields, other.Fields, secret.String.Equal) && c.RefreshToken.Equal(other.RefreshToken) &&
		c.ExpiresAt.Equal(other.ExpiresAt) && c.IssuedAt.Equal(other.IssuedAt) && c.Generation == other.Generation &&
		slices.Equal(c.Scopes, other.Scopes) && c.OAuthApp == other.OAuthApp
}

// Revision is the state of a stored credential, for a later write that must not undo another's. 0 means that there is
// nothing yet.
type Revision uint64

// Store keeps credentials. Every implementation passes the suite of credentialtest.
type Store interface {
	// Get reads a credential as it is right now. Errors: Invalid (no such path can be), NotFound, Internal (it cannot be
	// opened), Unavailable.
	Get(ctx context.Context, p Path) (Credential, Revision, error)
	// Put writes a credential that must still be at the revision; at 0 there must be nothing. Errors: Invalid, Conflict,
	// Unavailable.
	Put(ctx context.Context, p Path, c Credential, r Revision) (Revision, error)
	// Delete removes a credential. That there is none is no error. Errors: Invalid, Conflict (it was written meanwhile),
	// Unavailable.
	Delete(ctx context.Context, p Path) error
}
