package bus

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Reason is why an event lies in the dead letters.
type Reason string

// The reasons.
const (
	// ReasonWorkerLost is for five attempts that ended without a record: the worker died each time.
	ReasonWorkerLost Reason = "worker_lost"
	// ReasonMalformed is for a message that is no event of ours.
	ReasonMalformed Reason = "malformed"
	// ReasonVersion is for an event whose version cannot be loaded.
	ReasonVersion Reason = "version_unavailable"
	// ReasonJournalEvicted is for a run whose own records the journal has dropped while it ran.
	ReasonJournalEvicted Reason = "journal_evicted"
	// ReasonPlatform is for a failure of ours that came back at every attempt.
	ReasonPlatform Reason = "platform_error"
)

// DeadLetter is an event that could not be finished, with the reason.
type DeadLetter struct {
	V           int                `json:"v"`
	Reason      Reason             `json:"reason"`
	Detail      string             `json:"detail,omitempty"`
	At          time.Time          `json:"at"`
	Worker      string             `json:"worker"`
	Environment behalf.Environment `json:"environment"`
	Run         behalf.RunID       `json:"run,omitempty"`
	Subject     string             `json:"subject"`
	Sequence    uint64             `json:"sequence"`
	// Original is the message as it came, where it is JSON; else Raw is.
	Original json.RawMessage `json:"original,omitempty"`
	Raw      []byte          `json:"raw,omitempty"`
}

// Bury keeps the delivery's message in the dead letters, and only then ends it for ever. A message that is buried again
// for the same reason, because nobody heard that it was kept, leaves one letter. Errors: Unavailable, when the letter is
// not known to be kept; the delivery then comes again.
func (d *Delivery) Bury(ctx context.Context, worker string, reason Reason, detail string) error {
	defer d.Release()
	b := d.source.bus
	letter := DeadLetter{
		V: behalf.FormatVersion, Reason: reason, Detail: detail, At: time.Now().UTC(), Worker: worker,
		Environment: b.env, Run: d.Event.Run, Subject: d.msg.Subject, Sequence: d.Sequence,
	}
	switch {
	case len(d.msg.Data) > MaxRecord: // no event or timer of ours; its head must do, or the letter would be refused for ever
		letter.Raw = d.msg.Data[:MaxEvent]
	case json.Valid(d.msg.Data):
		letter.Original = d.msg.Data
	default:
		letter.Raw = d.msg.Data[:min(len(d.msg.Data), MaxRecord/2)]
	}
	name := d.deadSubject()
	data, err := json.Marshal(letter)
	if err != nil {
		return fault.Wrap(fault.Internal, "bus.Bury", err)
	}
	m := &nats.Msg{Subject: name, Data: data, Header: nats.Header{}}
	if id := d.letterID(name, reason); id != "" {
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	if _, err := b.js.PublishMsg(ctx, m); err != nil {
		return fault.Wrap(fault.Unavailable, "bus.Bury", err)
	}
	return d.Term()
}

// letterID is the same whenever this message is buried for this reason. It holds nothing that the message says, which may
// be lies. The sequence alone would be that of another message once a stream was made anew, so the time at which it was
// stored stands with it. Empty for a message that came from no stream.
func (d *Delivery) letterID(name string, reason Reason) string {
	meta, err := d.msg.Metadata()
	if err != nil {
		return ""
	}
	return strings.Join([]string{
		name, meta.Stream,
		strconv.FormatUint(meta.Sequence.Stream, 10), strconv.FormatInt(meta.Timestamp.UnixNano(), 10), string(reason),
	}, ".")
}

// deadSubject takes the words of the subject that the message came on: those of a malformed message may be lies.
func (d *Delivery) deadSubject() string {
	env := d.source.bus.env
	if s, err := subject.ParseEvent(d.msg.Subject); err == nil {
		name, _ := subject.Dead(env, s.Project, s.Workflow)
		return name
	}
	if s, err := subject.ParseFired(d.msg.Subject); err == nil {
		name, _ := subject.Dead(env, s.Project, s.Workflow)
		return name
	}
	return "dead." + string(env) + ".unknown.unknown"
}

// Watch reads how much waits, and since when, for the metrics, until ctx ends.
func (b *Bus) Watch(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		b.measure(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (b *Bus) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if s, err := b.streamState(ctx, subject.Events(b.env)); err == nil {
		b.metrics.pending.Set(float64(s.Msgs))
		age := 0.0
		if s.Msgs > 0 {
			age = time.Since(s.FirstTime).Seconds()
		}
		b.metrics.oldest.Set(age)
	}
	if s, err := b.streamState(ctx, subject.Timers(b.env)); err == nil {
		b.metrics.timers.Set(float64(s.Msgs))
	}
	if s, err := b.streamState(ctx, subject.DeadLetters(b.env)); err == nil {
		b.metrics.dead.Set(float64(s.Msgs))
	}
}
