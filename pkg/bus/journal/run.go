package journal

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Run is one worker's hold on a run's journal. It belongs to one goroutine.
type Run struct {
	Event behalf.Event
	// EventSeq is the stream sequence of the run's event.
	EventSeq uint64
	Attempt  int
	// Standing says what there is to do.
	Standing Standing
	// Steps that are done already, oldest first.
	Steps []behalf.StepRecord
	// Retries made so far of the step that failed last.
	Retries int
	// Result of a finished run.
	Result behalf.Result
	// Wait of a waiting run.
	Wait behalf.Wait
	// Raw is the event as it was published, kept in the finish record.
	Raw json.RawMessage

	journal *Journal
	worker  string
	stream  string
	prefix  subject.Prefix
	user    string
	timer   uint64             // the sequence of the fired timer that brought the run back
	last    uint64             // the sequence of this worker's own last record, or of the one it took over from
	fresh   bool               // no attempt can have been before
	begun   bool               // a record of this attempt is written
	doubt   *behalf.Record     // the last one, where nobody told whether it was
	parked  []behalf.ObjectRef // what was too large for the records, of a run of which nothing shall be kept
}

// Standing is what Open found.
type Standing int

// The standings.
const (
	// Ready to run, from the beginning or after Steps.
	Ready Standing = iota
	// Finished already: answer again and ack.
	Finished
	// Waiting for its timer, of which nobody knows whether it was set: set it again and ack.
	Waiting
	// Elsewhere: another event, or another resume, owns the run: ack and do nothing.
	Elsewhere
	// Lost: too many attempts ended without a record.
	Lost
	// Taken: another attempt left a record a moment ago, and is taken to be alive. Leave it alone; it comes again where
	// that one is not.
	Taken
)

// Opening is what a worker knows of a run before it opens the journal.
type Opening struct {
	Event    behalf.Event
	EventSeq uint64
	Raw      json.RawMessage
	Worker   string
	// Seen says that the journal must be read: the event may have been handled before.
	Seen bool
	// Deliveries is how often the event was handed to a worker, this time included. Zero counts as one.
	Deliveries uint64
	// Lease is how long an attempt that has claimed the run, or done a step of it, keeps the others out, by the server's
	// clock and ours. Zero keeps nobody out.
	Lease time.Duration
	// Resume is the run's own state where a timer brings it back, and Token the wait record that it ends.
	Resume *Suspended
	Token  uint64
	// TimerSeq is the sequence of the timer's own message, which tells its redelivery from a second timer of the same
	// wait. Zero where it is not known.
	TimerSeq uint64
}

// Open finds out what there is to do of a run. What was not seen before runs at once, with no read and no claim; for
// everything else the journal is read, and Begin claims the run before anything of it happens.
//
// An event that was delivered ten times as often as attempts are allowed is claimed here: it may be what its workers die
// of. Deliveries alone are no attempts: who has no slot for an event gives it back.
//
// Errors: Conflict, when another attempt took it in the same moment; Unavailable; Invalid, for ids of no shape.
func (j *Journal) Open(ctx context.Context, o Opening) (*Run, error) {
	r, err := j.hold(o)
	if err != nil || r.fresh {
		return r, err
	}
	if err := r.look(ctx, o); err != nil {
		return nil, err
	}
	if r.Standing == Ready && o.Deliveries > 10*uint64(j.cfg.MaxAttempts) { //nolint:gosec // G115: a small positive number
		return r, r.Begin(ctx)
	}
	return r, nil
}

// look reads the journal for what there is to do.
func (r *Run) look(ctx context.Context, o Opening) error {
	j := r.journal
	last, err := j.last(ctx, r.stream, r.prefix.Filter())
	switch {
	case fault.Is(err, fault.NotFound):
		r.first(o)
		return nil
	case err != nil:
		return err
	}
	if err := j.expand(ctx, &last.record); err != nil {
		return err
	}
	r.last = last.seq
	switch r.standing(o, last); {
	case r.Standing == Finished && r.unkept():
		return r.recall(ctx, o, last)
	case r.Standing != Ready && r.Standing != Waiting:
		return nil
	}
	return r.resume(ctx, o, last)
}

