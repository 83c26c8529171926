package cli

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// An API whose credential store is away when it starts signs as soon as that is back, and no sooner.
func TestSigningWaitsForItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Minute)
		s := &signing{log: zerolog.Nop(), open: func(context.Context) (*auth.Signer, error) {
			if time.Now().Before(back) {
				return nil, fault.New(fault.Unavailable, "test", "away")
			}
			return auth.NewSigner(auth.Config{}, auth.NewKey())
		}}
		if err := s.try(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := s.Sign(behalf.Identity{})
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(strings.Join(s.ready(), ""), "has not been read yet") {
			t.Errorf("without a key: %v, %v", err, s.ready())
		}
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(back); late > 2*time.Second {
			t.Errorf("the key was read %s late", late)
		}
		if _, err := s.Sign(behalf.Identity{}); err != nil || s.ready() != nil {
			t.Errorf("with a key: %v, %v", err, s.ready())
		}
	})
}

// What will not be better later ends the API instead.
func TestAKeyThatIsNoneEndsTheAPI(t *testing.T) {
	t.Parallel()
	s := &signing{log: zerolog.Nop(), open: func(context.Context) (*auth.Signer, error) {
		return nil, fault.New(fault.Internal, "test", "no key")
	}}
	if err := s.try(t.Context()); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
}
