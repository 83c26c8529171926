// Package journal keeps what happened in each run: it is the claim, the resume point, the result and the history in
// one.
//
// It never runs anything and never holds a lock: two workers that believe in the same run are told apart by the fence
// that every write carries.
package journal

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Objects keeps what is too large for a record.
type Objects interface {
	PutObject(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error)
	Object(ctx context.Context, ref behalf.ObjectRef) ([]byte, error)
	// PutUnshared keeps what nobody else has, so that DropObject may forget it. That leaves alone what PutObject kept.
	PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error)
	DropObject(ctx context.Context, ref behalf.ObjectRef) error
}

// Config tunes a journal. The zero value works.
type Config struct {
	// MaxRecord is the most that an encoded record may have, in bytes. What is larger goes to the objects.
	//
	// Defaults to 768 KiB.
	MaxRecord int
	// AckTimeout is how long a write waits for its acknowledgement before the journal is read to learn its outcome.
	//
	// Defaults to 2 seconds.
	AckTimeout time.Duration
	// MaxAttempts that may end without a record before the run is given up.
	//
	// Defaults to 5.
	MaxAttempts int
	// Registerer takes the metrics. Nil works.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.MaxRecord = cmp.Or(c.MaxRecord, 768<<10)
	c.AckTimeout = cmp.Or(c.AckTimeout, 2*time.Second)
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 5)
	return c
}

// Journal is the journal of one environment. It does not close its connection.
type Journal struct {
	env     behalf.Environment
	cfg     Config
	nc      *nats.Conn
	js      jetstream.JetStream
	objects Objects
	log     zerolog.Logger
	metrics *metrics
}

// New makes the journal of an environment.
func New(nc *nats.Conn, env behalf.Environment, objects Objects, cfg Config, log zerolog.Logger) (*Journal, error) {
	cfg = cfg.withDefaults()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(cfg.AckTimeout), jetstream.WithPublishAsyncMaxPending(16_384))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "journal.New", err)
	}
	return &Journal{
		env: env, cfg: cfg, nc: nc, js: js, objects: objects,
		log:     log.With().Str("component", "journal").Str("environment", string(env)).Logger(),
		metrics: newMetrics(cfg.Registerer, env),
	}, nil
}

type metrics struct {
	writes  prometheus.Histogram
	fenced  prometheus.Counter
	evicted prometheus.Counter
	unknown prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, env behalf.Environment) *metrics {
	f := promauto.With(reg) // nil: they work and go nowhere, which tests want
	constant := prometheus.Labels{"environment": string(env)}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "behalf", Subsystem: "journal", Name: name, Help: help, ConstLabels: constant})
	}
	return &metrics{
		writes: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "behalf", Subsystem: "journal", Name: "write_duration_seconds", Help: "Time until a record was durable.",
			ConstLabels: constant, Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 2},
		}),
		fenced:  counter("stale_writes_refused_total", "Records refused because another attempt owns the run."),
		evicted: counter("evicted_total", "Runs whose own records were dropped while they ran."),
		unknown: counter("unknown_writes_total", "Writes whose outcome had to be read."),
	}
}
