package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Safe is where the private signing key lies: the credential store, read by the API alone.
type Safe interface {
	// SigningKey returns the key as NewKey made it. Errors: NotFound, Unavailable.
	SigningKey(ctx context.Context) (secret.String, error)
	// PutSigningKey stores the first key. Errors: Conflict when there is one already, Unavailable.
	PutSigningKey(ctx context.Context, key secret.String) error
}

// Publisher shows a public key to the verifiers of one environment. To publish the same key again changes nothing.
type Publisher interface {
	PutPublicKey(ctx context.Context, kid string, key ed25519.PublicKey) error
}

// OpenSigner reads the signing key, makes it when there is none, and publishes its public half before any token is
// signed with it. Several may open at once: the first to store its key wins, and the others use that one.
func OpenSigner(ctx context.Context, cfg Config, safe Safe, publishers ...Publisher) (*Signer, error) {
	key, err := openKey(ctx, safe)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	s, err := NewSigner(cfg, key)
	if err != nil {
		return nil, err
	}
	for _, p := range publishers {
		if err := p.PutPublicKey(ctx, s.KeyID(), s.PublicKey()); err != nil {
			return nil, fmt.Errorf("publish the public key: %w", err)
		}
	}
	return s, nil
}

func openKey(ctx context.Context, safe Safe) (secret.String, error) {
	key, err := safe.SigningKey(ctx)
	if !fault.Is(err, fault.NotFound) {
		return key, err
	}
	fresh := NewKey()
	switch err := safe.PutSigningKey(ctx, fresh); {
	case fault.Is(err, fault.Conflict): // another process was faster
		return safe.SigningKey(ctx)
	case err != nil:
		return secret.String{}, err
	}
	return fresh, nil
}

// NewKey makes a fresh private key, as the text that a safe stores: the seed in base64.
func NewKey() secret.String {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // crypto/rand never fails: it ends the process instead
	return secret.New(base64.RawURLEncoding.EncodeToString(seed))
}

func parseKey(key secret.String) (ed25519.PrivateKey, error) {
	seed, err := base64.RawURLEncoding.DecodeString(key.Reveal())
	if err != nil || len(seed) != ed25519.SeedSize {
		// The decoder's error could show a piece of the key, so it ends here.
		return nil, fault.New(fault.Internal, "auth.NewSigner", "the signing key is not an Ed25519 seed in base64")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// keyID names a key by its content, so that no two keys share a name and none can be renamed.
func keyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:16])
}

// validKeyID holds a stranger's word to the alphabet of ours before it goes anywhere near a look-up.
func validKeyID(kid string) bool {
	if len(kid) != 32 {
		return false
	}
	for i := range len(kid) {
		if c := kid[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
