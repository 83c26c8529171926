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
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(p.User))), nil
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
