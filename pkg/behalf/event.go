package behalf

import (
	"encoding/json"
	"strconv"
	"time"
)

// Event is one firing of a trigger. It is immutable once published.
type Event struct {
	V           int            `json:"v"`
	ID          EventID        `json:"id"`
	Run         RunID          `json:"run"`
	Project     ProjectID      `json:"project"`
	Environment Environment    `json:"environment"`
	Workflow    WorkflowID     `json:"workflow"`
	Version     VersionID      `json:"version"`
	Lane        Lane           `json:"lane"`
	User        ExternalUserID `json:"user,omitempty"`
	At          time.Time      `json:"at"`
	Origin      Origin         `json:"origin"`
	// Trigger is the object that steps read as steps.trigger.event.
	Trigger json.RawMessage `json:"trigger"`
	// TriggerRef is where the trigger lies when it is too large for an event. Trigger is null then.
	TriggerRef *ObjectRef `json:"trigger_ref,omitempty"`
	// Files are the names of the files of an event of which nothing shall be kept: they end with its run. Those of other
	// events end by themselves.
	Files []string `json:"files,omitempty"`
}

// Origin is where an event came from and who waits for its result.
type Origin struct {
	Endpoint EndpointID `json:"endpoint,omitempty"`
	// Client is the OAuth client that called. Empty on a trigger without OAuth.
	Client ClientID `json:"client,omitempty"`
	// Waits says that a caller waits for the answer, so a thrown step is final.
	Waits bool `json:"waits,omitempty"`
	// Trusted says that the caller was authenticated, so a step's error may be told in full.
	Trusted bool `json:"trusted,omitempty"`
	// Accounts names which of several accounts of an app the run shall use.
	Accounts map[AppSlug]AccountID `json:"accounts,omitempty"`
	// ResultHash is the SHA-256 in hexadecimal of the random token that reads the result later, where the trigger has
	// no OAuth.
	ResultHash string `json:"result_hash,omitempty"`
	// ReplayOf is the run whose event this one repeats. Empty for an event that came from outside.
	ReplayOf RunID `json:"replay_of,omitempty"`
	// NoStore says that nothing of the run is kept but that it was: no event, no exports, no logs, no answer.
	NoStore bool `json:"no_store,omitempty"`
}

// AppendJSON appends what json.Marshal would give, several times faster: the trigger is taken as it is, without being
// checked and copied again. The ids must be checked ones, and Trigger valid JSON, compact.
func (e Event) AppendJSON(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"v":`...), int64(e.V), 10)
	for _, field := range [...]struct{ name, value string }{
		{`,"id":"`, string(e.ID)},
		{`","run":"`, string(e.Run)},
		{`","project":"`, string(e.Project)},
		{`","environment":"`, string(e.Environment)},
		{`","workflow":"`, string(e.Workflow)},
		{`","version":"`, string(e.Version)},
		{`","lane":"`, string(e.Lane)},
	} {
		b = append(append(b, field.name...), field.value...)
	}
	b = append(b, '"')
	if e.User != "" {
		b = append(append(b, `,"user":`...), quoted(string(e.User))...)
	}
	b = e.At.AppendFormat(append(b, `,"at":"`...), time.RFC3339Nano)
	b = append(append(b, `","origin":`...), encoded(e.Origin)...)
	b = append(b, `,"trigger":`...)
	if len(e.Trigger) == 0 {
		b = append(b, "null"...)
	}
	b = append(b, e.Trigger...)
	if e.TriggerRef != nil {
		b = append(append(b, `,"trigger_ref":`...), encoded(e.TriggerRef)...)
	}
	if len(e.Files) > 0 {
		b = append(append(b, `,"files":`...), encoded(e.Files)...)
	}
	return append(b, '}')
}

func encoded(part any) []byte {
	doc, err := json.Marshal(part)
	if err != nil { // strings, numbers and booleans: there is nothing that cannot be encoded
		return []byte(`{}`)
	}
	return doc
}

func quoted(s string) []byte {
	doc, err := json.Marshal(s)
	if err != nil { // a string always can
		return []byte(`""`)
	}
	return doc
}
