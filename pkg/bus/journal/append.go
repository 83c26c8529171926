package journal

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const headerFenceSubject = "Nats-Expected-Last-Subject-Sequence-Subject"

// CodeEvicted is the code of the error of a run whose own records the journal has dropped.
const CodeEvicted = "journal_evicted"

// fence is what a write expects: that the run's last record is the one this worker wrote or took over from.
type fence struct {
	after uint64
	mine  behalf.Record // to know one's own write again when its acknowledgement got lost
}

// append writes one record through the fence. An outcome that nobody told is read from the leader, until ctx ends.
func (j *Journal) append(ctx context.Context, stream string, prefix subject.Prefix, name string, data []byte, f fence) (uint64, error) {
	for first := true; ; first = false {
		if !first {
			if err := pause.For(ctx, 50*time.Millisecond); err != nil {
				return 0, fault.Wrap(fault.Unavailable, "journal.append", err)
			}
		}
		seq, err := j.publish(ctx, prefix, name, data, f.after)
		if err == nil {
			return seq, nil
		}
		if outcome, known := j.outcome(ctx, stream, prefix, f, err); known {
			return outcome.seq, outcome.err
		}
	}
}

func (j *Journal) publish(ctx context.Context, prefix subject.Prefix, name string, data []byte, after uint64) (uint64, error) {
	future, err := j.js.PublishMsgAsync(&nats.Msg{Subject: name, Data: data, Header: nats.Header{
		// Both come from the one prefix: a filter that does not match the subject would let every writer in.
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(after, 10)},
		headerFenceSubject:                  {prefix.Filter()},
	}}, jetstream.WithStallWait(j.cfg.AckTimeout))
	if err != nil {
		return 0, err
	}
	select {
	case ack := <-future.Ok():
		return ack.Sequence, nil
	case err := <-future.Err():
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

type outcome struct {
	seq uint64
	err error
}

// outcome finds out what became of a write that was not acknowledged. It is not known where the record was not stored
// and may be written again, or where nobody could be asked.
func (j *Journal) outcome(ctx context.Context, stream string, prefix subject.Prefix, f fence, cause error) (outcome, bool) {
	if ctx.Err() != nil {
		return outcome{err: fault.Wrap(fault.Unavailable, "journal.append", errors.Join(ctx.Err(), cause))}, true
	}
	conflict := isConflict(cause)
	if !conflict {
		j.metrics.unknown.Inc()
	}
	last, err := j.last(ctx, stream, prefix.Filter())
	switch {
	case fault.Is(err, fault.NotFound) && f.after == 0:
		return outcome{}, false // nothing is there: write again
	case fault.Is(err, fault.NotFound):
		j.metrics.evicted.Inc()
		return outcome{err: fault.New(fault.Conflict, "journal.append", "the run's records are gone").WithCode(CodeEvicted).Because(cause)}, true
	case err != nil:
		return outcome{}, false
	case last.isMine(f.mine):
		return outcome{seq: last.seq}, true
	case last.seq == f.after:
		return outcome{}, false
	}
	j.metrics.fenced.Inc()
	return outcome{err: fault.New(fault.Conflict, "journal.append", "another attempt owns the run").Because(cause)}, true
}

func isConflict(err error) bool {
	var api *jetstream.APIError
	// 10071 on one replica, 10164 on several; both mean the same on any stream.
	return errors.As(err, &api) && (api.ErrorCode == 10071 || api.ErrorCode == 10164) || err != nil && strings.Contains(err.Error(), "wrong last sequence")
}
