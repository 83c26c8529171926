package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// keys are the identities of the server's operator, accounts and users. They are kept, because JetStream's files lie
// under the accounts' names.
type keys struct {
	Operator key                             `json:"operator"`
	System   key                             `json:"system"`
	Accounts map[behalf.Environment]identity `json:"accounts"`
}

type identity struct {
	Account key `json:"account"`
	User    key `json:"user"`
}

// key is a seed, and the pair made of it.
type key struct {
	Seed   string `json:"seed"`
	pair   nkeys.KeyPair
	public string
}

func newKey(prefix nkeys.PrefixByte) (key, error) {
	pair, err := nkeys.CreatePair(prefix)
	if err != nil {
		return key{}, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return key{}, err
	}
	k := key{Seed: string(seed)}
	return k, k.open()
}

func (k *key) open() (err error) {
	if k.pair, err = nkeys.FromSeed([]byte(k.Seed)); err != nil {
		return err
	}
	k.public, err = k.pair.PublicKey()
	return err
}

// loadKeys reads the keys of a folder, or makes them at its first use.
func loadKeys(dir string) (keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keys{}, fault.New(fault.Invalid, "embedded.Start", fmt.Sprintf("cannot make %s", dir)).Because(err)
	}
	file := filepath.Join(dir, "keys.json")
	data, err := os.ReadFile(file) //nolint:gosec // the folder that the operator named is the point
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeys(file)
	}
	if err != nil {
		return keys{}, fault.New(fault.Invalid, "embedded.Start", fmt.Sprintf("cannot read %s", file)).Because(err)
	}
	var k keys
	if err := errors.Join(json.Unmarshal(data, &k), k.openAll()); err != nil {
		return keys{}, fault.New(fault.Invalid, "embedded.Start", fmt.Sprintf("%s is damaged; move the data folder away to start anew", file)).Because(err)
	}
	return k, nil
}

func makeKeys(file string) (keys, error) {
	k := keys{Accounts: make(map[behalf.Environment]identity)}
	var errs []error
	take := func(prefix nkeys.PrefixByte) key {
		made, err := newKey(prefix)
		errs = append(errs, err)
		return made
	}
	k.Operator, k.System = take(nkeys.PrefixByteOperator), take(nkeys.PrefixByteAccount)
	for _, env := range behalf.Environments() {
		k.Accounts[env] = identity{Account: take(nkeys.PrefixByteAccount), User: take(nkeys.PrefixByteUser)}
	}
	data, err := json.Marshal(k)
	if err := errors.Join(append(errs, err)...); err != nil {
		return keys{}, fault.Wrap(fault.Internal, "embedded.Start", err)
	}
	return k, writePrivate(file, data)
}

func (k *keys) openAll() error {
	errs := []error{k.Operator.open(), k.System.open()}
	for _, env := range behalf.Environments() {
		id := k.Accounts[env]
		errs = append(errs, id.Account.open(), id.User.open())
		if k.Accounts != nil {
			k.Accounts[env] = id
		}
	}
	return errors.Join(errs...)
}

// accounts makes the operator's and the accounts' claims anew at each start.
func (k keys) accounts() (*jwt.OperatorClaims, *server.MemAccResolver, error) {
	operator := jwt.NewOperatorClaims(k.Operator.public)
	operator.Name = "behalf"
	operator.SystemAccount = k.System.public
	resolver := &server.MemAccResolver{}
	store := func(name string, account key, limits jwt.JetStreamLimits) error {
		claims := jwt.NewAccountClaims(account.public)
		claims.Name = name
		claims.Limits.JetStreamLimits = limits
		token, err := claims.Encode(k.Operator.pair)
		if err != nil {
			return err
		}
		return resolver.Store(account.public, token)
	}
	errs := []error{store("SYS", k.System, jwt.JetStreamLimits{})}
	for env, id := range k.Accounts {
		errs = append(errs, store(string(env), id.Account, jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}))
	}
	token, err := operator.Encode(k.Operator.pair)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, nil, fault.Wrap(fault.Internal, "embedded.Start", err)
	}
	signed, err := jwt.DecodeOperatorClaims(token)
	return signed, resolver, fault.Wrap(fault.Internal, "embedded.Start", err)
}

func (k keys) credentials(env behalf.Environment) ([]byte, error) {
	id := k.Accounts[env]
	claims := jwt.NewUserClaims(id.User.public)
	claims.Name = string(env)
	token, err := claims.Encode(id.Account.pair)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "embedded.Start", err)
	}
	creds, err := jwt.FormatUserConfig(token, []byte(id.User.Seed))
	return creds, fault.Wrap(fault.Internal, "embedded.Start", err)
}