func (j *Journal) hold(o Opening) (*Run, error) {
	e := o.Event
	prefix, err := subject.Run{Environment: j.env, Project: e.Project, Workflow: e.Workflow, Run: e.Run}.Prefix()
	if err != nil {
		return nil, err
	}
	return &Run{
		Event: e, EventSeq: o.EventSeq, Raw: o.Raw, Attempt: 1, journal: j, worker: o.Worker,
		stream: subject.JournalOf(j.env, e.Run), prefix: prefix, user: e.User.Hash(), timer: o.TimerSeq,
		fresh: !o.Seen && !e.Run.Keyed(),
	}, nil
}

// first is for a run of which the journal knows nothing: never begun, begun by an attempt that died before its first
// record, or so long asleep that only its timer remembers it.
func (r *Run) first(o Opening) {
	switch {
	case o.Resume != nil:
		r.restore(o.Resume)
	case o.Deliveries > 1:
		r.Attempt = 2
	}
}

// standing decides by the run's last record whether there is anything to run.
func (r *Run) standing(o Opening, last entry) {
	rec := last.record
	switch {
	case rec.Finish != nil:
		r.Standing, r.Result = Finished, rec.Finish.Result
	case o.Resume == nil && rec.EventSeq != 0 && rec.EventSeq != o.EventSeq:
		r.Standing = Elsewhere
	case o.Resume != nil && last.seq < o.Token:
		r.Standing = Elsewhere // no token of this run
	case o.Resume != nil && last.seq != o.Token && rec.TimerSeq != 0 && o.TimerSeq != 0 && rec.TimerSeq != o.TimerSeq && rec.Wait == nil:
		r.Standing = Elsewhere // a second timer of the same wait
	case rec.Wait != nil && (o.Resume == nil || last.seq != o.Token):
		r.Standing, r.Wait = Waiting, *rec.Wait
	case r.leased(o, last):
		r.Standing = Taken
	}
}

// leased says that the attempt of the last record is taken to be alive. A clock that is far off keeps nobody out.
func (r *Run) leased(o Opening, last entry) bool {
	kind := last.record.Kind
	return (kind == behalf.RecordBegin || kind == behalf.RecordStep) && time.Since(last.at).Abs() < o.Lease
}

// resume reads what is done.
//
// A timer's message brings back the run that it ends the wait of: at its first delivery the wait record is the run's
// last; at a later one there are the records of its own attempts, which died. Where a later wait stands between, that
// wait's timer owns the run.
func (r *Run) resume(ctx context.Context, o Opening, last entry) error {
	from, productive := uint64(1), 0
	if o.Resume != nil {
		r.restore(o.Resume)
		from, productive = o.Token+1, o.Resume.Attempt
	}
	past, err := r.replay(ctx, from, last)
	if err != nil {
		return err
	}
	switch productive = max(productive, past.productive); {
	case r.Standing == Waiting:
		r.Attempt, r.Wait = last.record.Attempt, *last.record.Wait
		return nil
	case past.waited:
		r.Standing = Elsewhere
		return nil
	case last.record.Attempt-productive >= r.journal.cfg.MaxAttempts:
		r.Attempt, r.Standing = last.record.Attempt, Lost
		return nil
	}
	r.Attempt = last.record.Attempt + 1
	return nil
}

// past is what the records of a run tell of its attempts.
type past struct {
	productive int // the last attempt that left a step or a wait
	waited     bool
}

// replay reads the records of the run from a sequence up to the last, and takes over the steps that are done.
func (r *Run) replay(ctx context.Context, from uint64, last entry) (past, error) {
	var p past
	for seq := from; seq <= last.seq; seq++ {
		e, err := r.journal.next(ctx, r.stream, r.prefix.Filter(), seq)
		if fault.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return p, err
		}
		if e.seq > last.seq {
			break
		}
		seq = e.seq
		if e.record.Kind == behalf.RecordStep || e.record.Kind == behalf.RecordWait {
			p.productive, p.waited = e.record.Attempt, p.waited || e.record.Kind == behalf.RecordWait
		}
		if e.record.Kind != behalf.RecordStep && len(e.record.Kept) == 0 {
			continue
		}
		r.park(&e.record)
		if err := r.journal.expand(ctx, &e.record); err != nil {
			return p, err
		}
		if r.Steps = append(r.Steps, e.record.Kept...); e.record.Step == nil {
			continue
		}
		r.Steps, r.Retries = append(r.Steps, *e.record.Step), 0
	}
	return p, nil
}

