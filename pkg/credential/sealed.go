package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Bucket is where sealed values lie. Revision 0 means nothing yet when writing, and any when deleting.
type Bucket interface {
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
	Keys(ctx context.Context, prefix string) ([]string, error)
}

// Sealed is a store that seals every credential with AES-256-GCM before it leaves the process. A sealed value opens
// only at its own path in its own environment, so moving one helps nobody.
//
// Whoever has the key file and the buckets has the credentials. It is for one machine; many want Vault.
type Sealed struct {
	aead    tink.AEAD
	buckets map[behalf.Environment]Bucket
}

// sealedValue is what lies in the bucket.
type sealedValue struct {
	V      int    `json:"v"`
	Sealed []byte `json:"sealed"`
}

// OpenSealed opens a store with the key in this file. At first use, while the buckets are empty, it makes the file,
// mode 0600. Errors: Forbidden (others may read the file), NotFound (the file is gone but sealed values are there),
// Invalid (the file holds no key), Unavailable.
func OpenSealed(ctx context.Context, keyFile string, buckets map[behalf.Environment]Bucket) (*Sealed, error) {
	handle, err := openKey(keyFile)
	if errors.Is(err, errNoKey) {
		if err := allEmpty(ctx, keyFile, buckets); err != nil {
			return nil, err
		}
		handle, err = makeKey(keyFile)
	}
	if err != nil {
		return nil, err
	}
	return sealedBy(handle, keyFile, buckets)
}

// ExistingSealed opens a store that was used before: it makes no key. Errors: those of OpenSealed, and NotFound also where
// there is nothing yet.
func ExistingSealed(keyFile string, buckets map[behalf.Environment]Bucket) (*Sealed, error) {
	handle, err := openKey(keyFile)
	if errors.Is(err, errNoKey) {
		return nil, fault.Newf(fault.NotFound, "credential.OpenSealed", "there is no key file %s", keyFile)
	}
	if err != nil {
		return nil, err
	}
	return sealedBy(handle, keyFile, buckets)
}

func sealedBy(handle *keyset.Handle, keyFile string, buckets map[behalf.Environment]Bucket) (*Sealed, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "credential.OpenSealed", "the key file %s holds no key for AES-256-GCM", keyFile)
	}
	return &Sealed{primitive, buckets}, nil
}

// Keys lists the keys of all paths of an environment, sorted. It is for moving house. Errors: Forbidden, Unavailable.
func (s *Sealed) Keys(ctx context.Context, env behalf.Environment) ([]string, error) {
	b, ok := s.buckets[env]
	if !ok {
		return nil, notHere(env)
	}
	keys, err := b.Keys(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("sealed values of %s: %w", env, err)
	}
	return keys, nil
}

// allEmpty keeps a lost key from being replaced by a new one, which would open nothing of what is there.
func allEmpty(ctx context.Context, keyFile string, buckets map[behalf.Environment]Bucket) error {
	for env, b := range buckets {
		keys, err := b.Keys(ctx, "")
		if err != nil {
			return fmt.Errorf("sealed values of %s: %w", env, err)
		}
		if len(keys) > 0 {
			return fault.Newf(fault.NotFound, "credential.OpenSealed",
				"the key file %s is gone, but %s has credentials that were sealed with it: put the file back, or delete them", keyFile, env)
		}
	}
	return nil
}

// Get implements Store.
func (s *Sealed) Get(ctx context.Context, p Path) (Credential, Revision, error) {
	b, key, err := s.place(p)
	if err != nil {
		return Credential{}, 0, err
	}
	value, revision, err := b.Get(ctx, key)
	if err != nil {
		return Credential{}, 0, at(p, err)
	}
	var sealed sealedValue
	if err := json.Unmarshal(value, &sealed); err != nil || sealed.V < 1 {
		return Credential{}, 0, at(p, fault.Wrap(fault.Internal, "credential.Get", errors.New("the value is not sealed")))
	}
	plain, err := s.aead.Decrypt(sealed.Sealed, bound(p.Environment, key))
	if err != nil {
		return Credential{}, 0, at(p, fault.Wrap(fault.Internal, "credential.Get",
			errors.New("the value does not open: it was sealed with another key, or for another path")))
	}
	c, err := Decode(plain)
	return c, Revision(revision), err
}

// Put implements Store.
func (s *Sealed) Put(ctx context.Context, p Path, c Credential, r Revision) (Revision, error) {
	b, key, err := s.place(p)
	if err != nil {
		return 0, err
	}
	plain, err := Encode(c)
	if err != nil {
		return 0, at(p, err)
	}
	sealed, err := s.aead.Encrypt(plain, bound(p.Environment, key))
	if err != nil {
		return 0, at(p, fault.Wrap(fault.Internal, "credential.Put", err))
	}
	value, err := json.Marshal(sealedValue{V: behalf.FormatVersion, Sealed: sealed})
	if err != nil {
		return 0, at(p, fault.Wrap(fault.Internal, "credential.Put", err))
	}
	revision, err := b.Put(ctx, key, value, uint64(r))
	return Revision(revision), at(p, err)
}

// Delete implements Store.
func (s *Sealed) Delete(ctx context.Context, p Path) error {
	b, key, err := s.place(p)
	if err != nil {
		return err
	}
	return at(p, b.Delete(ctx, key, 0))
}

func (s *Sealed) place(p Path) (Bucket, string, error) {
	key, err := p.Key()
	if err != nil {
		return nil, "", err
	}
	b, ok := s.buckets[p.Environment]
	if !ok {
		return nil, "", notHere(p.Environment)
	}
	return b, key, nil
}

func notHere(env behalf.Environment) error {
	return fault.Newf(fault.Forbidden, "credential.Sealed", "this process has no credentials of %s", env)
}

// bound is what a value is sealed for.
func bound(env behalf.Environment, key string) []byte { return []byte(string(env) + "/" + key) }

func at(p Path, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("credential %s: %w", p, err)
}
