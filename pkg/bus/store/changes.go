package store

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// batchSize is how many entries are asked for at once where many are read.
const batchSize = 500

// ChangedAccounts hands over the accounts of all projects that have changed behind a revision, 0 for all there are, and says
// behind which one to go on. Of one that is gone, project and id are set and gone is true. It reads in bulk from whichever
// replica answers: what was written just now may come only the next time. Errors: Unavailable.
func (s *Store) ChangedAccounts(ctx context.Context, after uint64, each func(a behalf.Account, gone bool)) (uint64, error) {
	for more := true; more; {
		var read []entry
		var err error
		if read, more, err = s.people.bucket.batch(ctx, "account.>", after+1); err != nil {
			return after, err
		}
		for _, e := range read {
			after = e.revision
			if a, gone, ok := changedAccount(e); ok {
				each(a, gone)
			}
		}
		more = more && len(read) > 0
	}
	return after, nil
}

// changedAccount reads one. One that cannot be read is passed over: it must not hide all others.
func changedAccount(e entry) (a behalf.Account, gone, ok bool) {
	if !e.deleted {
		a, err := decode[behalf.Account](e.value)
		return a, false, err == nil
	}
	place := strings.Split(e.key, ".")
	if len(place) != 5 {
		return a, true, false
	}
	return behalf.Account{Project: behalf.ProjectID(place[1]), ID: behalf.AccountID(place[4])}, true, true
}

// batch reads up to batchSize entries of a pattern, upwards by revision, in one question to any replica, and says whether
// there are more. Markers come too. Errors: Unavailable.
func (b *bucket) batch(ctx context.Context, pattern string, from uint64) (read []entry, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*b.leader.timeout)
	defer cancel()
	body, err := json.Marshal(struct {
		question

		Batch int `json:"batch"`
	}{question{Seq: from, Next: b.subject(pattern)}, batchSize})
	if err != nil {
		return nil, false, fault.Wrap(fault.Internal, "store.batch", err)
	}
	sub, err := b.nc.SubscribeSync(b.nc.NewRespInbox())
	if err != nil {
		return nil, false, failed(ctx, "store.batch", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // an error means that it is closed already
	if err := b.nc.PublishRequest("$JS.API.DIRECT.GET."+b.stream(), sub.Subject, body); err != nil {
		return nil, false, failed(ctx, "store.batch", err)
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, failed(ctx, "store.batch", err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			e, err := b.direct(m)
			if err != nil {
				return nil, false, err
			}
			read = append(read, e)
		case "204": // the end of the batch
			return read, m.Header.Get("Nats-Num-Pending") != "0", nil
		case "404": // there are none
			return read, false, nil
		default:
			return nil, false, fault.Wrap(fault.Unavailable, "store.batch", errors.New(status+" "+m.Header.Get("Description")))
		}
	}
}

// direct is an entry as a direct get answers it: its place is in the header.
func (b *bucket) direct(m *nats.Msg) (entry, error) {
	revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return entry{}, fault.Wrap(fault.Internal, "store.batch", err)
	}
	return entry{key: b.keyOf(m.Header.Get(jetstream.SubjectHeader)), value: m.Data, revision: revision, deleted: isMarker(m.Header)}, nil
}
