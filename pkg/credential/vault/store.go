// Package vault keeps credentials in HashiCorp Vault or OpenBao: KV version 2, one mount for each environment.
//
// It never lists, never keeps a value once it has handed it over, never logs a value or the id of a user, and never
// ends the process because Vault is away: until it is back every call is Unavailable. Its types stop at this folder.
package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// DefaultPrefix begins the names of mounts, policies and roles where nobody says otherwise.
const DefaultPrefix = "behalf"

// Config says where Vault is, who we are to it, and tunes the store. What it does not name comes from Vault's own
// variables, and then from its defaults.
type Config struct {
	Server Server
	Login  Login
	// Prefix begins the names of the mounts: {prefix}-development and {prefix}-production.
	//
	// Defaults to behalf.
	Prefix string
	// Timeout is how long one request may take.
	//
	// Defaults to 5 seconds.
	Timeout time.Duration
	// Probe is how often Vault is asked whether it works, for Ready.
	//
	// Defaults to 5 seconds.
	Probe time.Duration
	// RetryLogin is how long to wait after a login that did not work. It doubles up to 16 times as much.
	//
	// Defaults to 1 second.
	RetryLogin time.Duration
	// Registerer takes the metrics. Nil works.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, DefaultPrefix)
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.Probe = cmp.Or(c.Probe, 5*time.Second)
	c.RetryLogin = cmp.Or(c.RetryLogin, time.Second)
	return c
}

// Mount names the mount of an environment.
func (c Config) Mount(env behalf.Environment) string {
	return cmp.Or(c.Prefix, DefaultPrefix) + "-" + string(env)
}

// Store is a credential.Store. It works while Run does.
type Store struct {
	cfg     Config
	client  *api.Client
	session *session
	gate    *gate
	health  *health
	metrics *metrics
}

// New makes a store. It does not connect: that is for Run. Errors: Invalid, for an address, a certificate or a login of
// no shape.
func New(cfg Config, log zerolog.Logger) (*Store, error) {
	cfg = cfg.withDefaults()
	client, err := cfg.Server.client(cfg.Timeout)
	if err != nil {
		return nil, err
	}
	method, err := cfg.Login.method()
	if err != nil {
		return nil, err
	}
	log = log.With().Str("component", "vault").Logger()
	m := newMetrics(cfg.Registerer)
	return &Store{
		cfg: cfg, client: client, metrics: m, health: newHealth(log), gate: newGate(m),
		session: newSession(client, method, cfg.RetryLogin, m, log),
	}, nil
}

// Run keeps us logged in until ctx ends: it renews the token, and logs in again when it cannot be renewed or was
// revoked. That Vault is away ends nothing.
func (s *Store) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.session.run(ctx) })
	group.Go(func() error { return s.probe(ctx) })
	return group.Wait()
}

// Tried is closed when the first login has worked or failed: what is asked before is Unavailable.
func (s *Store) Tried() <-chan struct{} { return s.session.tried }

// Ready says what speaks against serving. It names no address.
func (s *Store) Ready() []string {
	if why := cmp.Or(s.session.trouble(), s.health.trouble()); why != "" {
		return []string{"credentials: " + why}
	}
	return nil
}

// probe keeps an eye on Vault while nobody asks it anything.
func (s *Store) probe(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.Probe)
	defer tick.Stop()
	for {
		h, err := s.client.Sys().HealthWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.health.server(reasonOf(err))
		case !h.Initialized:
			s.health.server("Vault is not initialized")
		case h.Sealed:
			s.health.server("Vault is sealed")
		default:
			s.health.server("")
		}
		s.metrics.up(s.Ready() == nil)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Get implements credential.Store.
func (s *Store) Get(ctx context.Context, p credential.Path) (credential.Credential, credential.Revision, error) {
	place, err := s.place(p)
	if err != nil {
		return credential.Credential{}, 0, err
	}
	found, err := s.read(ctx, place)
	if err != nil {
		return credential.Credential{}, 0, at(p, err)
	}
	c, err := credential.Decode(found.Data)
	return c, credential.Revision(found.Metadata.Version), at(p, err)
}

// Put implements credential.Store. A write whose answer is lost is Unavailable and may have been stored: read again.
func (s *Store) Put(ctx context.Context, p credential.Path, c credential.Credential, r credential.Revision) (credential.Revision, error) {
	place, err := s.place(p)
	if err != nil {
		return 0, err
	}
	plain, err := credential.Encode(c)
	if err != nil {
		return 0, at(p, err)
	}
	version, err := s.write(ctx, place, plain, uint64(r))
	if r == 0 && fault.Is(err, fault.Conflict) {
		version, err = s.revive(ctx, place, plain, err)
	}
	return credential.Revision(version), at(p, err)
}

