package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Erased counts what Erase has taken away.
type Erased struct {
	Records, History, Timers, DeadLetters, Objects int
	// Kept is what could not be taken away, and why, in words that are safe to show.
	Kept []string
}

// eraser takes away what is kept of one user's runs.
type eraser struct {
	*Journal
	project behalf.ProjectID
	user    behalf.ExternalUserID
	done    Erased
}

// Erase takes away all that journal, history, timers, dead letters and objects have of the runs of a user. It may be
// repeated, and goes on where it was cut short: whatever leads to an object goes after it. A run that is under way loses its
// journal and ends in the dead letters, where the next Erase finds it. Errors: Unavailable; then a part is erased.
func (j *Journal) Erase(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (Erased, error) {
	e := &eraser{Journal: j, project: project, user: user}
	for _, each := range []func(context.Context) error{e.timers, e.records, e.history, e.letters} {
		if err := each(ctx); err != nil {
			return e.done, err
		}
	}
	return e.done, nil
}

// records purges by subject: that names the user by hash.
func (e *eraser) records(ctx context.Context) error {
	runs, keyed := subject.UserRecords(e.env, e.project, e.user)
	for stream, filter := range map[string]string{subject.Runs(e.env): runs, subject.Keyed(e.env): keyed} {
		err := e.each(ctx, stream, filter, func(m message) error { return e.dropOf(ctx, m.Data) })
		if err != nil {
			return err
		}
		n, err := e.purge(ctx, stream, filter)
		e.done.Records += n
		if err != nil {
			return err
		}
	}
	return nil
}

// history goes through the user's part of it: its subjects name no user.
func (e *eraser) history(ctx context.Context) error {
	stream, denied := subject.History(e.env), 0
	err := e.each(ctx, stream, subject.UserHistory(e.env, e.project, e.user), func(m message) error {
		if userOf(m.Data) != e.user {
			return nil
		}
		if err := e.dropOf(ctx, m.Data); err != nil {
			return err
		}
		switch err := e.remove(ctx, stream, m.Seq); {
		case errors.Is(err, errDenied):
			denied++
		case err != nil:
			return err
		default:
			e.done.History++
		}
		return nil
	})
	if denied > 0 {
		e.done.Kept = append(e.done.Kept, fmt.Sprintf("%d entries of the history: its stream was made before entries could be deleted, and they end with their age", denied))
	}
	return err
}

func (e *eraser) timers(ctx context.Context) error {
	stream := subject.Timers(e.env)
	set, fired := subject.ProjectTimers(e.project)
	for _, filter := range []string{set, fired} {
		err := e.each(ctx, stream, filter, func(m message) error {
			state, err := e.Revive(ctx, m.Data)
			switch {
			case fault.Is(err, fault.Invalid), fault.Is(err, fault.NotFound): // a worker buries it
				return nil
			case err != nil:
				return err
			case state.Event.User != e.user:
				return nil
			}
			if err := e.drop(ctx, append(state.parked(), refsOf(state.Event)...)...); err != nil {
				return err
			}
			e.done.Timers++
			return e.remove(ctx, stream, m.Seq)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *eraser) letters(ctx context.Context) error {
	stream := subject.DeadLetters(e.env)
	return e.each(ctx, stream, subject.ProjectDead(e.env, e.project), func(m message) error {
		var letter struct {
			Original json.RawMessage `json:"original"`
		}
		if json.Unmarshal(m.Data, &letter) != nil {
			return nil //nolint:nilerr // whose letter that is nobody can tell
		}
		event, ok := e.buried(ctx, letter.Original)
		if !ok || event.User != e.user {
			return nil
		}
		if err := e.drop(ctx, refsOf(event)...); err != nil {
			return err
		}
		e.done.DeadLetters++
		return e.remove(ctx, stream, m.Seq)
	})
}

// buried is the event of a dead letter, which is an event or a timer's state.
func (e *eraser) buried(ctx context.Context, original json.RawMessage) (behalf.Event, bool) {
	var event behalf.Event
	if json.Unmarshal(original, &event) == nil && event.Run != "" {
		return event, true
	}
	state, err := e.Revive(ctx, original)
	if err != nil {
		return behalf.Event{}, false
	}
	return state.Event, true
}

// userOf is the user of an encoded record.
func userOf(data []byte) behalf.ExternalUserID {
	var rec behalf.Record
	if json.Unmarshal(data, &rec) != nil {
		return ""
	}
	if rec.User != "" || rec.Finish == nil {
		return rec.User
	}
	var event behalf.Event
	_ = json.Unmarshal(rec.Finish.Event, &event) // without one there is no user to be found
	return event.User
}

// dropOf drops what a record has apart.
func (e *eraser) dropOf(ctx context.Context, data []byte) error {
	var rec behalf.Record
	if json.Unmarshal(data, &rec) != nil {
		return nil //nolint:nilerr // what cannot be read leads to nothing
	}
	var refs []behalf.ObjectRef
	add := func(refs2 ...*behalf.ObjectRef) {
		for _, ref := range refs2 {
			if ref != nil {
				refs = append(refs, *ref)
			}
		}
	}
	for _, step := range stepsOf(&rec) {
		add(step.ExportsRef, step.ResponseRef)
	}
	if rec.Finish != nil {
		add(rec.Finish.EventRef, rec.Finish.ResultRef)
		var event behalf.Event
		if json.Unmarshal(rec.Finish.Event, &event) == nil {
			refs = append(refs, refsOf(event)...)
		}
	}
	return e.drop(ctx, refs...)
}

func refsOf(event behalf.Event) []behalf.ObjectRef {
	if event.TriggerRef == nil {
		return nil
	}
	return []behalf.ObjectRef{*event.TriggerRef}
}

func (e *eraser) drop(ctx context.Context, refs ...behalf.ObjectRef) error {
	for _, ref := range refs {
		if err := e.objects.DropObject(ctx, ref); err != nil {
			return err
		}
		if ref.Parked {
			e.done.Objects++
		}
	}
	return nil
}

// message is one stored message.
type message struct {
	Seq  uint64 `json:"seq"`
	Data []byte `json:"data"`
}

// each hands over what a filter matches, one leader read a message, so that nothing is held at the server or here.
func (e *eraser) each(ctx context.Context, stream, filter string, do func(message) error) error {
	for seq := uint64(1); ; {
		var answer struct {
			Message message `json:"message"`
		}
		err := e.ask(ctx, "STREAM.MSG.GET."+stream, map[string]any{"next_by_subj": filter, "seq": seq}, &answer)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(answer.Message); err != nil {
			return err
		}
		seq = answer.Message.Seq + 1
	}
}

func (e *eraser) purge(ctx context.Context, stream, filter string) (int, error) {
	var answer struct {
		Purged int `json:"purged"`
	}
	err := e.ask(ctx, "STREAM.PURGE."+stream, map[string]any{"filter": filter}, &answer)
	return answer.Purged, err
}

// remove overwrites a message. That it is gone already is no error.
func (e *eraser) remove(ctx context.Context, stream string, seq uint64) error {
	err := e.ask(ctx, "STREAM.MSG.DELETE."+stream, map[string]any{"seq": seq}, &struct{}{})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// errDenied is for a stream that lets nobody delete single messages.
var errDenied = errors.New("the stream denies deletes")

// codeNoDelete is for a message that could not be deleted, for one of several reasons that only its words tell apart.
const (
	codeNoDelete   = 10057
	codeNoSequence = 10043
)

func (e *eraser) ask(ctx context.Context, call string, query map[string]any, into any) error {
	request, err := json.Marshal(query)
	if err != nil {
		return fault.Wrap(fault.Internal, "journal.Erase", err)
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.AckTimeout)
	defer cancel()
	answer, err := e.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "$JS.API." + call, Data: request})
	if err != nil {
		return fault.Wrap(fault.Unavailable, "journal.Erase", err)
	}
	var failed struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := errors.Join(json.Unmarshal(answer.Data, &failed), json.Unmarshal(answer.Data, into)); err != nil {
		return fault.Wrap(fault.Internal, "journal.Erase", err)
	}
	switch {
	case failed.Error == nil:
		return nil
	case failed.Error.Code == codeNoMessage, failed.Error.Code == codeNoSequence:
		return fault.New(fault.NotFound, "journal.Erase", "no such message")
	case failed.Error.Code == codeNoDelete && strings.Contains(failed.Error.Description, "not permitted"):
		return errors.Join(errDenied, errors.New(failed.Error.Description))
	case failed.Error.Code == codeNoDelete && strings.Contains(failed.Error.Description, "no message"):
		return fault.New(fault.NotFound, "journal.Erase", "no such message")
	}
	return fault.Wrap(fault.Unavailable, "journal.Erase", errors.New(failed.Error.Description))
}
