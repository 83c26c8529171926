package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// watchHeartbeat is how often the server shows that a watch is alive; after two without, it is made anew. A revoked
// client must be known within 5 seconds, so the client library's own 5 seconds are too slow.
const watchHeartbeat = time.Second

// sink takes what a watch tells. Fills are numbered, so that the last words of an old watch are not believed.
type sink interface {
	// begin opens a fill. What is told under an older number is ignored from now on.
	begin() (fill uint64)
	apply(fill uint64, e entry)
	// filled says that all that was there when the fill began has been told.
	filled(fill uint64)
	// distrust says that changes may have been missed; a fill follows.
	distrust()
	// end says that no fill follows.
	end()
}

// watch tells a sink what the keys of a pattern hold, and how they change.
type watch struct {
	bucket  *bucket
	pattern string
	sink    sink
	log     zerolog.Logger
	again   chan struct{}
	// changes leaves out what is already there when the watch begins.
	changes bool
}

func newWatch(b *bucket, pattern string, s sink, log zerolog.Logger) *watch {
	return &watch{
		bucket: b, pattern: pattern, sink: s, again: make(chan struct{}, 1),
		log: log.With().Str("bucket", b.name).Str("pattern", pattern).Logger(),
	}
}

func (w *watch) changesOnly() *watch {
	w.changes = true
	return w
}

// reset makes the watch anew.
func (w *watch) reset() {
	w.sink.distrust()
	select {
	case w.again <- struct{}{}:
	default: // one is due already
	}
}

// run watches until ctx ends, whatever happens to the server. It calls filled when it is done for the first time, or
// over.
func (w *watch) run(ctx context.Context, filled func()) error {
	defer filled()
	defer w.sink.end()
	pause := minPause
	for ctx.Err() == nil {
		began := time.Now()
		err := w.once(ctx, filled)
		if err == nil || ctx.Err() != nil {
			continue
		}
		w.sink.distrust()
		w.log.Warn().Err(err).Msg("watch lost; it will be made anew")
		if time.Since(began) > maxPause {
			pause = minPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-w.again: // the connection is back
		}
		pause = min(2*pause, maxPause)
	}
	return nil
}

const (
	minPause = 50 * time.Millisecond
	maxPause = 2 * time.Second
)

// once watches until ctx ends, the watch is lost or a new one is wanted; only the last two return before ctx ends, with
// an error if it was lost.
func (w *watch) once(ctx context.Context, filled func()) error {
	w.drain()
	start := nats.DeliverLastPerSubject()
	if w.changes {
		last, err := w.bucket.lastSequence(ctx)
		if err != nil {
			return err
		}
		// From a sequence on, not "new": so that a consumer that the client library makes anew misses nothing.
		start = nats.StartSequence(last + 1)
	}
	f := &fill{watch: w, number: w.sink.begin(), done: filled}
	sub, err := w.subscribe(f, start)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // an error means that it is closed already
	lost := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(lost) })
	if !sub.IsValid() { // closed before anybody listened
		return errLost
	}
	select {
	case <-ctx.Done():
		return nil
	case <-w.again:
		return nil
	case <-lost:
		return errLost
	}
}

var errLost = errors.New("the subscription was closed")

// drain forgets a wish for a new watch that is about to be granted.
func (w *watch) drain() {
	select {
	case <-w.again:
	default:
	}
}

// lastSequence is that of the last change of any key, as the leader says. Errors: Unavailable.
func (b *bucket) lastSequence(ctx context.Context) (uint64, error) {
	s, err := b.js.Stream(ctx, b.stream())
	if err != nil {
		return 0, failed(ctx, "store.lastSequence", err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

func (w *watch) subscribe(f *fill, start nats.SubOpt) (*nats.Subscription, error) {
	// The ordered consumer of the older API is the one that pushes: quiet buckets cost nothing.
	js, err := w.bucket.nc.JetStream(nats.MaxWait(w.bucket.leader.timeout))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "store.watch", err)
	}
	f.mu.Lock() // until it is known how much is to come
	defer f.mu.Unlock()
	sub, err := js.Subscribe(w.bucket.subject(w.pattern), f.take,
		nats.BindStream(w.bucket.stream()), nats.OrderedConsumer(), nats.IdleHeartbeat(watchHeartbeat), start)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "store.watch", err)
	}
	pending, err := sub.InitialConsumerPending()
	if err != nil {
		_ = sub.Unsubscribe()
		return nil, fault.Wrap(fault.Unavailable, "store.watch", err)
	}
	f.pending = pending
	if pending == 0 || w.changes {
		f.finish()
	}
	return sub, nil
}

// fill is one life of a watch.
type fill struct {
	watch  *watch
	number uint64
	done   func()

	mu       sync.Mutex
	pending  uint64
	received uint64
	finished bool
}

func (f *fill) take(m *nats.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	meta, err := m.Metadata()
	if err != nil {
		return // not of this consumer
	}
	f.watch.sink.apply(f.number, entry{
		key: f.watch.bucket.keyOf(m.Subject), value: m.Data, revision: meta.Sequence.Stream, deleted: isMarker(m.Header),
	})
	f.received++
	if !f.finished && (meta.NumPending == 0 || f.received >= f.pending) {
		f.finish()
	}
}

func (f *fill) finish() {
	f.finished = true
	f.watch.sink.filled(f.number)
	f.done()
}
