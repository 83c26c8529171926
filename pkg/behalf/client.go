package behalf

import (
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Scope is what a client may do.
type Scope string

// The scopes of ours. Every route names the one it asks for.
const (
	ScopeInvoke  Scope = "invoke"
	ScopeConnect Scope = "connect"
	ScopeManage  Scope = "manage"
)

// Scopes lists every scope, sorted.
func Scopes() []Scope { return []Scope{ScopeConnect, ScopeInvoke, ScopeManage} }

// ParseScopes reads a space-separated list. The names that Pipedream's clients send are accepted too: `*` is every
// scope, connect:workflow:invoke is invoke, and every other connect:… is connect. The result is sorted, each once.
func ParseScopes(s string) ([]Scope, error) {
	var scopes []Scope
	for word := range strings.FieldsSeq(s) {
		switch {
		case word == "*":
			scopes = append(scopes, ScopeInvoke, ScopeConnect, ScopeManage)
		case word == "connect:workflow:invoke":
			scopes = append(scopes, ScopeInvoke)
		case word == "invoke", word == "connect", word == "manage":
			scopes = append(scopes, Scope(word))
		case strings.HasPrefix(word, "connect:"):
			scopes = append(scopes, ScopeConnect)
		default:
			return nil, fault.New(fault.Invalid, "behalf.ParseScopes", "scope must be of invoke, connect, manage")
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// Client is an OAuth client of a project: a backend of our customer. Its secret is kept only as a hash.
type Client struct {
	V            int           `json:"v"`
	ID           ClientID      `json:"id"`
	Project      ProjectID     `json:"project"`
	Name         string        `json:"name,omitempty"`
	Scopes       []Scope       `json:"scopes"`
	Environments []Environment `json:"environments"`
	// SecretHash is the SHA-256 of the secret in hexadecimal: enough for 256 bits at random, which no list can guess.
	SecretHash string `json:"secret_hash"`
	// Generation grows with every rotation and revocation. A token of another generation is refused.
	Generation int       `json:"generation"`
	Revoked    bool      `json:"revoked,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
}

// Identity is who is asking, as a verified token says it.
type Identity struct {
	Client       ClientID
	Project      ProjectID
	Scopes       []Scope
	Environments []Environment
	Generation   int
}

// May says whether the identity has the scope in the environment. The error says what is missing, kind Forbidden.
func (i Identity) May(scope Scope, env Environment) error {
	switch {
	case !slices.Contains(i.Scopes, scope):
		return fault.Newf(fault.Forbidden, "behalf.May", "this client lacks the scope %s", scope)
	case !slices.Contains(i.Environments, env):
		return fault.Newf(fault.Forbidden, "behalf.May", "this client may not act in %s", env)
	}
	return nil
}
