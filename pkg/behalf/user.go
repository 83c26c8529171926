package behalf

import (
	"crypto/sha256"
	"encoding/hex"
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
	V         int            `json:"v"`
	ID        UserRecordID   `json:"id"`
	Project   ProjectID      `json:"project"`
	External  ExternalUserID `json:"external_id"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

const maxUserID = 250

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
