package journal

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/scan"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Query says which runs to list.
type Query struct {
	Project  behalf.ProjectID
	Workflow behalf.WorkflowID // empty for all
	State    behalf.RunState   // empty for all
	User     behalf.ExternalUserID
	// Limit defaults to 50, at most 200.
	Limit int
	// Before is the cursor of the page before. Empty for the newest.
	Before string
}

// Page is a list of runs, newest first. Cursor is empty on the last.
type Page struct {
	Runs   []behalf.Run
	Cursor string
}

const (
	// firstWindow of the history that is read for a page. It grows by four until the page is full.
	firstWindow = 500
	// maxWindow bounds one page's reading: a careless scan would pull the stream into the server's memory.
	maxWindow = 32_000
	// liveWindow is how far back the journal is read for runs that are not finished.
	liveWindow = 1_000
)

// List reads the newest runs of a project from the history, and on the first page those that still run. A page may be
// short, even empty, and yet have a cursor: what matches is rare, and reading is bounded. Errors: Invalid, for a cursor
// that is none; Unavailable.
func (j *Journal) List(ctx context.Context, q Query) (Page, error) {
	q.Limit = min(cmp.Or(q.Limit, 50), 200)
	info, err := j.stream(ctx, subject.History(j.env))
	if err != nil {
		return Page{}, err
	}
	end := info.LastSeq
	if q.Before != "" {
		before, err := strconv.ParseUint(q.Before, 10, 64)
		if err != nil || before == 0 {
			return Page{}, fault.New(fault.Invalid, "journal.List", "cursor must be one that a page before gave")
		}
		end = min(end, before-1)
	}
	page, err := j.finished(ctx, q, max(info.FirstSeq, 1), end)
	if err != nil || q.Before != "" || q.State.Finished() {
		return page, err
	}
	live, err := j.live(ctx, q, page.Runs)
	page.Runs = append(live, page.Runs...)
	return page, err
}

// finished reads the history backwards by windows until the page is full.
func (j *Journal) finished(ctx context.Context, q Query, first, end uint64) (Page, error) {
	var page Page
	seen := map[behalf.RunID]bool{}
	for window := uint64(firstWindow); end >= first && end > 0 && window <= maxWindow; window *= 4 {
		start := first
		if end-first >= window {
			start = end - window + 1
		}
		entries, err := j.window(ctx, q, start, end)
		if err != nil {
			return Page{}, err
		}
		for _, e := range slices.Backward(entries) {
			if seen[e.record.Run] || !j.current(ctx, q, &e) {
				continue
			}
			seen[e.record.Run] = true
			page.Runs = append(page.Runs, j.view(e))
			if len(page.Runs) == q.Limit {
				page.Cursor = strconv.FormatUint(e.seq, 10)
				return page, nil
			}
		}
		end = start - 1
	}
	if end >= first && end > 0 {
		page.Cursor = strconv.FormatUint(end+1, 10)
	}
	return page, nil
}

// current drops a wait that is over, also where another one followed it, and an entry of another user or state.
func (j *Journal) current(ctx context.Context, q Query, e *entry) bool {
	if e.record.Wait != nil {
		run, err := j.Result(ctx, q.Project, "", e.record.Run)
		if err == nil && !run.UpdatedAt.Equal(e.record.At) {
			return false
		}
	}
	v := j.view(*e)
	return (q.State == "" || v.State == q.State) && (q.User == "" || v.User == q.User)
}

func (j *Journal) window(ctx context.Context, q Query, start, end uint64) ([]entry, error) {
	workflow := cmp.Or(string(q.Workflow), "*")
	var entries []entry
	err := j.scan(ctx, scan.Query{
		Stream: subject.History(j.env), Filter: "hist." + string(j.env) + "." + string(q.Project) + "." + workflow + ".*.*",
		Start: start, Most: int(end-start) + 1, //nolint:gosec // a window is small
	}, func(e entry) bool {
		if e.seq > end {
			return false
		}
		entries = append(entries, e)
		return true
	})
	return entries, err
}

// live reads the runs that have begun a second attempt, or ended a step, and are not finished. A run in its first step
// has left no record yet.
func (j *Journal) live(ctx context.Context, q Query, known []behalf.Run) ([]behalf.Run, error) {
	info, err := j.stream(ctx, subject.Runs(j.env))
	if err != nil || info.Msgs == 0 {
		return nil, err
	}
	start := uint64(1)
	if info.LastSeq > liveWindow {
		start = info.LastSeq - liveWindow
	}
	workflow := cmp.Or(string(q.Workflow), "*")
	latest := map[behalf.RunID]entry{}
	err = j.scan(ctx, scan.Query{
		Stream: subject.Runs(j.env), Filter: "run." + string(j.env) + "." + string(q.Project) + "." + workflow + ".*.>",
		Start: start, Most: liveWindow + 1,
	}, func(e entry) bool {
		latest[e.record.Run] = e
		return true
	})
	var live []behalf.Run
	for id, e := range latest {
		listed := slices.ContainsFunc(known, func(r behalf.Run) bool { return r.ID == id })
		if v := j.view(e); !listed && v.State == behalf.StateRunning && (q.User == "" || q.User == v.User) && (q.State == "" || q.State == v.State) {
			live = append(live, v)
		}
	}
	slices.SortFunc(live, func(a, b behalf.Run) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	return live, err
}

func (j *Journal) stream(ctx context.Context, name string) (jetstream.StreamState, error) {
	s, err := j.js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamState{}, fault.Wrap(fault.Unavailable, "journal.List", err)
	}
	return s.CachedInfo().State, nil
}

// scan hands over the records of a stream that can be read, in order, until each says that it has enough.
func (j *Journal) scan(ctx context.Context, q scan.Query, each func(entry) (more bool)) error {
	return scan.Messages(ctx, j.js, q, func(m jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		e, err := decode(meta.Sequence.Stream, m.Subject(), m.Data())
		return err != nil || each(e)
	})
}
