package behalf

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// ExternalUserID is what our customer calls one of its end users: 1 to 250 characters of their choosing.
type ExternalUserID string

// ExternalUser is our record of an end user. It exists from the first connect token or account until deleted; losing
// the last account does not remove it.
type ExternalUser struct {
	V        int            `json:"v"`
	ID       UserRecordID   `json:"id"`
	Project  ProjectID      `json:"project"`
	External ExternalUserID `json:"external_id"`
	// Config is what our customer stores beside the user, by name. It is not secret: steps and callers of the API read it.
	Config map[string]json.RawMessage `json:"config,omitempty"`
	// ForgottenAt is when a user of the same id was forgotten, before this record. What was sent for that user until then
	// never runs.
	ForgottenAt time.Time `json:"forgotten_at,omitzero"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Tombstone is what is left of a user who was forgotten: no name, but the hash under which it is stored.
type Tombstone struct {
	V  int       `json:"v"`
	At time.Time `json:"at"`
}

const (
	maxUserID = 250
	// maxConfig bounds the config of a user as JSON, in bytes.
	maxConfig = 64 << 10
	// maxConfigName bounds one name of it, in bytes.
	maxConfigName = 250
)

// Configured changes the config: a name with null is taken out. Errors: Invalid, for a name that is none, and where all of
// it would be above 64 KiB.
func (u ExternalUser) Configured(change map[string]json.RawMessage) (ExternalUser, error) {
	bad := func(why string) (ExternalUser, error) {
		return ExternalUser{}, fault.New(fault.Invalid, "behalf.Configured", why)
	}
	config := maps.Clone(u.Config)
	if config == nil {
		config = make(map[string]json.RawMessage, len(change))
	}
	for name, value := range change {
		switch {
		case name == "" || len(name) > maxConfigName || strings.ContainsFunc(name, unicode.IsControl):
			return bad("a name of config has 1 to 250 bytes, none of them a control character")
		case len(value) == 0 || string(value) == "null":
			delete(config, name)
		default:
			config[name] = value
		}
	}
	switch size, err := json.Marshal(config); {
	case err != nil:
		return bad("a value of config must be JSON")
	case len(size) > maxConfig:
		return bad("the config of a user may have at most 64 KiB as JSON")
	}
	u.Config = config
	return u, nil
}

// ParseExternalUserID checks a user id: valid UTF-8, 1 to 250 characters, none of them a control character.
func ParseExternalUserID(s string) (ExternalUserID, error) {
	bad := func(why string) (ExternalUserID, error) {
		return "", fault.Newf(fault.Invalid, "behalf.ParseExternalUserID", "external user ID %s", why)
	}
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s):
		return bad("must be valid UTF-8")
	case n == 0 || n > maxUserID:
		return bad("must have 1 to 250 characters")
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return bad("must not hold control characters")
		}
	}
	return ExternalUserID(s), nil
}

// Hash is the user as one subject token, which neither shows the id nor can be chosen to collide: the first 128 bits
// of its SHA-256 in hexadecimal, or "-" for no user.
func (u ExternalUserID) Hash() string {
	if u == "" {
		return "-"
	}
	sum := sha256.Sum256([]byte(u))
	return hex.EncodeToString(sum[:16])
}
