package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// leader reads messages from the leader of a stream. The obvious calls of the client library are direct gets wherever
// the stream allows them, and buckets always do: a replica may answer "not found" for what was just stored.
type leader struct {
	nc      *nats.Conn
	timeout time.Duration
}

// question is the body of STREAM.MSG.GET: the last message of a subject, or the next at or above a sequence.
type question struct {
	Seq  uint64 `json:"seq,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
}

type stored struct {
	Subject  string    `json:"subject"`
	Sequence uint64    `json:"seq"`
	Header   []byte    `json:"hdrs"`
	Data     []byte    `json:"data"`
	Time     time.Time `json:"time"`
}

// read asks the leader. Errors: NotFound where no message matches, Unavailable.
func (l leader) read(ctx context.Context, stream string, q question) (stored, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return stored{}, fault.Wrap(fault.Internal, "store.read", err)
	}
	inner, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	// The plain prefix: Behalf uses no JetStream domains.
	msg, err := l.nc.RequestWithContext(inner, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return stored{}, failed(ctx, "store.read", fmt.Errorf("stream %s: %w", stream, err))
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message stored              `json:"message"`
	}
	switch err := json.Unmarshal(msg.Data, &answer); {
	case err != nil:
		return stored{}, fault.Wrap(fault.Internal, "store.read", err)
	case answer.Error != nil:
		return stored{}, failed(ctx, "store.read", fmt.Errorf("stream %s: %w", stream, answer.Error))
	}
	return answer.Message, nil
}

// failed gives an error of the client library its kind. The caller's own deadline is Timeout; ours is Unavailable.
func failed(ctx context.Context, op string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fault.Wrap(fault.KindOf(cause), op, err)
	}
	return fault.Wrap(kindOf(err), op, err)
}

func kindOf(err error) fault.Kind {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fault.Invalid
	case !errors.As(err, &api):
		return fault.Unavailable
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeMessageNotFound:
		return fault.NotFound
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fault.Conflict
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fault.Invalid
	case errCodeStreamFull:
		return fault.Exhausted
	}
	return fault.Unavailable
}

// errCodeStreamFull is what a stream with discard: new answers above its max_bytes.
const errCodeStreamFull jetstream.ErrorCode = 10077
