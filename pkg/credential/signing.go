package credential

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Signing is the place of the private key that signs our tokens. Only the api reads it.
type Signing struct {
	store Store
	path  Path
}

// NewSigning finds the place in a store's environment.
func NewSigning(store Store, env behalf.Environment) Signing {
	return Signing{store, SigningKeyPath(env)}
}

const fieldKey = "key"

// SigningKey reads the key. Errors: NotFound, Unavailable.
func (s Signing) SigningKey(ctx context.Context) (secret.String, error) {
	c, _, err := s.store.Get(ctx, s.path)
	return c.Fields[fieldKey], err
}

// PutSigningKey stores the first key. Errors: Conflict when there is one already, Unavailable.
func (s Signing) PutSigningKey(ctx context.Context, key secret.String) error {
	_, err := s.store.Put(ctx, s.path, Credential{Fields: map[string]secret.String{fieldKey: key}}, 0)
	return err
}
