package journal

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// entry is a record where it lies.
type entry struct {
	seq     uint64
	subject string
	at      time.Time // by the server's clock
	record  behalf.Record
}

func (e entry) isMine(r behalf.Record) bool {
	return e.record.Worker == r.Worker && e.record.Attempt == r.Attempt && e.record.Kind == r.Kind && e.record.At.Equal(r.At)
}

// last reads the last record that matches, from the stream's leader: right after an acknowledgement a replica may not
// have it yet.
func (j *Journal) last(ctx context.Context, stream, filter string) (entry, error) {
	return j.get(ctx, stream, map[string]any{"last_by_subj": filter})
}

// next reads the first record that matches at or after a sequence, from the leader.
func (j *Journal) next(ctx context.Context, stream, filter string, seq uint64) (entry, error) {
	return j.get(ctx, stream, map[string]any{"next_by_subj": filter, "seq": seq})
}

// stored is the server's answer to a read.
type stored struct {
	Error *struct {
		Code        int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
	Message *struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Data    []byte    `json:"data"`
		Time    time.Time `json:"time"`
	} `json:"message"`
}

const codeNoMessage = 10037

func (j *Journal) get(ctx context.Context, stream string, query map[string]any) (entry, error) {
	request, err := json.Marshal(query)
	if err != nil {
		return entry{}, fault.Wrap(fault.Internal, "journal.get", err)
	}
	ctx, cancel := context.WithTimeout(ctx, j.cfg.AckTimeout)
	defer cancel()
	answer, err := j.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "$JS.API.STREAM.MSG.GET." + stream, Data: request})
	if err != nil {
		return entry{}, fault.Wrap(fault.Unavailable, "journal.get", err)
	}
	var s stored
	if err := json.Unmarshal(answer.Data, &s); err != nil {
		return entry{}, fault.Wrap(fault.Internal, "journal.get", err)
	}
	switch {
	case s.Error != nil && s.Error.Code == codeNoMessage:
		return entry{}, fault.New(fault.NotFound, "journal.get", "no such run")
	case s.Error != nil:
		return entry{}, fault.Wrap(fault.Unavailable, "journal.get", errors.New(s.Error.Description))
	case s.Message == nil:
		return entry{}, fault.New(fault.Internal, "journal.get", "the server answered nothing")
	}
	e, err := decode(s.Message.Seq, s.Message.Subject, s.Message.Data)
	e.at = s.Message.Time
	return e, err
}

func decode(seq uint64, subject string, data []byte) (entry, error) {
	e := entry{seq: seq, subject: subject}
	if err := json.Unmarshal(data, &e.record); err != nil {
		return entry{}, fault.Wrap(fault.Internal, "journal.decode", err)
	}
	return e, nil
}