// revive writes over what an operator has deleted but not destroyed: to us there is nothing, and Vault still counts.
func (s *Store) revive(ctx context.Context, place place, plain []byte, conflict error) (uint64, error) {
	left, err := s.read(ctx, place)
	if !fault.Is(err, fault.NotFound) || left.Metadata.Version == 0 {
		return 0, conflict
	}
	return s.write(ctx, place, plain, left.Metadata.Version)
}

// Delete implements credential.Store. Every version is destroyed.
func (s *Store) Delete(ctx context.Context, p credential.Path) error {
	place, err := s.place(p)
	if err != nil {
		return err
	}
	return at(p, s.call(ctx, "delete", func(ctx context.Context) error {
		_, err := s.client.Logical().DeleteWithContext(ctx, place.mount+"/metadata/"+place.key)
		return err
	}))
}

// place is where a credential lies. The key has no letter that a path could be misread by.
type place struct{ mount, key string }

func (p place) data() string { return p.mount + "/data/" + p.key }

func (s *Store) place(p credential.Path) (place, error) {
	key, err := p.Key()
	return place{s.cfg.Mount(p.Environment), key}, err
}

// version is what Vault answers about one version of a value.
type version struct {
	Data     json.RawMessage `json:"data"`
	Metadata struct {
		Version uint64 `json:"version"`
	} `json:"metadata"`
}

// read reads the last version. One that was deleted is NotFound, with its number.
func (s *Store) read(ctx context.Context, p place) (v version, err error) {
	err = s.call(ctx, "read", func(ctx context.Context) error {
		response, err := s.client.Logical().ReadRawWithContext(ctx, p.data())
		if response == nil {
			return err
		}
		defer func() { _ = response.Body.Close() }() // only read
		if err != nil && response.StatusCode != http.StatusNotFound {
			return err
		}
		v, err = parse(response.Body, err)
		return err
	})
	return v, err
}

// maxAnswer is far above what a credential and Vault's own words about it may have.
const maxAnswer = 1 << 20

// parse reads an answer. A miss has an empty list of errors, or says when the version was deleted; any other 404 means
// that there is no such mount.
func parse(body io.Reader, miss error) (version, error) {
	var answer struct {
		Data   version  `json:"data"`
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&answer); err != nil {
		return version{}, errNoVault
	}
	found := answer.Data
	switch {
	case miss == nil && found.Metadata.Version > 0 && len(found.Data) > 0:
		return found, nil
	case miss == nil:
		return version{}, errNoVault
	case len(answer.Errors) > 0:
		return version{}, errNoMount
	}
	return found, errMiss
}

func (s *Store) write(ctx context.Context, p place, plain []byte, revision uint64) (next uint64, err error) {
	body := bytes.NewBufferString(`{"options":{"cas":` + strconv.FormatUint(revision, 10) + `},"data":`)
	body.Write(plain)
	body.WriteByte('}')
	err = s.call(ctx, "write", func(ctx context.Context) error {
		written, err := s.client.Logical().WriteBytesWithContext(ctx, p.data(), body.Bytes())
		if err != nil {
			return err
		}
		if written == nil {
			return errNoVault
		}
		number, _ := written.Data["version"].(json.Number)
		if next, err = strconv.ParseUint(number.String(), 10, 64); err != nil || next == 0 {
			return errNoVault
		}
		return nil
	})
	return next, err
}

// call makes one request of ours, within its time and the manners of the gate. A token that is refused is looked at, and
// where it was indeed no longer good the request is made once more with the next.
func (s *Store) call(ctx context.Context, op string, do func(context.Context) error) error {
	began, token := time.Now(), s.client.Token()
	err := s.attempt(ctx, do)
	if isDenied(err) && s.session.doubt(ctx, token) {
		err = s.attempt(ctx, do)
	}
	s.metrics.request(op, err, time.Since(began))
	return err
}

func (s *Store) attempt(ctx context.Context, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.KindOf(err), "vault.call", err)
	}
	if why := s.session.trouble(); why != "" {
		return away(why, errors.New("not logged in"))
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	err := translate(ctx, do(bounded))
	s.gate.leave(err)
	s.health.request(err)
	return err
}

// at says whose credential it was about, without naming the user.
func at(p credential.Path, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("credential %s: %w", p, err)
}
