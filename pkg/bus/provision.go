package bus

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Layout says how the streams of one environment are laid out. The zero value works.
type Layout struct {
	// Replicas of every stream.
	//
	// Defaults to 1. Use 3 in production.
	Replicas int
	// EventsMaxBytes is how much may wait in all; above it publishes are refused.
	//
	// Defaults to 8 GiB.
	EventsMaxBytes int64
	// MaxQueued events of one workflow: a flood fills its own queue only.
	//
	// Defaults to 10,000.
	MaxQueued int64
	// RunsMaxMsgs bounds the memory that the journal's subjects cost, about 220 bytes each.
	//
	// Defaults to 1,000,000.
	RunsMaxMsgs int64
	// HistoryMaxAge and HistoryMaxBytes bound the history of finished runs.
	//
	// Default to 90 days and 16 GiB.
	HistoryMaxAge   time.Duration
	HistoryMaxBytes int64
	// AckWait is how long a worker may hold an event without a sign of life.
	//
	// Defaults to 30 seconds.
	AckWait time.Duration
}

func (l Layout) withDefaults() Layout {
	l.Replicas = cmp.Or(l.Replicas, 1)
	l.EventsMaxBytes = cmp.Or(l.EventsMaxBytes, 8<<30)
	l.MaxQueued = cmp.Or(l.MaxQueued, 10_000)
	l.RunsMaxMsgs = cmp.Or(l.RunsMaxMsgs, 1_000_000)
	l.HistoryMaxAge = cmp.Or(l.HistoryMaxAge, 90*24*time.Hour)
	l.HistoryMaxBytes = cmp.Or(l.HistoryMaxBytes, 16<<30)
	l.AckWait = cmp.Or(l.AckWait, 30*time.Second)
	return l
}

const (
	dedupeWindow = 10 * time.Minute
	// keepRuns is how long a finished run's journal answers from memory-cheap subjects; history takes over.
	keepRuns = 2 * time.Hour
	// keepKeyed is longer than the 24 hours in which an idempotency key counts.
	keepKeyed = 25 * time.Hour
)

// Provision makes the streams of an environment, or brings them to this layout. It may be repeated at will. Errors:
// Unavailable.
func Provision(ctx context.Context, conn *Conn, env behalf.Environment, layout Layout) error {
	js, err := jetstream.New(conn.nc)
	if err != nil {
		return fault.Wrap(fault.Internal, "bus.Provision", err)
	}
	for _, cfg := range streams(env, layout.withDefaults()) {
		if _, err := js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return fault.Wrap(fault.Unavailable, "bus.Provision", fmt.Errorf("stream %s: %w", cfg.Name, err))
		}
	}
	return nil
}

// ProvisionProject makes the consumers of a project's ordinary lane. It may be repeated at will. Errors: Invalid,
// Unavailable.
func ProvisionProject(ctx context.Context, conn *Conn, env behalf.Environment, project behalf.ProjectID, layout Layout) error {
	layout = layout.withDefaults()
	durable, err := subject.SharedConsumer(project)
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn.nc)
	if err != nil {
		return fault.Wrap(fault.Internal, "bus.ProvisionProject", err)
	}
	for stream, filter := range map[string]string{
		subject.Events(env): subject.SharedEvents(env, project),
		subject.Timers(env): subject.SharedTimers(project),
	} {
		_, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: durable, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: layout.AckWait, MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: 4096,
		})
		if err != nil {
			return fault.Wrap(fault.Unavailable, "bus.ProvisionProject", fmt.Errorf("consumer of %s: %w", stream, err))
		}
	}
	return nil
}

func streams(env behalf.Environment, l Layout) []jetstream.StreamConfig {
	e := string(env)
	journal := func(name, word string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{word + "." + e + ".>"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			// Decisions read from the leader, and the obvious calls are direct gets wherever the stream allows them.
			AllowDirect: false, Discard: jetstream.DiscardOld, Duplicates: dedupeWindow, DenyDelete: true,
		}
	}
	runs, keyed := journal(subject.Runs(env), "run"), journal(subject.Keyed(env), "key")
	runs.MaxAge, runs.MaxMsgs = keepRuns, l.RunsMaxMsgs
	keyed.MaxAge = keepKeyed
	return []jetstream.StreamConfig{
		{
			Name: subject.Events(env), Subjects: []string{"evt." + e + ".>"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgsPerSubject: l.MaxQueued, MaxBytes: l.EventsMaxBytes, Duplicates: dedupeWindow,
		},
		runs, keyed, history(env, l),
		{
			// Schedules forbid discard: new, and a schedule that is evicted is a lost run: so there is no limit at all.
			Name: subject.Timers(env), Subjects: []string{"timer.set.*.*", "timer.fired.*.*.*"}, Storage: jetstream.FileStorage,
			Replicas: l.Replicas, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardOld, AllowMsgSchedules: true,
		},
		{
			Name: subject.DeadLetters(env), Subjects: []string{"dead." + e + ".*.*"}, Storage: jetstream.FileStorage,
			Replicas: l.Replicas, Discard: jetstream.DiscardNew, MaxBytes: l.EventsMaxBytes,
		},
	}
}

// history is filled by the server from both journals; the transform drops the run id, so that its memory stays flat.
func history(env behalf.Environment, l Layout) jetstream.StreamConfig {
	e := string(env)
	from := func(stream, word string) *jetstream.StreamSource {
		var transforms []jetstream.SubjectTransformConfig
		for _, kind := range []behalf.RecordKind{behalf.RecordFinish, behalf.RecordWait} {
			transforms = append(transforms, jetstream.SubjectTransformConfig{
				Source:      word + "." + e + ".*.*.*." + string(kind) + ".*.*",
				Destination: "hist." + e + ".{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(4)}}.{{partition(64,5)}}",
			})
		}
		return &jetstream.StreamSource{Name: stream, SubjectTransforms: transforms}
	}
	return jetstream.StreamConfig{
		Name: subject.History(env), Storage: jetstream.FileStorage, Replicas: l.Replicas, AllowDirect: true,
		MaxAge: l.HistoryMaxAge, MaxBytes: l.HistoryMaxBytes, Discard: jetstream.DiscardOld, DenyDelete: true,
		Sources: []*jetstream.StreamSource{from(subject.Runs(env), "run"), from(subject.Keyed(env), "key")},
	}
}
