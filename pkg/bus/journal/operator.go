package journal

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// What an operator does to runs from outside: it goes through the same fence as the workers.

// Keep takes a run for an event that is published after it, with the steps that it need not do again. First says that
// nobody had the run before: then these are its steps. Errors: Unavailable, after which the run may be taken.
func (j *Journal) Keep(ctx context.Context, e behalf.Event, by string, kept []behalf.StepRecord) (first bool, err error) {
	r, err := j.hold(Opening{Event: e, Worker: by})
	if err != nil {
		return false, err
	}
	r.Attempt = 0 // none has begun
	err = r.write(ctx, behalf.Record{Kind: behalf.RecordAccepted, Kept: kept})
	if fault.Is(err, fault.Conflict) {
		return false, nil
	}
	return err == nil, err
}

// Whereabouts are what the journal knows of a run without its steps.
type Whereabouts struct {
	Run behalf.Run
	// EventSeq is the stream sequence of the run's event, or zero where no worker has had it yet.
	EventSeq uint64
}

// Whereabouts reads where a run is. Errors: NotFound, also for a run that has left no record yet; Unavailable.
func (j *Journal) Whereabouts(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (Whereabouts, error) {
	filter, err := j.filter(project, "", run)
	if err != nil {
		return Whereabouts{}, err
	}
	last, err := j.last(ctx, subject.JournalOf(j.env, run), filter)
	if fault.Is(err, fault.NotFound) {
		last, err = j.fromHistory(ctx, project, "", run)
	}
	return Whereabouts{j.view(last), last.record.EventSeq}, err
}

// Seize opens a run in order to end it, whoever has it: what its worker writes from then on is refused, or its finish
// here is. Where a timer holds the run, o.Resume and o.Token are that timer's. Errors as Open; Conflict also where the
// run is finished, or another timer has it by now: look again.
func (j *Journal) Seize(ctx context.Context, o Opening) (*Run, error) {
	o.Seen, o.Lease = true, 0
	r, err := j.hold(o)
	if err != nil {
		return nil, err
	}
	r.fresh = false
	if err := r.look(ctx, o); err != nil {
		return nil, err
	}
	switch r.Standing {
	case Ready, Waiting, Lost:
		return r, nil
	case Finished, Elsewhere, Taken:
	}
	return nil, fault.New(fault.Conflict, "journal.Seize", "the run has gone on meanwhile")
}

// Tail is what Follow has read: runs that are finished, oldest first, and the cursor to go on from.
type Tail struct {
	Runs   []behalf.Run
	Cursor string
}

// followEvery is how often the history is looked at for what is new.
const followEvery = 200 * time.Millisecond

// Follow reads the runs that have finished since the cursor of the tail before, and where there are none waits for one
// until the wait is over. Without a cursor it tells where the history ends, and nothing else. Errors: Invalid, for a
// cursor that is none; Unavailable.
func (j *Journal) Follow(ctx context.Context, q Query, after string, wait time.Duration) (Tail, error) {
	from, err := strconv.ParseUint(cmp.Or(after, "0"), 10, 63)
	if err != nil {
		return Tail{}, fault.New(fault.Invalid, "journal.Follow", "cursor must be one that a tail before gave")
	}
	until := time.Now().Add(wait)
	for {
		info, err := j.stream(ctx, subject.History(j.env))
		if err != nil {
			return Tail{}, err
		}
		if after == "" || from > info.LastSeq { // of another history than this one
			return Tail{Cursor: strconv.FormatUint(info.LastSeq, 10)}, nil
		}
		tail, err := j.since(ctx, q, max(from+1, info.FirstSeq), info.LastSeq)
		if err != nil || len(tail.Runs) > 0 {
			return tail, err
		}
		from = info.LastSeq
		if time.Now().After(until) || pause.For(ctx, followEvery) != nil {
			return Tail{Cursor: strconv.FormatUint(from, 10)}, nil //nolint:nilerr // the end of the wait is no failure
		}
	}
}

// since reads one window of the history upwards.
func (j *Journal) since(ctx context.Context, q Query, first, last uint64) (Tail, error) {
	tail := Tail{Cursor: strconv.FormatUint(last, 10)}
	if first > last {
		return tail, nil
	}
	if end := first + firstWindow - 1; end < last {
		last, tail.Cursor = end, strconv.FormatUint(end, 10)
	}
	entries, err := j.window(ctx, q, first, last)
	for _, e := range entries {
		v := j.view(e)
		if v.State.Finished() && (q.State == "" || v.State == q.State) && (q.User == "" || v.User == q.User) {
			tail.Runs = append(tail.Runs, v)
		}
	}
	return tail, err
}

// Received is the event of a run that is finished, and where it lies in the history.
type Received struct {
	Run behalf.Run
	Seq uint64
}

// Events reads the events of runs that are finished, newest first, below a sequence of the history; zero for the newest.
// There may be more where next is not zero. Errors: Unavailable.
func (j *Journal) Events(ctx context.Context, q Query, before uint64) (found []Received, next uint64, err error) {
	info, err := j.stream(ctx, subject.History(j.env))
	if err != nil {
		return nil, 0, err
	}
	first, end := max(info.FirstSeq, 1), info.LastSeq
	if before != 0 {
		end = min(end, before-1)
	}
	for window := uint64(firstWindow); end >= first && end > 0 && window <= maxWindow; window *= 4 {
		start := first
		if end-first >= window {
			start = end - window + 1
		}
		entries, err := j.window(ctx, q, start, end)
		if err != nil {
			return nil, 0, err
		}
		for _, e := range slices.Backward(entries) {
			if v := j.view(e); v.State.Finished() && len(v.Event) > 0 && (q.User == "" || v.User == q.User) {
				found = append(found, Received{v, e.seq})
			}
			if len(found) == q.Limit {
				return found, e.seq, nil
			}
		}
		end = start - 1
	}
	if end >= first && end > 0 {
		next = end + 1
	}
	return found, next, nil
}
