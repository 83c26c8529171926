package behalf

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// AppSlug names a third-party service, such as slack: lower-case letters, digits, - and _, at most 64.
type AppSlug string

// ParseAppSlug checks a slug.
func ParseAppSlug(s string) (AppSlug, error) {
	ok := s != "" && len(s) <= maxID && all(s, func(c byte) bool { return lowerAlphanumeric(c) || c == '-' || c == '_' }) && lowerAlphanumeric(s[0])
	if !ok {
		return "", fault.New(fault.Invalid, "behalf.ParseAppSlug", "app must be lower-case letters, digits, - and _, at most 64")
	}
	return AppSlug(s), nil
}

// Account is one connection to one app: an external user's, or the project's own. Its secret lies in the credential
// store, never here.
type Account struct {
	V       int            `json:"v"`
	ID      AccountID      `json:"id"`
	Project ProjectID      `json:"project"`
	App     AppSlug        `json:"app"`
	User    ExternalUserID `json:"user,omitempty"` // empty for the project's own
	Name    string         `json:"name,omitempty"`
	// State says whether the credential still works. Empty means that it does.
	State AccountState `json:"state,omitempty"`
	// Reason is why it does not, in words that are safe to show.
	Reason string `json:"reason,omitempty"`
	Grant
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// AccountState says whether an account's credential works.
type AccountState string

// The states of an account.
const (
	// AccountActive works, or nobody knows better.
	AccountActive AccountState = "active"
	// AccountNeedsReauth no longer works, and its owner must connect again.
	AccountNeedsReauth AccountState = "needs_reauth"
	// AccountRevoked was taken back by its owner, at the service or here, and must be connected again.
	AccountRevoked AccountState = "revoked"
)

// Grant is what a service granted, as far as anyone may know it.
type Grant struct {
	// OAuthApp is the project's own client with which the account was connected. Empty means the one we ship.
	OAuthApp OAuthAppID `json:"oauth_app,omitempty"`
	Scopes   []string   `json:"scopes,omitempty"`
	// Identity stands for the user at the service, so that two connections of the same one can be told. It shows nothing of
	// them. Empty means that nobody knows.
	Identity string `json:"identity,omitempty"`
	// ExpiresAt is when the access token ends, RefreshedAt when it was last made anew. Zero means that nobody knows.
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	RefreshedAt time.Time `json:"refreshed_at,omitzero"`
	// RefreshAt is when the token is made anew although no run asks for it. Zero means never, as where there is nothing to
	// make it with.
	RefreshAt time.Time `json:"refresh_at,omitzero"`
}

// Usable says whether steps may use the account.
func (a Account) Usable() bool { return a.State == "" || a.State == AccountActive }

// Own says whether the account is the project's own, not a user's.
func (a Account) Own() bool { return a.User == "" }

// AccountPlace says where an account lies, for those who know its id alone.
type AccountPlace struct {
	V    int            `json:"v"`
	App  AppSlug        `json:"app"`
	User ExternalUserID `json:"user,omitempty"` // empty for the project's own
}

// DerivedAccountID makes the id of an account from whose it is, its app and its name, so that a second import of it finds
// the first.
func DerivedAccountID(user ExternalUserID, app AppSlug, name string) AccountID {
	h := sha256.New()
	for _, part := range []string{string(user), string(app), name} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return AccountID("apn_" + idEncoding.EncodeToString(h.Sum(nil)[:16]))
}

// AccountRef says whose account a step uses: the end user's of the run, or the project's own by name.
type AccountRef struct {
	App AppSlug `json:"app"`
	// Own is the name of the project's own account. Empty means the end user's.
	Own string `json:"own,omitempty"`
}

// ParseAccountRef reads what a workflow file says: `end_user`, or `own/` and a name. An account id is refused, because
// a version must mean the same in both environments.
func ParseAccountRef(app AppSlug, s string) (AccountRef, error) {
	if s == "end_user" {
		return AccountRef{App: app}, nil
	}
	name, ok := strings.CutPrefix(s, "own/")
	if !ok || !validOwnName(name) {
		return AccountRef{}, fault.New(fault.Invalid, "behalf.ParseAccountRef", "account must be end_user or own/NAME; an account id would mean another account in the other environment")
	}
	return AccountRef{App: app, Own: name}, nil
}

func validOwnName(s string) bool {
	return s != "" && len(s) <= maxID && all(s, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' })
}