func (r *Run) restore(s *Suspended) {
	r.Event, r.EventSeq, r.Raw, r.Steps = s.Event, s.EventSeq, s.Raw, slices.Clip(s.Steps)
	r.Attempt, r.Retries, r.Wait = s.Attempt+1, s.Wait.Retries, s.Wait
	r.user, r.parked = s.Event.User.Hash(), s.parked()
}

// Held says that no other attempt is known of: this is the run's first, or a record of its own keeps the others out.
func (r *Run) Held() bool { return r.fresh || r.begun }

// Begun says that a record of this attempt is in the journal, so that the run is listed.
func (r *Run) Begun() bool { return r.begun }

// Begin claims the run for this attempt: whoever had it before can write nothing more. An attempt that dies before it
// has left no trace, and is not counted. It may be repeated, to learn whether the run is still this attempt's. It must
// not meet another call on the run. Errors as Record.
func (r *Run) Begin(ctx context.Context) error {
	return r.write(ctx, behalf.Record{Kind: behalf.RecordBegin})
}

// Record makes a step durable that is not the last. The next step may start only when it returns. Errors: Conflict,
// when another attempt owns the run: stop, neither answer nor ack; Unavailable; code journal_evicted.
func (r *Run) Record(ctx context.Context, step behalf.StepRecord) error {
	if err := r.write(ctx, behalf.Record{Kind: behalf.RecordStep, Step: &step}); err != nil {
		return err
	}
	r.Steps = append(r.Steps, step)
	r.Retries = 0
	return nil
}

// Finish makes the result durable, with the run's last step where there was one, and with all that shows and replays
// the run. Errors as Record.
func (r *Run) Finish(ctx context.Context, step *behalf.StepRecord, result behalf.Result) error {
	rec := behalf.Record{Kind: behalf.RecordFinish, Step: step, Finish: &behalf.Finish{
		Result: result, Event: r.Raw, Steps: r.Steps,
	}}
	if r.unkept() {
		rec.Step, rec.Finish = bare(step), bareFinish(rec.Finish)
	}
	err := r.write(ctx, rec)
	if err == nil {
		r.Standing, r.Result = Finished, result
	}
	return err
}

// Pause makes durable that the run waits, with the failed step that makes it wait where there was one. The returned
// token goes into its timer. Errors as Record.
func (r *Run) Pause(ctx context.Context, step *behalf.StepRecord, wait behalf.Wait) error {
	if r.unkept() && step != nil {
		step, wait.Why = bare(step), "a step failed"
	}
	err := r.write(ctx, behalf.Record{Kind: behalf.RecordWait, Step: step, Wait: &wait})
	if err == nil {
		r.Standing, r.Wait = Waiting, wait
	}
	return err
}

// Token is the sequence of the run's last record: of the wait record, in a run that waits.
func (r *Run) Token() uint64 { return r.last }

func (r *Run) write(ctx context.Context, rec behalf.Record) error {
	rec.V, rec.Run, rec.Attempt, rec.Worker = behalf.FormatVersion, r.Event.Run, r.Attempt, r.worker
	rec.At, rec.EventSeq, rec.TimerSeq = time.Now().UTC(), r.EventSeq, r.timer
	if rec.Finish == nil || rec.Finish.Event == nil {
		rec.User, rec.Version, rec.ResultHash = r.Event.User, r.Event.Version, r.Event.Origin.ResultHash
		rec.ReplayOf = r.Event.Origin.ReplayOf
	}
	data, err := r.journal.encode(ctx, r.put, rec)
	if err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	start := time.Now()
	seq, err := r.journal.append(ctx, r.stream, r.prefix, r.prefix.Record(rec.Kind, rec.State(), r.user), data, fence{after: r.last, mine: rec})
	if fault.Is(err, fault.Unavailable) {
		r.doubt = &rec
	}
	if err != nil {
		return err
	}
	r.journal.metrics.writes.Observe(time.Since(start).Seconds())
	r.last, r.begun = seq, true
	return nil
}

// settle finds out whether the last record was written, where nobody told: else the run would be fenced by itself.
func (r *Run) settle(ctx context.Context) error {
	if r.doubt == nil {
		return nil
	}
	last, err := r.journal.last(ctx, r.stream, r.prefix.Filter())
	switch {
	case fault.Is(err, fault.NotFound): // and so it was not
	case err != nil:
		return err
	case last.isMine(*r.doubt):
		r.last, r.begun = last.seq, true
	}
	r.doubt = nil
	return nil
}
