package journal

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// unkept says that nothing of the run shall be kept: its records hold what an attempt after this one needs, until it is
// over, and what the history takes of them says no more than that there was a run.
func (r *Run) unkept() bool { return r.Event.Origin.NoStore }

// bare is what is kept of a step of such a run.
func bare(step *behalf.StepRecord) *behalf.StepRecord {
	if step == nil {
		return nil
	}
	left := &behalf.StepRecord{Path: step.Path, Attempt: step.Attempt, At: step.At, Duration: step.Duration}
	if step.Err != nil {
		left.Err = &behalf.StepError{Name: "Error", Message: "not kept"}
	}
	if step.Exit != nil {
		left.Exit = &behalf.Exit{}
	}
	return left
}

func bareFinish(f *behalf.Finish) *behalf.Finish {
	left := &behalf.Finish{Result: f.Result}
	left.Result.Response, left.Result.Failure = nil, f.Result.Failure.ForStrangers()
	if f.Result.Response != nil && left.Result.Failure == nil {
		left.Result.Failure = behalf.FailAnswerNotKept(f.Result.Run)
	}
	for _, step := range f.Steps {
		left.Steps = append(left.Steps, *bare(&step))
	}
	return left
}

// put keeps what is too large for a record: with everything like it, or apart where it must be forgotten, be it with the run
// or with its user.
func (r *Run) put(ctx context.Context, content []byte) (behalf.ObjectRef, error) {
	if !r.unkept() && r.Event.User == "" {
		return r.journal.objects.PutObject(ctx, r.Event.Project, content)
	}
	ref, err := r.journal.objects.PutUnshared(ctx, r.Event.Project, content)
	if err == nil {
		r.parked = append(r.parked, ref)
	}
	return ref, err
}

// park notes what a record has apart.
func (r *Run) park(rec *behalf.Record) {
	for _, step := range stepsOf(rec) {
		for _, ref := range []*behalf.ObjectRef{step.ExportsRef, step.ResponseRef} {
			if ref != nil && ref.Parked {
				r.parked = append(r.parked, *ref)
			}
		}
	}
}

// recall finds what a run that is finished has apart, so that it can still be forgotten.
func (r *Run) recall(ctx context.Context, o Opening, last entry) error {
	if o.Resume != nil {
		r.parked = o.Resume.parked()
	}
	for seq := uint64(1); seq < last.seq; seq++ {
		e, err := r.journal.next(ctx, r.stream, r.prefix.Kind(behalf.RecordStep), seq)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r.park(&e.record)
		seq = e.seq
	}
	return nil
}

func (s *Suspended) parked() []behalf.ObjectRef {
	if s.Ref == nil || !s.Ref.Parked {
		return s.Parked
	}
	return append(slices.Clip(s.Parked), *s.Ref)
}

// Forget takes away what the journal and the objects have of a finished run of which nothing shall be kept, but for its
// finish. It may be repeated, and does nothing with any other run. Errors: Unavailable.
func (r *Run) Forget(ctx context.Context) error {
	if !r.unkept() || r.Standing != Finished {
		return nil
	}
	var failed error
	if r.Event.TriggerRef != nil {
		failed = r.journal.objects.DropObject(ctx, *r.Event.TriggerRef)
	}
	for _, ref := range r.parked {
		failed = errors.Join(failed, r.journal.objects.DropObject(ctx, ref))
	}
	if failed != nil { // while the records are there, what they have apart can be found
		return failed
	}
	return r.ForgetSteps(ctx)
}

// ForgetSteps does so with its steps alone, where its event must be kept.
func (r *Run) ForgetSteps(ctx context.Context) error {
	if !r.unkept() || r.fresh && len(r.Steps) == 0 {
		return nil
	}
	stream, err := r.journal.js.Stream(ctx, r.stream)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(r.prefix.Kind(behalf.RecordStep)))
	}
	return fault.Wrap(fault.Unavailable, "journal.Forget", err)
}
