package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/bus/scan"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// kept is a message where it lies.
type kept struct {
	subject string
	seq     uint64
	at      time.Time
	header  nats.Header
	data    []byte
}

// question asks a stream's leader for a message: by its sequence, or the first at or above it that matches, or the last
// of a subject.
type question struct {
	Seq  uint64 `json:"seq,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
}

// ask reads one message from the leader: right after an acknowledgement a replica may not have it yet. Errors: NotFound,
// Unavailable.
func (b *Bus) ask(ctx context.Context, stream string, q question) (kept, error) {
	const op = "bus.ask"
	body, err := json.Marshal(q)
	if err != nil {
		return kept{}, fault.Wrap(fault.Internal, op, err)
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.PubAckTimeout)
	defer cancel()
	m, err := b.conn.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return kept{}, fault.Wrap(fault.Unavailable, op, fmt.Errorf("stream %s: %w", stream, err))
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil:
		return kept{}, fault.Wrap(fault.Internal, op, err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return kept{}, fault.New(fault.NotFound, op, "no such message")
	case answer.Error != nil:
		return kept{}, fault.Wrap(fault.Unavailable, op, answer.Error)
	}
	k := kept{subject: answer.Message.Subject, seq: answer.Message.Seq, at: answer.Message.Time, data: answer.Message.Data, header: nats.Header{}}
	if len(answer.Message.Header) > 0 {
		if k.header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return kept{}, fault.Wrap(fault.Internal, op, err)
		}
	}
	return k, nil
}

// drop deletes one message. False says that it was not there any more: of several who drop it at once, one is told true.
// Errors: Unavailable, after which it may be gone.
func (b *Bus) drop(ctx context.Context, stream string, seq uint64) (bool, error) {
	const op = "bus.drop"
	body, err := json.Marshal(map[string]any{"seq": seq, "no_erase": true})
	if err != nil {
		return false, fault.Wrap(fault.Internal, op, err)
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.PubAckTimeout)
	defer cancel()
	m, err := b.conn.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+stream, body)
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, op, fmt.Errorf("stream %s: %w", stream, err))
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Success bool                `json:"success"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil:
		return false, fault.Wrap(fault.Internal, op, err)
	case answer.Error == nil:
		return answer.Success, nil
	case answer.Error.ErrorCode == codeDeleteFailed, answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return false, b.surelyGone(ctx, stream, seq, answer.Error)
	}
	return false, fault.Wrap(fault.Unavailable, op, answer.Error)
}

// surelyGone tells a message that was gone from one that could not be deleted: the server has one code for both.
func (b *Bus) surelyGone(ctx context.Context, stream string, seq uint64, cause error) error {
	_, err := b.ask(ctx, stream, question{Seq: seq})
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	}
	return fault.Wrap(fault.Unavailable, "bus.drop", cause)
}

// codeDeleteFailed is what a delete answers, also of a message that is not there.
const codeDeleteFailed jetstream.ErrorCode = 10057

// indexed is what a list needs of a message before its content is read.
type indexed struct {
	subject string
	seq     uint64
	at      time.Time
	id      string // its message id
}

// maxIndex is how many messages of one project a list looks through.
const maxIndex = 100_000

// index lists the messages of a filter without their contents, oldest first, at most maxIndex. Errors: Unavailable.
func (b *Bus) index(ctx context.Context, stream, filter string) ([]indexed, error) {
	var all []indexed
	err := scan.Messages(ctx, b.js, scan.Query{Stream: stream, Filter: filter, Headers: true, Most: maxIndex},
		func(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
			all = append(all, indexed{m.Subject(), meta.Sequence.Stream, meta.Timestamp, m.Headers().Get(jetstream.MsgIDHeader)})
			return true
		})
	return all, err
}
