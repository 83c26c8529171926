// Package store keeps what a role must know beyond single runs: definitions, external users, accounts, clients, and
// objects too large for their place. It also keeps the copies from which the hot path is answered.
//
// It never holds a secret in clear, never makes a bucket (that is the provisioner's work, by Buckets) and never says
// no from a copy: what is not in memory is looked up at the stream's leader first.
package store

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Config tunes a store. The zero value works.
type Config struct {
	// Remember is how many users, and how many users' accounts, are kept in memory.
	//
	// Defaults to 100,000.
	Remember int
	// RememberNames is how many ids of users are kept in memory for searches, about 150 bytes each. Of a project with more, a
	// search reads the users themselves, some at a time.
	//
	// Defaults to 250,000.
	RememberNames int
	// RememberVersions is how many versions of workflows are kept in memory.
	//
	// Defaults to 1,000.
	RememberVersions int
	// RememberObjects is how many bytes of objects are kept in memory.
	//
	// Defaults to 64 MiB.
	RememberObjects int
	// MissFor is how long the leader's "there is no such thing" is believed.
	//
	// Defaults to 1 second.
	MissFor time.Duration
	// MissRate is how many misses of one copy may ask the leader in a second, so that whoever guesses ids cannot load
	// it. Above it misses are Exhausted.
	//
	// Defaults to 200.
	MissRate int
	// ReadTimeout is how long one read from a leader may take.
	//
	// Defaults to 2 seconds.
	ReadTimeout time.Duration
	// KeepMarkers is how long the marker of a deleted key stays, and with it the key's name.
	//
	// Defaults to 1 hour.
	KeepMarkers time.Duration
}

func (c Config) withDefaults() Config {
	c.Remember = cmp.Or(c.Remember, 100_000)
	c.RememberNames = cmp.Or(c.RememberNames, 250_000)
	c.RememberVersions = cmp.Or(c.RememberVersions, 1_000)
	c.RememberObjects = cmp.Or(c.RememberObjects, 64<<20)
	c.MissFor = cmp.Or(c.MissFor, time.Second)
	c.MissRate = cmp.Or(c.MissRate, 200)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 2*time.Second)
	c.KeepMarkers = cmp.Or(c.KeepMarkers, keepMarkers)
	return c
}

// Versioned is a value with its revision, for a later write that must not undo another's. Revision 0 means that there
// is nothing yet.
type Versioned[T any] struct {
	Value    T
	Revision uint64
}

// Store is what is known in one environment. It does not close its connection. It works before and without Run; then
// every answer comes from the leader.
type Store struct {
	sealed   *bucket
	leases   *bucket
	connects *bucket
	objects  *objects
	copies   copies
	versions *versions
	people   *people
	watches  []*watch
	ready    chan struct{}
}

// copies are what is watched whole.
type copies struct {
	projects  *copied[Project]
	workflows *copied[behalf.Workflow]
	endpoints *copied[behalf.Endpoint]
	clients   *copied[behalf.Client]
	keys      *copied[ed25519.PublicKey]
}

// New makes the store of an environment, whose buckets must be there. Errors: Unavailable.
func New(ctx context.Context, nc *nats.Conn, env behalf.Environment, cfg Config, log zerolog.Logger) (*Store, error) {
	cfg = cfg.withDefaults()
	log = log.With().Str("component", "store").Str("environment", string(env)).Logger()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(cfg.ReadTimeout))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "store.New", err)
	}
	objects, err := openObjects(ctx, nc, env, cfg)
	if err != nil {
		return nil, err
	}
	bucketOf := func(name string) *bucket {
		return &bucket{nc: nc, js: js, name: name, leader: leader{nc, cfg.ReadTimeout}, keepMarkers: cfg.KeepMarkers}
	}
	definitions, clients, users := bucketOf(subject.Definitions(env)), bucketOf(subject.Clients(env)), bucketOf(subject.Users(env))
	s := &Store{
		sealed: bucketOf(subject.Sealed(env)), leases: bucketOf(subject.Leases(env)), connects: bucketOf(subject.Connecting(env)), objects: objects, ready: make(chan struct{}),
		copies: copies{
			projects:  newCopied("project", definitions, cfg, log, decode[Project]),
			workflows: newCopied("workflow", definitions, cfg, log, decode[behalf.Workflow]),
			endpoints: newCopied("endpoint", definitions, cfg, log, decode[behalf.Endpoint]),
			clients:   newCopied("client", clients, cfg, log, decode[behalf.Client]),
			keys:      newCopied("public key", clients, cfg, log, decodePublicKey),
		},
		versions: newVersions(definitions, cfg),
		people:   newPeople(users, cfg),
	}
	s.watches = s.watched(definitions, clients, users, log)
	return s, nil
}

func (s *Store) watched(definitions, clients, users *bucket, log zerolog.Logger) []*watch {
	return []*watch{
		newWatch(definitions, "project.>", s.copies.projects, log),
		newWatch(definitions, "workflow.>", s.copies.workflows, log),
		newWatch(definitions, "endpoint.>", s.copies.endpoints, log),
		newWatch(clients, "client.>", s.copies.clients, log),
		newWatch(clients, "key.>", s.copies.keys, log),
		newWatch(users, ">", s.people, log).changesOnly(),
	}
}

// Run keeps the copies until ctx ends, which is no error. It is called once.
func (s *Store) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	var filled sync.WaitGroup
	for _, w := range s.watches {
		filled.Add(1)
		g.Go(func() error { return w.run(ctx, sync.OnceFunc(filled.Done)) })
	}
	g.Go(func() error {
		filled.Wait() // a watch that ends counts as filled too, so this returns
		if ctx.Err() == nil {
			close(s.ready)
		}
		return nil
	})
	return g.Wait()
}

// Ready is closed when every copy has been filled once.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Reset fills the copies anew, and forgets users and accounts. It belongs on every reconnect: what changed meanwhile
// may have been told to nobody. Until a copy is filled, what it knew still answers.
func (s *Store) Reset() {
	for _, w := range s.watches {
		w.reset()
	}
}
