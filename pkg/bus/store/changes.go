package store

import (
	"context"
	"math"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/scan"
)

// ChangedAccounts hands over the accounts of all projects that have changed behind a revision, 0 for all there are, and says
// behind which one to go on. Of one that is gone, project and id are set and gone is true. It reads in bulk from whichever
// replica answers: what was written just now may come only the next time. Errors: Unavailable; then a part was handed over.
func (s *Store) ChangedAccounts(ctx context.Context, after uint64, each func(a behalf.Account, gone bool)) (uint64, error) {
	last := after
	err := s.people.bucket.bulk(ctx, "account.>", after+1, false, func(e entry) {
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
// replica that lags behind. Markers come too; bare leaves the values out. Errors: Unavailable.
func (b *bucket) bulk(ctx context.Context, pattern string, from uint64, bare bool, each func(entry)) error {
	q := scan.Query{Stream: b.stream(), Filter: b.subject(pattern), Start: from, Headers: bare, Most: math.MaxInt}
	return scan.Messages(ctx, b.js, q, func(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		each(entry{key: b.keyOf(m.Subject()), value: m.Data(), revision: meta.Sequence.Stream, deleted: isMarker(m.Headers())})
		return true
	})
}
