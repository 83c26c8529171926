package store

import (
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Client finds a client in the copy, which knows of a revocation within 5 seconds. Errors: NotFound, Exhausted,
// Unavailable.
func (s *Store) Client(ctx context.Context, id behalf.ClientID) (behalf.Client, error) {
	if _, err := behalf.ParseClientID(string(id)); err != nil {
		return behalf.Client{}, err
	}
	return s.copies.clients.find(ctx, subject.ClientKey(id))
}

// ClientFromLeader reads a client as it is right now. Errors: NotFound, Unavailable.
func (s *Store) ClientFromLeader(ctx context.Context, id behalf.ClientID) (behalf.Client, error) {
	v, err := s.ClientForChange(ctx, id)
	return v.Value, err
}

// ClientForChange reads a client with its revision. Errors: NotFound, Unavailable.
func (s *Store) ClientForChange(ctx context.Context, id behalf.ClientID) (Versioned[behalf.Client], error) {
	if _, err := behalf.ParseClientID(string(id)); err != nil {
		return Versioned[behalf.Client]{}, err
	}
	return s.copies.clients.fromLeader(ctx, subject.ClientKey(id))
}

// Clients lists the clients of a project, by id. Errors: Unavailable.
func (s *Store) Clients(ctx context.Context, project behalf.ProjectID) ([]behalf.Client, error) {
	all, err := s.copies.clients.list(ctx, subject.ClientKey("*"))
	var own []behalf.Client
	for _, c := range all {
		if c.Project == project {
			own = append(own, c)
		}
	}
	return own, err
}

// PutClient creates a client (revision 0) or changes it. Errors: Invalid, Conflict, Unavailable.
func (s *Store) PutClient(ctx context.Context, c behalf.Client, revision uint64) (uint64, error) {
	if _, err := behalf.ParseClientID(string(c.ID)); err != nil {
		return 0, err
	}
	c.V = behalf.FormatVersion
	return putCopied(ctx, s.copies.clients, subject.ClientKey(c.ID), c, revision)
}

// publicKey is how a public signing key is stored.
type publicKey struct {
	V   int    `json:"v"`
	KID string `json:"kid"`
	Key []byte `json:"ed25519"`
}

func decodePublicKey(data []byte) (ed25519.PublicKey, error) {
	record, err := decode[publicKey](data)
	if err != nil {
		return nil, err
	}
	if len(record.Key) != ed25519.PublicKeySize {
		return nil, fault.Wrap(fault.Internal, "store.decode", errors.New("the record is no Ed25519 key"))
	}
	return record.Key, nil
}

// PublicKey finds the key with which a token was signed, in the copy. Errors: NotFound, Exhausted, Unavailable.
func (s *Store) PublicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if err := checkKID(kid); err != nil {
		return nil, err
	}
	return s.copies.keys.find(ctx, subject.PublicKeyKey(kid))
}

// PutPublicKey publishes a key. To publish the same again changes nothing. Errors: Invalid, Conflict (another key under
// the same id), Unavailable.
func (s *Store) PutPublicKey(ctx context.Context, kid string, key ed25519.PublicKey) error {
	if err := checkKID(kid); err != nil {
		return err
	}
	if len(key) != ed25519.PublicKeySize {
		return fault.New(fault.Invalid, "store.PutPublicKey", "the key must be an Ed25519 public key")
	}
	data, err := encode(publicKey{behalf.FormatVersion, kid, key})
	if err != nil {
		return err
	}
	return s.copies.keys.bucket.putOnce(ctx, subject.PublicKeyKey(kid), data)
}

// checkKID refuses what is not one token: it comes out of a stranger's bearer token.
func checkKID(kid string) error {
	ok := kid != "" && len(kid) <= 64
	for i := range len(kid) {
		c := kid[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		return fault.New(fault.Invalid, "store.PublicKey", "a key id must be letters, digits, - and _, at most 64")
	}
	return nil
}
