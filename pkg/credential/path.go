package credential

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Path says whose credential it is. It may be compared and used as a key.
type Path struct {
	Environment behalf.Environment
	Project     behalf.ProjectID
	// User is empty for the project's own account.
	User    behalf.ExternalUserID
	App     behalf.AppSlug
	Account behalf.AccountID

	// reserved is a place of ours. Only this package can make one.
	reserved string
}

// The words that stand for a user or a project in reserved places. An encoded user has no underscore, and a project
// begins with proj_.
const (
	ownAccounts = "_own"
	signingKey  = "_keys/signing"
	oauthApps   = "/_oauth/"
	variables   = "/_env/"
)

var userAlphabet = base32.HexEncoding.WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant in all but name

// Kind is what lies at a path.
type Kind string

// The kinds of paths.
const (
	KindAccount    Kind = "account"
	KindOAuthApp   Kind = "oauth_app"
	KindVariable   Kind = "variable"
	KindSigningKey Kind = "signing_key"
)

// PathOf is the path of an account's credential.
func PathOf(env behalf.Environment, a behalf.Account) Path {
	return Path{Environment: env, Project: a.Project, User: a.User, App: a.App, Account: a.ID}
}

// SigningKeyPath is where the private key lies that signs our tokens.
func SigningKeyPath(env behalf.Environment) Path {
	return Path{Environment: env, reserved: signingKey}
}

// OAuthAppPath is where the secret of a project's own client at a service lies: {project}/_oauth/{id}.
func OAuthAppPath(env behalf.Environment, project behalf.ProjectID, id behalf.OAuthAppID) Path {
	return Path{Environment: env, reserved: string(project) + oauthApps + string(id)}
}

// ParsePath reads what Key spelt, in this environment. Errors: Invalid, for whatever Key would not spell exactly so.
func ParsePath(env behalf.Environment, key string) (Path, error) {
	p, err := parsed(env, key)
	if err != nil {
		return Path{}, err
	}
	if again, err := p.Key(); err != nil || again != key {
		return Path{}, noPath()
	}
	return p, nil
}

func noPath() error {
	return fault.New(fault.Invalid, "credential.ParsePath", "it is no path of a credential")
}

// parsed takes a key apart, and leaves it to Key to say whether the parts are any.
func parsed(env behalf.Environment, key string) (Path, error) {
	if key == signingKey {
		return SigningKeyPath(env), nil
	}
	if project, id, ok := strings.Cut(key, oauthApps); ok {
		return OAuthAppPath(env, behalf.ProjectID(project), behalf.OAuthAppID(id)), nil
	}
	if project, name, ok := strings.Cut(key, variables); ok {
		return VariablePath(env, behalf.ProjectID(project), behalf.VariableName(name)), nil
	}
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return Path{}, noPath()
	}
	p := Path{Environment: env, Project: behalf.ProjectID(parts[0]), App: behalf.AppSlug(parts[2]), Account: behalf.AccountID(parts[3])}
	if parts[1] == ownAccounts {
		return p, nil
	}
	user, err := userAlphabet.DecodeString(strings.ToUpper(parts[1]))
	if err != nil || len(user) == 0 {
		return Path{}, noPath()
	}
	p.User = behalf.ExternalUserID(user)
	return p, nil
}

// Kind says what lies at the path.
func (p Path) Kind() Kind {
	switch {
	case p.reserved == "":
		return KindAccount
	case p.reserved == signingKey:
		return KindSigningKey
	case strings.Contains(p.reserved, oauthApps):
		return KindOAuthApp
	}
	return KindVariable
}

// Key spells the path within its environment: {project}/{encoded user or _own}/{app}/{account}. No two paths have the
// same. What is not of its alphabet is refused, kind Invalid.
func (p Path) Key() (string, error) {
	if _, err := behalf.ParseEnvironment(string(p.Environment)); err != nil {
		return "", err
	}
	if p.reserved != "" {
		return p.reservedKey()
	}
	owner, err := p.owner()
	if err != nil {
		return "", err
	}
	return string(p.Project) + "/" + owner + "/" + string(p.App) + "/" + string(p.Account), nil
}

func (p Path) reservedKey() (string, error) {
	if p != (Path{Environment: p.Environment, reserved: p.reserved}) {
		return "", fault.New(fault.Invalid, "credential.Key", "a reserved path belongs to nobody")
	}
	if project, id, ok := strings.Cut(p.reserved, oauthApps); ok {
		if _, err := behalf.ParseProjectID(project); err != nil {
			return "", err
		}
		if _, err := behalf.ParseOAuthAppID(id); err != nil {
			return "", err
		}
	}
	return p.reserved, nil
}

func (p Path) owner() (string, error) {
	if _, err := behalf.ParseProjectID(string(p.Project)); err != nil {
		return "", err
	}
	if _, err := behalf.ParseAppSlug(string(p.App)); err != nil {
		return "", err
	}
	if _, err := behalf.ParseAccountID(string(p.Account)); err != nil {
		return "", err
	}
	if p.User == "" {
		return ownAccounts, nil
	}
	if _, err := behalf.ParseExternalUserID(string(p.User)); err != nil {
		return "", err
	}
	// In one case of letters, for stores that tell none apart.
	return strings.ToLower(userAlphabet.EncodeToString([]byte(p.User))), nil
}

// Name stands for the path where it may be read by others, and tells nothing of whose it is. It is one token of letters
// and digits, and empty for what is no path.
func (p Path) Name() string {
	key, err := p.Key()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(string(p.Environment) + "/" + key))
	return hex.EncodeToString(sum[:16])
}

// String is the path for operators. It names no user, because user ids may be addresses of people.
func (p Path) String() string {
	if p.reserved != "" {
		return string(p.Environment) + "/" + p.reserved
	}
	return string(p.Environment) + "/" + string(p.Project) + "/" + p.User.Hash() + "/" + string(p.App) + "/" + string(p.Account)
}
