package auth

import (
	"crypto/ed25519"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Signer signs tokens. Only the API has one.
type Signer struct {
	lifetime time.Duration
	key      ed25519.PrivateKey
	kid      string
}

// Token is a signed token and its life.
type Token struct {
	Text     secret.String
	Scope    string
	IssuedAt time.Time
	Lifetime time.Duration
}

// NewSigner makes a signer of a key that NewKey made.
func NewSigner(cfg Config, key secret.String) (*Signer, error) {
	private, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	s := &Signer{lifetime: cfg.withDefaults().Lifetime, key: private}
	s.kid = keyID(s.PublicKey())
	return s, nil
}

// KeyID names the key in every token that it signed.
func (s *Signer) KeyID() string { return s.kid }

// PublicKey is what verifiers check with.
func (s *Signer) PublicKey() ed25519.PublicKey {
	public, _ := s.key.Public().(ed25519.PublicKey) // always: the key is Ed25519
	return public
}

// Sign makes the token of an identity.
func (s *Signer) Sign(id behalf.Identity) (Token, error) {
	issued := time.Now().Truncate(time.Second)
	token := Token{Scope: spell(id.Scopes), IssuedAt: issued, Lifetime: s.lifetime}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, &claims{
		Issuer: issuer, Audience: audience, Subject: id.Client, Project: id.Project,
		Scope: token.Scope, Environments: ordered(id.Environments), Generation: id.Generation,
		IssuedAt: issued.Unix(), Expires: issued.Add(s.lifetime).Unix(), ID: uuid.NewString(),
	})
	unsigned.Header["typ"] = tokenType
	unsigned.Header["kid"] = s.kid
	text, err := unsigned.SignedString(s.key)
	if err != nil {
		return Token{}, fault.Wrap(fault.Internal, "auth.Sign", err)
	}
	token.Text = secret.New(text)
	return token, nil
}
