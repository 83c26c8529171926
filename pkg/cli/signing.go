package cli

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// signing is the signer of an API whose key may be out of reach when it starts. Until the key has been read, tokens
// cannot be had, and everything else works. Once read, it is kept.
type signing struct {
	open   func(context.Context) (*auth.Signer, error)
	safe   safe
	log    zerolog.Logger
	signer atomic.Pointer[auth.Signer]
}

// openSigning reads the one signing key, or makes it: it lies in production where this API serves it, so that both roles
// find the same. That the key is out of reach is no error: run goes on trying.
func openSigning(ctx context.Context, all byEnvironment, credentials safe, log zerolog.Logger) (*signing, error) {
	var key auth.Safe
	var publishers []auth.Publisher
	for _, env := range behalf.Environments() {
		if p, ok := all[env]; ok {
			publishers = append(publishers, p.store)
			if key == nil {
				key = credential.NewSigning(credentials, env)
			}
		}
	}
	s := &signing{safe: credentials, log: log, open: func(ctx context.Context) (*auth.Signer, error) {
		return auth.OpenSigner(ctx, auth.Config{}, key, publishers...)
	}}
	return s, s.try(ctx)
}

// keepSigning opens it, and goes on trying where the key is out of reach.
func keepSigning(ctx context.Context, group *errgroup.Group, all byEnvironment, credentials safe, log zerolog.Logger) (*signing, error) {
	s, err := openSigning(ctx, all, credentials, log)
	if err == nil {
		group.Go(func() error { return s.run(ctx) })
	}
	return s, err
}

func (s *signing) try(ctx context.Context) error {
	signer, err := s.open(ctx)
	switch {
	case err == nil:
		s.signer.Store(signer)
	case fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout):
		s.log.Warn().Err(err).Msg("signing key not read; trying again")
	default:
		return err
	}
	return nil
}

// run reads the key as soon as it can be, and is over then.
func (s *signing) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for s.signer.Load() == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.try(ctx); err != nil {
			return over(err)
		}
	}
	return nil
}

// Sign implements api.Signer. Errors: Unavailable, until the key has been read.
func (s *signing) Sign(id behalf.Identity) (auth.Token, error) {
	signer := s.signer.Load()
	if signer == nil {
		return auth.Token{}, fault.New(fault.Unavailable, "cli.Sign", "tokens cannot be signed yet: the credential store is away")
	}
	return signer.Sign(id)
}

// ready says what speaks against serving: that no token can be signed, and why. When the store goes away later, the API
// goes on.
func (s *signing) ready() []string {
	if s.signer.Load() != nil {
		return nil
	}
	return append(s.safe.ready(), "the key that signs tokens has not been read yet")
}

// both joins what two parts say.
func both(a, b func() []string) func() []string {
	return func() []string { return append(a(), b()...) }
}
