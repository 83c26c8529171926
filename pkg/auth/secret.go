package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/behalf-dev/behalf/pkg/secret"
)

// The prefixes say what a secret is to whoever finds one: a person, or a scanner of source code.
const (
	clientSecretPrefix = "behalf_cs_"
	triggerTokenPrefix = "behalf_tt_"
	connectTokenPrefix = "ctok_"
)

// NewSecret makes the secret of a client: 256 bits at random behind a prefix. Keep its Hash, and show it once.
func NewSecret() secret.String { return secret.New(clientSecretPrefix + random()) }

// NewTriggerToken makes the static token of a trigger with auth: token. Keep its Hash, and show it once.
func NewTriggerToken() secret.String { return secret.New(triggerTokenPrefix + random()) }

// NewConnectToken makes a token with which an end user connects an account. Keep its Hash, and show it once.
func NewConnectToken() secret.String { return secret.New(connectTokenPrefix + random()) }

// IsConnectToken says whether a bearer is a connect token, good or not, and no access token.
func IsConnectToken(s secret.String) bool { return strings.HasPrefix(s.Reveal(), connectTokenPrefix) }

// Hash is what is stored of a random secret: its SHA-256 in hexadecimal. It is enough for 256 bits at random, which no
// list can guess, and never enough for a password.
func Hash(s secret.String) string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:])
}

// Matches says whether the secret is the one that was hashed, in constant time. An empty hash matches nothing, at the
// same cost.
func Matches(given secret.String, hash string) bool {
	return subtle.ConstantTimeCompare([]byte(Hash(given)), []byte(hash)) == 1
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
