package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// bucket is a KV bucket, read from its leader and written by revision.
type bucket struct {
	nc          *nats.Conn
	js          jetstream.JetStream
	name        string
	leader      leader
	keepMarkers time.Duration
}

// entry is one state of a key. A deleted one is a marker.
type entry struct {
	key      string
	value    []byte
	revision uint64
	deleted  bool
}

func (b *bucket) stream() string              { return "KV_" + b.name }
func (b *bucket) subject(key string) string   { return "$KV." + b.name + "." + key }
func (b *bucket) keyOf(subject string) string { return strings.TrimPrefix(subject, b.subject("")) }

// last reads the last entry of a key, or of all keys that a pattern matches. Errors: NotFound, Unavailable.
func (b *bucket) last(ctx context.Context, key string) (entry, error) {
	e, err := b.lastOrMarker(ctx, key)
	if err == nil && e.deleted {
		return entry{}, fault.Wrap(fault.NotFound, "store.read", errors.New("deleted"))
	}
	return e, err
}

func (b *bucket) lastOrMarker(ctx context.Context, key string) (entry, error) {
	m, err := b.leader.read(ctx, b.stream(), question{Last: b.subject(key)})
	if err != nil {
		return entry{}, err
	}
	return b.entry(m)
}

// walk reads what a pattern matches, one leader read an entry, upwards by revision from one on, until each says enough.
// A key that changes meanwhile comes again with its later state, so nothing that is there throughout is missed.
// Markers come too. Errors: Unavailable.
//
// It is for few keys. A watch would read many at once, but its consumer may sit on a replica that lags behind.
func (b *bucket) walk(ctx context.Context, pattern string, from uint64, each func(entry) (more bool)) error {
	for from = max(from, 1); ; {
		m, err := b.leader.read(ctx, b.stream(), question{Seq: from, Next: b.subject(pattern)})
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := b.entry(m)
		if err != nil {
			return err
		}
		if !each(e) {
			return nil
		}
		from = m.Sequence + 1
	}
}

// all reads the live entries that a pattern matches, by key.
func (b *bucket) all(ctx context.Context, pattern string) (map[string]entry, error) {
	live := map[string]entry{}
	err := b.walk(ctx, pattern, 1, func(e entry) bool {
		live[e.key] = e
		if e.deleted {
			delete(live, e.key)
		}
		return true
	})
	return live, err
}

func (b *bucket) entry(m stored) (entry, error) {
	header := nats.Header{}
	if len(m.Header) > 0 {
		var err error
		if header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return entry{}, fault.Wrap(fault.Internal, "store.read", err)
		}
	}
	return entry{key: b.keyOf(m.Subject), value: m.Data, revision: m.Sequence, deleted: isMarker(header)}, nil
}

// isMarker says whether a message tells that its key is gone: by us, or by the server after its time to live.
func isMarker(h nats.Header) bool {
	op := h.Get("KV-Operation")
	return op == "DEL" || op == "PURGE" || op == "" && h.Get(jetstream.MarkerReasonHeader) != ""
}

// put writes a key that must still be at the revision; at 0 there must be nothing. Errors: Conflict, Invalid (too
// large), Exhausted, Unavailable. After Unavailable, Timeout and Canceled it may have been written.
func (b *bucket) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.putFor(ctx, key, value, revision, 0)
}

// putFor is put of a value that ends by itself, in whole seconds. 0 means that it stays.
func (b *bucket) putFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	header := func() nats.Header {
		if ttl == 0 {
			return nats.Header{}
		}
		return nats.Header{jetstream.MsgTTLHeader: {ttl.String()}}
	}
	seq, err := b.write(ctx, key, value, header(), revision)
	if revision != 0 || !fault.Is(err, fault.Conflict) {
		return seq, err
	}
	// A key that was deleted lately has a marker, and a new value must name its revision.
	marker, readErr := b.lastOrMarker(ctx, key)
	if readErr != nil || !marker.deleted {
		return 0, err
	}
	return b.write(ctx, key, value, header(), marker.revision)
}

// delete leaves a marker that ends by itself. Errors: Conflict, Unavailable.
func (b *bucket) delete(ctx context.Context, key string, revision uint64) (uint64, error) {
	return b.write(ctx, key, nil, nats.Header{
		"KV-Operation":         {"PURGE"},
		jetstream.MsgRollup:    {jetstream.MsgRollupSubject},
		jetstream.MsgTTLHeader: {b.keepMarkers.String()},
	}, revision)
}

func (b *bucket) write(ctx context.Context, key string, value []byte, header nats.Header, revision uint64) (uint64, error) {
	msg := &nats.Msg{Subject: b.subject(key), Header: header, Data: value}
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		return 0, failed(ctx, "store.write", err)
	}
	return ack.Sequence, nil
}
