package store

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// ChangedAccounts hands over the accounts of all projects that have changed behind a revision, 0 for all there are, and says
// behind which one to go on. Of one that is gone, project and id are set and gone is true. It reads in bulk from whichever
// replica answers: what was written just now may come only the next time. Errors: Unavailable; then a part was handed over.
func (s *Store) ChangedAccounts(ctx context.Context, after uint64, each func(a behalf.Account, gone bool)) (uint64, error) {
	last := after
	err := s.people.bucket.bulk(ctx, "account.>", after+1, func(e entry) {
		last = e.revision
		if a, gone, ok := changedAccount(e); ok {
			each(a, gone)
		}
	})
	return last, err
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

// bulk tells what a pattern matches from a revision on, upwards, by a consumer, which is quick among many and may sit on a
// replica that lags behind. Markers come too. Errors: Unavailable.
func (b *bucket) bulk(ctx context.Context, pattern string, from uint64, each func(entry), opts ...nats.SubOpt) error {
	js, err := b.nc.JetStream(nats.MaxWait(b.leader.timeout))
	if err != nil {
		return failed(ctx, "store.bulk", err)
	}
	opts = append(opts, nats.BindStream(b.stream()), nats.OrderedConsumer(), nats.StartSequence(from))
	sub, err := js.SubscribeSync(b.subject(pattern), opts...)
	if err != nil {
		return failed(ctx, "store.bulk", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // an error means that it is closed already
	left, err := sub.InitialConsumerPending()
	if err != nil {
		return failed(ctx, "store.bulk", err)
	}
	for left > 0 {
		m, err := b.next(ctx, sub)
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return fault.Wrap(fault.Internal, "store.bulk", err)
		}
		each(entry{key: b.keyOf(m.Subject), value: m.Data, revision: meta.Sequence.Stream, deleted: isMarker(m.Header)})
		left = meta.NumPending
	}
	return nil
}

// next waits for the next message no longer than for a slow server.
func (b *bucket) next(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, max(10*b.leader.timeout, 10*time.Second))
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return nil, failed(ctx, "store.bulk", err)
	}
	return m, nil
}
