// Package bus carries events from whoever accepts them to whoever runs them, and results back, over NATS JetStream.
//
// It never decides what happens to an event, never reads a body and never makes a consumer while it serves: streams
// and consumers come from Provision. The types of nats.go stop at this folder.
package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Config tunes a bus. The zero value works.
type Config struct {
	// AckWait is how long a worker may hold an event without a sign of life. It must be what Provision was told.
	//
	// Defaults to 30 seconds.
	AckWait time.Duration
	// GiveBack is how long a delivery waits for a free slot before another worker may have it.
	//
	// Defaults to 5 seconds.
	GiveBack time.Duration
	// Heartbeat is how often the server must show that a pull is alive; after two and a half without, it is made anew.
	//
	// Defaults to 5 seconds.
	Heartbeat time.Duration
	// PubAckTimeout is how long one publish waits for its acknowledgement before its outcome counts as unknown.
	//
	// Defaults to 2 seconds.
	PubAckTimeout time.Duration
	// Registerer takes the metrics. Nil works.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	c.AckWait = cmp.Or(c.AckWait, 30*time.Second)
	c.GiveBack = cmp.Or(c.GiveBack, 5*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, 5*time.Second)
	c.PubAckTimeout = cmp.Or(c.PubAckTimeout, 2*time.Second)
	return c
}

// Bus is the way of events and results in one environment. It does not close its connection.
type Bus struct {
	env     behalf.Environment
	cfg     Config
	conn    *Conn
	js      jetstream.JetStream
	log     zerolog.Logger
	waiters *waiters
	horizon atomic.Pointer[horizon]
	metrics *metrics
	started time.Time
}

// New makes the bus of an environment on a connection. Errors: Unavailable.
func New(ctx context.Context, conn *Conn, env behalf.Environment, cfg Config, log zerolog.Logger) (*Bus, error) {
	cfg = cfg.withDefaults()
	js, err := jetstream.New(conn.nc,
		jetstream.WithPublishAsyncTimeout(cfg.PubAckTimeout),
		jetstream.WithPublishAsyncMaxPending(16_384))
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "bus.New", err)
	}
	b := &Bus{
		env: env, cfg: cfg, conn: conn, js: js, waiters: newWaiters(), started: time.Now(),
		log:     log.With().Str("component", "bus").Str("environment", string(env)).Logger(),
		metrics: newMetrics(cfg.Registerer, env, conn),
	}
	if err := b.listen(); err != nil {
		return nil, err
	}
	conn.OnReconnect(func() { go b.lookAround(context.WithoutCancel(ctx), horizonTimeout) }) // others must not wait for it
	b.lookAround(ctx, horizonTimeout)
	return b, nil
}

// Environment is the one world this bus serves.
func (b *Bus) Environment() behalf.Environment { return b.env }

// Connected says whether a server is there right now.
func (b *Bus) Connected() bool { return b.conn.Connected() }

// OnReconnect has f called after every reconnect, on a goroutine of the connection.
func (b *Bus) OnReconnect(f func()) { b.conn.OnReconnect(f) }

// horizon is the last sequence of each stream at the connect with this stamp. A delivery at or below it may have been
// handled before: a killed server forgets acknowledgements and delivery counts alike.
type horizon struct {
	stamp  uint64
	events uint64
	timers uint64
}

const horizonTimeout = 5 * time.Second

// keepHorizon reads the horizon again where a try before failed.
func (b *Bus) keepHorizon(ctx context.Context) {
	if h := b.horizon.Load(); b.Connected() && (h == nil || h.stamp != b.conn.Reconnects()) {
		b.lookAround(ctx, min(b.cfg.AckWait/6, time.Second)) // signs of life must not wait for it
	}
}

// forgetHorizon makes every delivery count as seen until keepHorizon has read it again.
func (b *Bus) forgetHorizon() { b.horizon.Store(nil) }

// lookAround reads the horizon of the present connection. Until it has, every delivery counts as seen.
func (b *Bus) lookAround(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	h := horizon{stamp: b.conn.Reconnects()}
	for _, s := range []struct {
		stream string
		last   *uint64
	}{{subject.Events(b.env), &h.events}, {subject.Timers(b.env), &h.timers}} {
		info, err := b.streamState(ctx, s.stream)
		if err != nil {
			b.log.Warn().Err(err).Str("stream", s.stream).Msg("horizon not read; deliveries count as seen")
			return
		}
		*s.last = info.LastSeq
	}
	b.horizon.Store(&h)
}

func (b *Bus) streamState(ctx context.Context, name string) (jetstream.StreamState, error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamState{}, fault.Wrap(fault.Unavailable, "bus.streamState", err)
	}
	return stream.CachedInfo().State, nil
}

// Answer tells a result to whoever waits at the reply subject, in memory where that is this process. It is called only
// after the record of the result is durable. Nobody waiting is no error. Errors: Invalid for a subject that no ingress
// made, Unavailable.
func (b *Bus) Answer(_ context.Context, reply string, result behalf.Result) error {
	if reply == "" {
		return nil
	}
	if err := subject.CheckReply(reply); err != nil {
		return err
	}
	if b.waiters.local(reply) {
		b.waiters.deliver(reply, result)
		return nil
	}
	data, err := json.Marshal(result)
	if err != nil {
		return fault.Wrap(fault.Internal, "bus.Answer", err)
	}
	switch {
	case len(data) > MaxRecord && result.Unkept:
		return b.answerInParts(reply, data)
	case len(data) > MaxRecord:
		data, _ = json.Marshal(behalf.Result{V: result.V, Run: result.Run, State: result.State, Elsewhere: true})
	}
	return fault.Wrap(fault.Unavailable, "bus.Answer", b.conn.nc.Publish(reply, data))
}

// headerPart numbers the parts of a reply from 1, and says how many there are: 2/5.
const headerPart = "Behalf-Part"

func (b *Bus) answerInParts(reply string, data []byte) error {
	all := (len(data) + MaxRecord - 1) / MaxRecord
	i := 0
	for part := range slices.Chunk(data, MaxRecord) {
		i++
		m := &nats.Msg{Subject: reply, Data: part, Header: nats.Header{headerPart: {fmt.Sprintf("%d/%d", i, all)}}}
		if err := b.conn.nc.PublishMsg(m); err != nil {
			return fault.Wrap(fault.Unavailable, "bus.Answer", err)
		}
	}
	return nil
}

// Await registers a waiter for one result. The reply subject goes into Publish; release must be called.
func (b *Bus) Await() (reply string, result <-chan behalf.Result, release func()) {
	return b.waiters.add()
}

func (b *Bus) listen() error {
	_, err := b.conn.nc.Subscribe(subject.Replies(b.waiters.ingress), func(m *nats.Msg) {
		data, whole := m.Data, true
		if number := m.Header.Get(headerPart); number != "" {
			data, whole = b.waiters.join(m.Subject, number, m.Data)
		}
		if !whole {
			return
		}
		var result behalf.Result
		if err := json.Unmarshal(data, &result); err != nil {
			b.log.Error().Err(err).Msg("reply cannot be read")
			return
		}
		b.waiters.deliver(m.Subject, result)
	})
	return fault.Wrap(fault.Unavailable, "bus.New", err)
}
