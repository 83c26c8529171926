package bustest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// What is published, and answered.

func (r *rig) answered(caller *bus.Bus) {
	r.t.Helper()
	w := r.work(4)
	reply, result, release := caller.Await()
	defer release()
	e := r.event()
	if _, err := caller.Publish(r.t.Context(), e, reply); err != nil {
		r.t.Fatal(err)
	}
	d := r.take(w.Source)
	if d.Malformed != nil || d.Seen || d.Deliveries != 1 || d.Event.Run != e.Run || d.Reply != reply || d.Resume != nil {
		r.t.Fatalf("the delivery is %+v", d)
	}
	response := behalf.NewResponse(201, nil, []byte("hello"))
	r.must(r.bus.Answer(r.t.Context(), d.Reply, behalf.Result{V: 1, Run: e.Run, State: behalf.StateOK, Response: &response}))
	r.ack(d)
	got := r.result(result)
	if got.Run != e.Run || got.Response == nil || got.Response.Text != "hello" || got.Response.Status != 201 {
		r.t.Fatalf("the result is %+v", got)
	}
	r.settled()
}

// answeredInParts is an answer larger than a message may be, of which the journal has nothing. One that comes a second
// time, because its worker died after the first, is dropped.
func (r *rig) answeredInParts() {
	r.t.Helper()
	caller := r.another().bus
	text := strings.Repeat("0123456789", 300_000)
	response := behalf.NewResponse(200, nil, []byte(text))
	run := behalf.NewRunID()
	reply, result, release := caller.Await()
	defer release()
	other, otherResult, releaseOther := caller.Await()
	defer releaseOther()
	for range 2 {
		r.must(r.bus.Answer(r.t.Context(), reply, behalf.Result{V: 1, Run: run, State: behalf.StateOK, Response: &response, Unkept: true}))
	}
	r.must(r.bus.Answer(r.t.Context(), other, behalf.Result{V: 1, Run: run, State: behalf.StateOK, Response: &response}))
	if got := r.result(result); got.Response == nil || got.Response.Text != text || got.Elsewhere || got.Run != run {
		r.t.Errorf("the result is %t, of %d bytes", got.Elsewhere, len(got.Response.Text))
	}
	if got := r.result(otherResult); got.Response != nil || !got.Elsewhere { // which the journal has
		r.t.Errorf("the result is %+v", got)
	}
}

func (r *rig) result(results <-chan behalf.Result) behalf.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), Patience)
	defer cancel()
	select {
	case got := <-results:
		return got
	case <-ctx.Done():
		r.t.Fatal("no result came")
	}
	return behalf.Result{}
}

func (r *rig) replyRefused() {
	r.t.Helper()
	for _, reply := range []string{
		"evt.development.shared.proj_x.p_x", "$JS.API.STREAM.DELETE.EVENTS_development", "rsp.a", "rsp.a.b.c", "rsp.*.b", "rsp.a.>",
		"rsp..b", "rsp.a.b c", "rsp.a.b\r\nPUB x", "_INBOX.x", ">",
	} {
		r.kind(r.bus.Answer(r.t.Context(), reply, behalf.Result{}), fault.Invalid)
	}
	r.must(r.bus.Answer(r.t.Context(), "", behalf.Result{})) // nobody waits
}

func (r *rig) duplicate() {
	r.t.Helper()
	w, e := r.work(4), r.event()
	first, second := r.publish(e), r.publish(e)
	if first.Duplicate || !second.Duplicate || first.Sequence != second.Sequence {
		r.t.Fatalf("the receipts are %+v and %+v", first, second)
	}
	d := r.take(w.Source)
	if d.Sequence != first.Sequence || d.Seen {
		r.t.Fatalf("sequence %d, seen %v", d.Sequence, d.Seen)
	}
	r.ack(d)
	r.settled()
	r.none(w.Source, Layout().AckWait/2)
}

func (r *rig) full() {
	r.t.Helper()
	for range Layout().MaxQueued {
		r.publish(r.event())
	}
	over := r.event()
	_, err := r.bus.Publish(r.t.Context(), over, "")
	r.kind(err, fault.Exhausted)
	if n := r.stored(over); n != uint64(Layout().MaxQueued) {
		r.t.Fatalf("%d are stored, want %d", n, Layout().MaxQueued)
	}
	other := r.event() // of another workflow, whose queue is empty
	other.Workflow = "p_other"
	r.publish(other)

	w := r.work(1)
	r.ack(r.take(w.Source))
	r.ack(r.take(w.Source))
	var receipt bus.Receipt
	r.eventually("there is room for one more", func() bool {
		receipt, err = r.bus.Publish(r.t.Context(), over, "")
		return err == nil
	})
	if receipt.Duplicate {
		r.t.Fatal("the refused event had left its id behind")
	}
}

// stored counts the messages on the event's subject.
func (r *rig) stored(e behalf.Event) uint64 {
	r.t.Helper()
	name, err := subject.Event{Environment: e.Environment, Lane: e.Lane, Project: e.Project, Workflow: e.Workflow}.Subject()
	r.must(err)
	stream, err := r.js.Stream(r.t.Context(), subject.Events(Environment))
	r.must(err)
	info, err := stream.Info(r.t.Context(), jetstream.WithSubjectFilter(name))
	r.must(err)
	return info.State.Subjects[name]
}

func (r *rig) tooLarge() {
	r.t.Helper()
	e := r.event()
	e.Trigger = json.RawMessage(`"` + string(bytes.Repeat([]byte("x"), bus.MaxEvent)) + `"`)
	_, err := r.bus.Publish(r.t.Context(), e, "")
	r.kind(err, fault.Invalid)
	if code := fault.CodeOf(err); code != string(behalf.CodeBodyTooLarge) {
		r.t.Fatalf("the code is %s", code)
	}
	for _, change := range []func(*behalf.Event){
		func(e *behalf.Event) { e.Project = "proj_a.b" },
		func(e *behalf.Event) { e.Workflow = "*" },
		func(e *behalf.Event) { e.Environment = "staging" },
		func(e *behalf.Event) { e.Lane = "" },
	} {
		e := r.event()
		change(&e)
		_, err := r.bus.Publish(r.t.Context(), e, "")
		r.kind(err, fault.Invalid)
	}
}

func (r *rig) endedBefore() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	cancel()
	e := r.event()
	_, err := r.bus.Publish(ctx, e, "")
	r.kind(err, fault.Unavailable)
	if fault.CodeOf(err) == string(behalf.CodeAcceptanceUnknown) || r.stored(e) != 0 {
		r.t.Fatalf("the error is %v, and %d are stored", err, r.stored(e))
	}
}
