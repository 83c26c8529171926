// Package scan reads what a stream holds, in order and once, for lists that an operator or a late caller asks for.
//
// It never waits more than a second longer than its caller's context, never gives a part for the whole, and is not for the
// way of an event: each scan makes a consumer, which the server forgets by itself.
package scan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/fault"
)

const (
	// keep is how long the server keeps the consumer after its last read.
	keep = 10 * time.Second
	// batch is how many messages one pull asks for.
	batch = 500
	// patience is how often a pull that brought nothing is made again: in a cluster a consumer that was made may not
	// listen yet where it was placed.
	patience = 40
	pause    = 50 * time.Millisecond
)

// Query says what to read of a stream.
type Query struct {
	Stream, Filter string
	// Start is the first sequence to read, Since the first moment. At most one of them; defaults to the beginning.
	Start uint64
	Since time.Time
	// Headers leaves the contents out.
	Headers bool
	// Most is how many messages are read at most.
	Most int
}

// Messages hands over each message that matches, oldest first, until each says that it has enough. What is stored while it
// reads may come or not. Errors: Unavailable, also where the server stopped in the middle; then what was handed over is
// not all.
//
// The ordered consumer of the client library would do it too, but it makes its consumer anew without end where no server
// leads the stream, and no context of ours ends that.
func Messages(ctx context.Context, js jetstream.JetStream, q Query, each func(jetstream.Msg, *jetstream.MsgMetadata) (more bool)) error {
	consumer, err := js.CreateConsumer(ctx, q.Stream, q.consumer())
	if err != nil {
		return fault.Wrap(fault.Unavailable, "scan.Messages", fmt.Errorf("stream %s: %w", q.Stream, err))
	}
	r := reader{consumer: consumer, left: consumer.CachedInfo().NumPending, most: q.Most, each: each}
	for tries := 0; r.left > 0 && r.most > 0; {
		n, err := r.pull()
		if err == nil && n == 0 { // silence: they may have been deleted meanwhile
			err = r.ask(ctx)
		}
		if err == nil && (n > 0 || r.left == 0) {
			tries = 0
			continue
		}
		if tries++; err != nil && !errors.Is(err, nats.ErrNoResponders) || tries > patience || wait(ctx) != nil {
			err = fmt.Errorf("stream %s stopped after %d messages: %w", q.Stream, r.read, errors.Join(err, ctx.Err(), errSilent))
			return fault.Wrap(fault.Unavailable, "scan.Messages", err)
		}
	}
	return nil
}

func (q Query) consumer() jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		FilterSubject: q.Filter, HeadersOnly: q.Headers, AckPolicy: jetstream.AckNonePolicy,
		Replicas: 1, MemoryStorage: true, InactiveThreshold: keep,
	}
	switch {
	case q.Start > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, q.Start
	case !q.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &q.Since
	}
	return cfg
}

// reader is a scan on its way.
type reader struct {
	consumer jetstream.Consumer
	each     func(jetstream.Msg, *jetstream.MsgMetadata) bool
	left     uint64 // as the server counts them
	most     int
	read     uint64
}

// pull reads one batch. It ends by itself after a second of silence.
func (r *reader) pull() (n int, err error) {
	messages, err := r.consumer.FetchNoWait(min(r.most, batch))
	if err != nil {
		return 0, err
	}
	for m := range messages.Messages() {
		meta, metaErr := m.Metadata()
		switch {
		case err != nil || r.left == 0: // the rest of the batch
		case metaErr != nil:
			err = metaErr
		case meta.Sequence.Consumer != r.read+1:
			err = errGap
		default:
			n, r.read, r.most, r.left = n+1, r.read+1, r.most-1, meta.NumPending
			if !r.each(m, meta) {
				r.left = 0
			}
		}
	}
	return n, errors.Join(err, messages.Error())
}

var (
	errGap    = errors.New("messages were lost on the way")
	errSilent = errors.New("nothing more came")
)

// ask reads how many are left.
func (r *reader) ask(ctx context.Context) error {
	info, err := r.consumer.Info(ctx)
	if err == nil {
		r.left = info.NumPending
	}
	return err
}

func wait(ctx context.Context) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
