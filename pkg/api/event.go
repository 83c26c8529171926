package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Events are the events of one environment that were received: those of finished runs, and those that were kept as tests.
// Errors as those of Operator.
type Events interface {
	Events(ctx context.Context, q operate.EventQuery) (operate.EventPage, error)
	Event(ctx context.Context, project behalf.ProjectID, id behalf.EventID) (operate.Received, error)
	// Trigger reads what an event was triggered by, also where it lies apart.
	Trigger(ctx context.Context, e behalf.Event) (json.RawMessage, error)
}

// eventView is an event as the API shows it. Only one that is shown alone has its trigger.
type eventView struct {
	V           int                   `json:"v"`
	ID          behalf.EventID        `json:"id"`
	Workflow    behalf.WorkflowID     `json:"workflow"`
	Environment behalf.Environment    `json:"environment"`
	Version     behalf.VersionID      `json:"version,omitempty"`
	User        behalf.ExternalUserID `json:"user,omitempty"`
	At          time.Time             `json:"at"`
	// Test says that the event was kept, and nothing ran; else Run did.
	Test    bool            `json:"test"`
	Run     behalf.RunID    `json:"run,omitempty"`
	State   behalf.RunState `json:"state,omitempty"`
	Method  string          `json:"method,omitempty"`
	Path    string          `json:"path,omitempty"`
	Trigger json.RawMessage `json:"trigger,omitempty"`
}

func viewEvent(r operate.Received) eventView {
	e := r.Event
	v := eventView{
		V: behalf.FormatVersion, ID: e.ID, Workflow: e.Workflow, Environment: e.Environment, Version: e.Version, User: e.User,
		At: e.At, Test: r.Test, State: r.State,
	}
	if !r.Test {
		v.Run = e.Run
	}
	var trigger struct {
		Method string `json:"method"`
		Path   string `json:"path"`
	}
	if json.Unmarshal(e.Trigger, &trigger) == nil { // one that lies apart has none here
		v.Method, v.Path = trigger.Method, trigger.Path
	}
	return v
}

func (a *API) events(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "workflow", "user", "kind", "limit", "after")
	if err != nil {
		return err
	}
	query := operate.EventQuery{Project: c.Project, After: q.text("after")}
	switch q.text("kind") {
	case "test":
		query.OnlyTests = true
	case "run":
		query.OnlyRuns = true
	case "":
	default:
		return invalid("kind must be test or run")
	}
	if query.Limit, err = q.limit(); err != nil {
		return err
	}
	if query.User, err = q.user(); err != nil {
		return err
	}
	if query.Workflow, err = q.workflow(); err != nil {
		return err
	}
	found, err := c.Events.Events(r.Context(), query)
	if err != nil {
		return err
	}
	data := make([]eventView, len(found.Events))
	for i, e := range found.Events {
		data[i] = viewEvent(e)
	}
	web.WriteJSON(w, http.StatusOK, newPage(data, found.Cursor))
	return nil
}

func (a *API) event(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id, err := behalf.ParseEventID(r.PathValue("event"))
	if err != nil {
		return noEvent()
	}
	found, err := c.Events.Event(r.Context(), c.Project, id)
	switch {
	case fault.Is(err, fault.NotFound) || err == nil && found.Event.Project != c.Project:
		return noEvent()
	case err != nil:
		return err
	}
	view := viewEvent(found)
	view.Trigger = found.Event.Trigger
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

func noEvent() error { return notFound("no such event") }

// withTrigger brings the trigger back into an event of which it lies apart, with as much of its body as people read.
// Where it is gone, the reference stays.
func withTrigger(ctx context.Context, events Events, event json.RawMessage) (json.RawMessage, error) {
	var e behalf.Event
	if json.Unmarshal(event, &e) != nil || e.TriggerRef == nil {
		return event, nil //nolint:nilerr // whatever it is, it is no event whose trigger lies apart
	}
	trigger, err := events.Trigger(ctx, e)
	if fault.Is(err, fault.Conflict) {
		return event, nil
	}
	if err != nil {
		return nil, err
	}
	if e.Trigger, err = shortened(trigger); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// shownBody is how many bytes of a large body are shown.
const shownBody = 64 << 10

// shortened cuts the body of a trigger. What was cut is text of JSON, and says that it was.
func shortened(trigger json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(trigger, &fields); err != nil {
		return nil, fault.Wrap(fault.Internal, "api.shortened", err)
	}
	for _, name := range []string{"body", "body_raw"} {
		full := fields[name]
		if len(full) <= shownBody {
			continue
		}
		head := full[:shownBody]
		for !utf8.Valid(head) {
			head = head[:len(head)-1]
		}
		text, err := json.Marshal(string(head))
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "api.shortened", err)
		}
		size, _ := json.Marshal(len(full)) //nolint:errchkjson // a number
		fields[name], fields[name+"_truncated"], fields[name+"_bytes"] = text, json.RawMessage("true"), size
	}
	return json.Marshal(fields)
}
