// Package migrate copies every credential from one store into another, and reads each back to see that it is there.
//
// It never prints a value, never deletes from where it reads, and never writes over a credential that may be newer than
// its own unless told to. It may be cut off at any point and run again.
package migrate

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Source is a store that can tell what it has.
type Source interface {
	// Keys lists what an environment has, as Path.Key spells it. Errors: Forbidden, Unavailable.
	Keys(ctx context.Context, env behalf.Environment) ([]string, error)
	// Get is that of credential.Store.
	Get(ctx context.Context, p credential.Path) (credential.Credential, credential.Revision, error)
}

// Config tunes a migration. The zero value works.
type Config struct {
	// Overwrite says that the source's value wins wherever the two differ. Otherwise it does only where both say when
	// they were issued, and the source's is the later one.
	Overwrite bool
	// DryRun says to look and not to write.
	DryRun bool
	// Parallel is how many credentials are on their way at once.
	//
	// Defaults to 8.
	Parallel int
	// Patience is how long one credential is tried again while a store is away.
	//
	// Defaults to 30 seconds.
	Patience time.Duration
	// Pause is the time between two such tries.
	//
	// Defaults to 1 second.
	Pause time.Duration
	// Hopeless says that to try again is no use.
	//
	// Defaults to never.
	Hopeless func(error) bool
}

func (c Config) withDefaults() Config {
	c.Parallel = cmp.Or(c.Parallel, 8)
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	c.Pause = cmp.Or(c.Pause, time.Second)
	if c.Hopeless == nil {
		c.Hopeless = func(error) bool { return false }
	}
	return c
}

// Migration goes from one store to another.
type Migration struct {
	cfg  Config
	from Source
	to   credential.Store
}

// New makes one. Nothing happens before Environment.
func New(cfg Config, from Source, to credential.Store) *Migration {
	return &Migration{cfg.withDefaults(), from, to}
}

// Report takes what became of one credential, and how many of how many that makes.
type Report func(o Outcome, done, total int)

// Environment copies what an environment has, and reports each credential in the order of their keys. What fails by
// itself is an outcome, and the rest goes on. Errors: Invalid (nothing opens: the source has the wrong key),
// Unavailable (a store stays away: run it again later), Canceled.
func (m *Migration) Environment(ctx context.Context, env behalf.Environment, report Report) error {
	keys, err := m.from.Keys(ctx, env)
	if err != nil {
		return err
	}
	if err := m.opens(ctx, env, keys); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(m.cfg.Parallel + 1) // and the one that starts them
	waiting := make(chan chan Outcome, m.cfg.Parallel)
	group.Go(func() error {
		defer close(waiting)
		return m.start(ctx, group, env, keys, waiting)
	})
	done := 0
	for one := range waiting {
		if o, ok := <-one; ok {
			done++
			report(o, done, len(keys))
		}
	}
	return group.Wait()
}

// start has each key moved, and its outcome waited for in the order of the keys.
func (m *Migration) start(ctx context.Context, group *errgroup.Group, env behalf.Environment, keys []string, waiting chan<- chan Outcome) error {
	for _, key := range keys {
		one := make(chan Outcome, 1)
		select {
		case waiting <- one:
		case <-ctx.Done():
			return fault.Wrap(fault.KindOf(ctx.Err()), "migrate.Environment", ctx.Err())
		}
		group.Go(func() error {
			defer close(one)
			o, err := m.key(ctx, env, key)
			if err == nil {
				one <- o
			}
			return err
		})
	}
	return nil
}

// key moves what lies at a key. Its error ends the migration.
func (m *Migration) key(ctx context.Context, env behalf.Environment, key string) (Outcome, error) {
	p, unknown := credential.ParsePath(env, key)
	if unknown != nil {
		return Outcome{Environment: env, Path: masked(env, key), Result: Failed, Error: "this release knows no such place"}, nil //nolint:nilerr // the rest goes on
	}
	o, err := (&move{Migration: m, path: p}).patiently(ctx)
	if fault.IsAway(err) || fault.Is(err, fault.Canceled) {
		return Outcome{}, err
	}
	o.describe(p)
	if err != nil {
		o.Result, o.Error = Failed, reason(err)
	}
	return o, nil
}

// enough is how many values that do not open make a wrong key.
const enough = 20

// opens finds out that the source has another key than that of its values, before anything is written.
func (m *Migration) opens(ctx context.Context, env behalf.Environment, keys []string) error {
	tried := 0
	for _, key := range keys {
		p, err := credential.ParsePath(env, key)
		if err != nil {
			continue
		}
		_, _, err = m.from.Get(ctx, p)
		if !fault.Is(err, fault.Internal) {
			return nil // it opens, or it will be told what is wrong
		}
		if tried++; tried == enough {
			break
		}
	}
	if tried == 0 {
		return nil
	}
	return fault.Newf(fault.Invalid, "migrate.Environment", "none of the first %d credentials of %s opens: they were sealed with another key", tried, env)
}

// reason is an error in words for whoever reads outcomes. Those of stores hold no value.
func reason(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Message == "" && f.Err != nil {
		return f.Err.Error()
	}
	return fault.Safe(err)
}
