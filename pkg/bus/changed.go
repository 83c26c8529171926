package bus

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// CredentialChanged tells every cache of this environment that the credential of this name has changed. Nobody waits
// for it, and a cache that is not connected does not hear it.
func (b *Bus) CredentialChanged(name string) {
	if err := b.conn.nc.Publish(subject.CredentialChanged(b.env, name), nil); err != nil {
		b.log.Warn().Err(err).Msg("change of a credential not told; caches hold the old one a while")
	}
}

// CredentialChanges calls f with the name of each credential that somebody has changed, until ctx ends. What was told
// while nobody was connected is lost: after a reconnect a cache has to be emptied. Errors: Unavailable.
func (b *Bus) CredentialChanges(ctx context.Context, f func(name string)) error {
	changes := subject.CredentialChanges(b.env)
	prefix := strings.TrimSuffix(changes, "*")
	sub, err := b.conn.nc.Subscribe(changes, func(m *nats.Msg) { f(strings.TrimPrefix(m.Subject, prefix)) })
	if err != nil {
		return fault.Wrap(fault.Unavailable, "bus.CredentialChanges", err)
	}
	<-ctx.Done()
	if err := sub.Unsubscribe(); err != nil {
		b.log.Debug().Err(err).Msg("changes of credentials not unsubscribed") // the connection is gone, and so are they
	}
	return nil
}
