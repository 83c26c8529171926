package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Verifier tells who a bearer is.
type Verifier struct {
	copies map[behalf.Environment]Copy
	leeway time.Duration
	parser *jwt.Parser
	cache  *cache
}

// Keys finds public keys by their id. Errors: NotFound, Unavailable.
type Keys interface {
	PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error)
}

// Clients finds the records of clients. It is asked at every request, so it answers from memory. Errors: NotFound,
// Unavailable.
type Clients interface {
	Client(ctx context.Context, id behalf.ClientID) (behalf.Client, error)
}

// Copy is what a role keeps of one environment's clients and keys.
type Copy interface {
	Keys
	Clients
}

// NewVerifier makes a verifier of the environments that this role serves.
func NewVerifier(cfg Config, copies map[behalf.Environment]Copy) *Verifier {
	cfg = cfg.withDefaults()
	return &Verifier{
		copies: copies,
		leeway: cfg.Leeway,
		cache:  newCache(cfg.Cached),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithLeeway(cfg.Leeway),
		),
	}
}

// Verify tells who the bearer is. The signature is checked once and remembered until the token ends; the client's record
// is compared every time, so a token dies with its client.
//
// The identity is shared with the cache: read it only. Errors: Unauthenticated, whose message never says why;
// Unavailable when neither yes nor no can be said.
func (v *Verifier) Verify(ctx context.Context, bearer secret.String) (behalf.Identity, error) {
	text := bearer.Reveal()
	if len(text) > maxToken {
		return behalf.Identity{}, refuse(errors.New("the token is too long"))
	}
	sum := sha256.Sum256([]byte(text))
	id, ok := v.cache.lookup(sum, time.Now().Unix())
	if !ok {
		parsed, expires, err := v.parse(ctx, text)
		if err != nil {
			return behalf.Identity{}, err
		}
		id = parsed
		v.cache.add(sum, entry{identity: id, expires: expires})
	}
	if err := v.compare(ctx, id); err != nil {
		return behalf.Identity{}, err
	}
	return id, nil
}

// parse checks the token itself. It returns whom it names, and the second after which it must not be believed.
func (v *Verifier) parse(ctx context.Context, text string) (behalf.Identity, int64, error) {
	if !spelled(text) {
		return behalf.Identity{}, 0, refuse(errors.New("the token has characters that none of ours has"))
	}
	var c claims
	_, err := v.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) { return v.key(ctx, t.Header) })
	switch {
	case undecided(err):
		return behalf.Identity{}, 0, fault.Wrap(fault.KindOf(err), "auth.Verify", err)
	case err != nil:
		return behalf.Identity{}, 0, refuse(err)
	}
	id, err := c.identity()
	if err != nil {
		return behalf.Identity{}, 0, refuse(err)
	}
	return id, c.Expires + int64(v.leeway/time.Second), nil
}

// spelled holds a token to its alphabet. The base64 decoder passes over line ends, so that one token could be spelled in
// many ways and fill the cache.
func spelled(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// key finds the key of a token by its id alone: a key, or the address of one, inside of a token is never looked at.
func (v *Verifier) key(ctx context.Context, header map[string]any) (ed25519.PublicKey, error) {
	kid, _ := header["kid"].(string)
	_, critical := header["crit"]
	switch {
	case header["typ"] != tokenType:
		return nil, errors.New("the token is of another type")
	case critical:
		return nil, errors.New("the token demands what we do not know")
	case !validKeyID(kid):
		return nil, errors.New("the key id is not one of ours")
	}
	return v.published(ctx, kid)
}

func (v *Verifier) published(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	var last error = fault.New(fault.NotFound, "auth.Verify", "no such key")
	for _, env := range behalf.Environments() {
		c, ok := v.copies[env]
		if !ok {
			continue
		}
		key, err := c.PublicKey(ctx, kid)
		switch {
		case err == nil && keyID(key) == kid:
			return key, nil
		case err != nil && !fault.Is(err, fault.NotFound):
			last = err
		}
	}
	return nil, last
}

// compare holds the identity against the client's record, in the first environment of the token that this role serves:
// a record that spans both is written to production first.
func (v *Verifier) compare(ctx context.Context, id behalf.Identity) error {
	for _, env := range id.Environments {
		c, ok := v.copies[env]
		if !ok {
			continue
		}
		client, err := c.Client(ctx, id.Client)
		switch {
		case fault.Is(err, fault.NotFound):
			return refuse(err)
		case err != nil:
			return fault.Wrap(fault.KindOf(err), "auth.Verify", err)
		case !stands(client, id):
			return refuse(errors.New("the token has outlived what its client may do"))
		}
		return nil
	}
	return refuse(errors.New("the token is for another environment"))
}

// stands says whether the client may still do all that the token says.
func stands(client behalf.Client, id behalf.Identity) bool {
	if client.Revoked || client.Generation != id.Generation || client.Project != id.Project {
		return false
	}
	for _, scope := range id.Scopes {
		if !slices.Contains(client.Scopes, scope) {
			return false
		}
	}
	for _, env := range id.Environments {
		if !slices.Contains(client.Environments, env) {
			return false
		}
	}
	return true
}

// undecided says whether the failure is one of ours, so that the token may yet be good.
func undecided(err error) bool {
	return fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout) ||
		fault.Is(err, fault.Canceled) || fault.Is(err, fault.Exhausted)
}

// refuse keeps the reason for the operator and tells the caller nothing.
func refuse(why error) error {
	return fault.New(fault.Unauthenticated, "auth.Verify", "send Authorization: Bearer with a valid token").Because(why)
}
