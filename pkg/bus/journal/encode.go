package journal

import (
	"context"
	"encoding/json"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// putter keeps what is too large for a record.
type putter func(ctx context.Context, content []byte) (behalf.ObjectRef, error)

// encode makes a record fit: where it is too large, first the event, then the exports of its steps, then the result
// become references, and at last logs and errors are cut.
func (j *Journal) encode(ctx context.Context, put putter, rec behalf.Record) ([]byte, error) {
	data, err := marshal(rec)
	if err != nil || len(data) <= j.cfg.MaxRecord {
		return data, err
	}
	rec.Kept = append([]behalf.StepRecord(nil), rec.Kept...)
	if rec.Step != nil { // what follows must not change the caller's copy
		step := *rec.Step
		rec.Step = &step
	}
	if rec.Finish != nil {
		finish := *rec.Finish
		finish.Steps = append([]behalf.StepRecord(nil), finish.Steps...)
		rec.Finish = &finish
	}
	for _, shrink := range []func(context.Context, putter, *behalf.Record) error{
		shrinkEvent, shrinkExports, shrinkResult, cutLogs, dropLogs,
	} {
		if err := shrink(ctx, put, &rec); err != nil {
			return nil, err
		}
		if data, err = marshal(rec); err != nil || len(data) <= j.cfg.MaxRecord {
			return data, err
		}
	}
	return nil, fault.Newf(fault.Invalid, "journal.encode", "a record of %d bytes cannot be made to fit", len(data))
}

// marshal encodes a record. The event of a finish is put in as it was published: the encoder would check and copy it all
// once more, for every run.
func marshal(rec behalf.Record) ([]byte, error) {
	var event json.RawMessage
	if rec.Finish != nil && rec.Finish.Event != nil {
		finish := *rec.Finish
		event, finish.Event = finish.Event, nil
		rec.Finish = &finish
	}
	data, err := json.Marshal(rec)
	if err != nil || event == nil {
		return data, fault.Wrap(fault.Internal, "journal.encode", err)
	}
	// The finish is the record's last member, and is never empty.
	data = append(data[:len(data)-len(`}}`)], `,"event":`...)
	return append(append(data, event...), `}}`...), nil
}

func shrinkEvent(ctx context.Context, put putter, rec *behalf.Record) error {
	if rec.Finish == nil || rec.Finish.Event == nil {
		return nil
	}
	ref, err := put(ctx, rec.Finish.Event)
	if err != nil {
		return err
	}
	var event behalf.Event
	rec.Finish.EventRef = &ref
	if err := json.Unmarshal(rec.Finish.Event, &event); err != nil {
		return fault.Wrap(fault.Internal, "journal.encode", err)
	}
	event.Trigger = nil // the rest stays: the history is listed by it
	rec.Finish.Event, err = json.Marshal(event)
	return fault.Wrap(fault.Internal, "journal.encode", err)
}

func shrinkExports(ctx context.Context, put putter, rec *behalf.Record) error {
	for _, step := range stepsOf(rec) {
		if len(step.Exports) < 1024 {
			continue
		}
		ref, err := put(ctx, step.Exports)
		if err != nil {
			return err
		}
		step.Exports, step.ExportsRef = nil, &ref
	}
	return nil
}

func shrinkResult(ctx context.Context, put putter, rec *behalf.Record) error {
	for _, step := range stepsOf(rec) {
		if err := shrinkResponse(ctx, put, rec, step); err != nil {
			return err
		}
	}
	if rec.Finish == nil {
		return nil
	}
	data, err := json.Marshal(rec.Finish.Result)
	if err != nil {
		return fault.Wrap(fault.Internal, "journal.encode", err)
	}
	ref, err := put(ctx, data)
	r := rec.Finish.Result
	rec.Finish.Result, rec.Finish.ResultRef = behalf.Result{V: r.V, Run: r.Run, State: r.State, Timing: r.Timing}, &ref
	return err
}

// shrinkResponse drops the response where the result has it too. Of a run that goes on, it is the only copy.
func shrinkResponse(ctx context.Context, put putter, rec *behalf.Record, step *behalf.StepRecord) error {
	response := step.Response
	step.Response = nil
	if rec.Finish != nil || response == nil {
		return nil
	}
	data, err := json.Marshal(response)
	if err != nil {
		return fault.Wrap(fault.Internal, "journal.encode", err)
	}
	ref, err := put(ctx, data)
	step.ResponseRef = &ref
	return err
}

// dropLogs is for a run of so many steps that even cut logs are too much.
func dropLogs(_ context.Context, _ putter, rec *behalf.Record) error {
	for _, step := range stepsOf(rec) {
		step.Logs = nil
		if step.Err != nil {
			short := *step.Err
			short.Message, short.Stack = cut(short.Message), cut(short.Stack)
			step.Err = &short
		}
	}
	return nil
}

const cutAt = 1024

func cut(text string) string {
	if len(text) <= cutAt {
		return text
	}
	return text[:cutAt] + " (cut)"
}

func cutLogs(_ context.Context, _ putter, rec *behalf.Record) error {
	for _, step := range stepsOf(rec) {
		if len(step.Logs) > 100 {
			step.Logs = step.Logs[:100]
		}
		step.Logs = append([]behalf.Log(nil), step.Logs...)
		for i := range step.Logs {
			step.Logs[i].Text = cut(step.Logs[i].Text)
		}
	}
	return nil
}

func stepsOf(rec *behalf.Record) []*behalf.StepRecord {
	var steps []*behalf.StepRecord
	for i := range rec.Kept {
		steps = append(steps, &rec.Kept[i])
	}
	if rec.Finish != nil {
		for i := range rec.Finish.Steps {
			steps = append(steps, &rec.Finish.Steps[i])
		}
	}
	if rec.Step != nil {
		steps = append(steps, rec.Step)
	}
	return steps
}

// expand brings back what encode moved away.
func (j *Journal) expand(ctx context.Context, rec *behalf.Record) error {
	for _, step := range stepsOf(rec) {
		if err := j.load(ctx, step.ExportsRef, (*[]byte)(&step.Exports)); err != nil {
			return err
		}
		step.ExportsRef = nil
		if err := j.unpack(ctx, step.ResponseRef, &step.Response); err != nil {
			return err
		}
		step.ResponseRef = nil
	}
	if rec.Finish == nil {
		return nil
	}
	if err := j.load(ctx, rec.Finish.EventRef, (*[]byte)(&rec.Finish.Event)); err != nil {
		return err
	}
	return j.unpack(ctx, rec.Finish.ResultRef, &rec.Finish.Result)
}

func (j *Journal) unpack(ctx context.Context, ref *behalf.ObjectRef, into any) error {
	if ref == nil {
		return nil
	}
	var data []byte
	if err := j.load(ctx, ref, &data); err != nil {
		return err
	}
	return fault.Wrap(fault.Internal, "journal.expand", json.Unmarshal(data, into))
}

func (j *Journal) load(ctx context.Context, ref *behalf.ObjectRef, into *[]byte) error {
	if ref == nil {
		return nil
	}
	data, err := j.objects.Object(ctx, *ref)
	*into = data
	return err
}
