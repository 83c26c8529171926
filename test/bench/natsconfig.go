package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// writeNATS writes the configuration of a nats-server in operator mode, as Behalf is meant to find it: an account for
// each environment, with JetStream and a user. It returns the file's name, and the creds files by environment.
func writeNATS(dir, addr, httpAddr string) (string, map[string]string, error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return "", nil, err
	}
	system, err := newAccount(operator, "SYS", false)
	if err != nil {
		return "", nil, err
	}
	preload := []string{system.preload()}
	creds := map[string]string{}
	for _, env := range []string{"development", "production"} {
		a, err := newAccount(operator, env, true)
		if err != nil {
			return "", nil, err
		}
		preload = append(preload, a.preload())
		creds[env] = filepath.Join(dir, env+".creds")
		if err := a.writeUser(creds[env]); err != nil {
			return "", nil, err
		}
	}
	operatorJWT, err := encodeOperator(operator, system.id)
	if err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\nhttp: %q\noperator: %q\nsystem_account: %q\nresolver: MEMORY\nresolver_preload {\n%s\n}\njetstream { store_dir: %q }\n",
		addr, httpAddr, operatorJWT, system.id, strings.Join(preload, "\n"), filepath.Join(dir, "jetstream"))
	return config, creds, os.WriteFile(config, []byte(text), 0o600)
}

// account is a NATS account, signed by the operator.
type account struct {
	key nkeys.KeyPair
	id  string
	jwt string
}

func newAccount(operator nkeys.KeyPair, name string, jetstream bool) (account, error) {
	key, err := nkeys.CreateAccount()
	if err != nil {
		return account{}, err
	}
	id, err := key.PublicKey()
	if err != nil {
		return account{}, err
	}
	claims := jwt.NewAccountClaims(id)
	claims.Name = name
	if jetstream {
		claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	}
	signed, err := claims.Encode(operator)
	return account{key, id, signed}, err
}

func (a account) preload() string { return a.id + ": " + a.jwt }

func (a account) writeUser(file string) error {
	user, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	id, err := user.PublicKey()
	if err != nil {
		return err
	}
	signed, err := jwt.NewUserClaims(id).Encode(a.key)
	if err != nil {
		return err
	}
	seed, err := user.Seed()
	if err != nil {
		return err
	}
	creds, err := jwt.FormatUserConfig(signed, seed)
	if err != nil {
		return err
	}
	return os.WriteFile(file, creds, 0o600)
}

func encodeOperator(operator nkeys.KeyPair, system string) (string, error) {
	id, err := operator.PublicKey()
	if err != nil {
		return "", err
	}
	claims := jwt.NewOperatorClaims(id)
	claims.SystemAccount = system
	return claims.Encode(operator)
}
