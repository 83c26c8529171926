package journal

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Accept takes a keyed run for one request, by the hash of it. First says that no request had the key before: publish the
// event. Otherwise was is the hash of the request that had it, empty where that is not known any more, and the run is that
// request's. Errors: Invalid, for a run that was not made from a key; Unavailable, after which the key may be taken, by a
// request of which nothing else is stored.
func (j *Journal) Accept(ctx context.Context, e behalf.Event, requestHash string) (first bool, was string, err error) {
	const op = "journal.Accept"
	if !e.Run.Keyed() {
		return false, "", fault.New(fault.Invalid, op, "the run was not made from a key")
	}
	r, err := j.hold(Opening{Event: e, Worker: "ingress"})
	if err != nil {
		return false, "", err
	}
	r.Attempt = 0 // none has begun
	err = r.write(ctx, behalf.Record{Kind: behalf.RecordAccepted, RequestHash: requestHash})
	if !fault.Is(err, fault.Conflict) {
		return err == nil, "", err
	}
	taken, err := j.next(ctx, r.stream, r.prefix.Filter(), 1)
	if err != nil {
		return false, "", fault.Wrap(fault.Unavailable, op, err)
	}
	return false, taken.record.RequestHash, nil
}
