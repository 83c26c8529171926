package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

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
	// Storage is what the streams with a limit reserve together on each server: a quarter for the events that wait, above
	// which publishes are refused, a quarter for the dead letters, an eighth (at least 16 MiB) for files, above which files
	// are refused, a 64th for test events, and the rest for the history of finished runs. A stream that is there grows to
	// its part; it shrinks to it only while it has never held anything.
	//
	// Zero leaves the streams that are there as they are. Those that are missing share DefaultStorage.
	Storage Bytes
	// DefaultStorage is for streams that are missing, where Storage is zero.
	//
	// Defaults to half of what the account may store, but at most 32 GiB; to 2 GiB where it has no limit.
	DefaultStorage Bytes
	// MaxQueued events of one workflow: a flood fills its own queue only.
	//
	// Defaults to 10,000.
	MaxQueued int64
	// RunsMaxMsgs bounds the memory that the journal's subjects cost, about 220 bytes each.
	//
	// Defaults to 1,000,000.
	RunsMaxMsgs int64
	// HistoryMaxAge is how long a finished run stays in the history, where there is room.
	//
	// Defaults to 90 days.
	HistoryMaxAge time.Duration
	// AckWait is how long a worker may hold an event without a sign of life.
	//
	// Defaults to 30 seconds.
	AckWait time.Duration
}

func (l Layout) withDefaults() Layout {
	l.Replicas = cmp.Or(l.Replicas, 1)
	l.MaxQueued = cmp.Or(l.MaxQueued, 10_000)
	l.RunsMaxMsgs = cmp.Or(l.RunsMaxMsgs, 1_000_000)
	l.HistoryMaxAge = cmp.Or(l.HistoryMaxAge, 90*24*time.Hour)
	l.AckWait = cmp.Or(l.AckWait, 30*time.Second)
	return l
}

const (
	// dedupeWindow is six times as long as a publish is repeated. The server keeps about 160 bytes in memory of each event
	// in it, so ten minutes of 3,000 events a second would cost 290 MB.
	dedupeWindow = 30 * time.Second
	// dedupeLetters is longer than a delivery takes to come again and be buried again. Letters are few.
	dedupeLetters = 10 * time.Minute
	// keepRuns is how long a finished run's journal answers from memory-cheap subjects; history takes over.
	keepRuns = 2 * time.Hour
	// keepTests is how many test events of one workflow are kept, and keepTestsFor how long.
	keepTests    = 100
	keepTestsFor = 30 * 24 * time.Hour
	// keepKeyed is longer than the 24 hours in which an idempotency key counts.
	keepKeyed = 25 * time.Hour
	// keepFiles is how long a file may be read, as those who come from elsewhere expect.
	keepFiles = 30 * time.Minute
	// keepParkedBeyond is how much longer than a run's history its trigger stays: longer than any run takes.
	keepParkedBeyond = 30 * 24 * time.Hour
	// minFiles holds the files of one request at least.
	minFiles Bytes = 16 << 20
	// maxFileMessages bounds the memory that small files cost, two subjects each.
	maxFileMessages = 200_000
)

func (l Layout) total() Bytes { return cmp.Or(l.Storage, l.DefaultStorage) }

// quarter of the storage, as Storage says.
func (l Layout) quarter() int64 { return int64(l.total() / 4) }

func (l Layout) files() int64 { return int64(max(minFiles, l.total()/8)) }

func (l Layout) tests() int64 { return int64(l.total() / 64) }

// history has what the others leave.
func (l Layout) history() int64 { return 2*l.quarter() - l.files() - l.tests() }

// size is what a stream that is there is to reserve, when its part is what was wanted for it.
func (l Layout) size(wanted int64, there *jetstream.StreamInfo) int64 {
	had := there.Config.MaxBytes
	switch {
	case wanted == 0: // it has no limit, by design
		return wanted
	case l.Storage == 0, had <= 0:
		return had
	case there.State.LastSeq == 0: // what an attempt before has made too large must not stand in the way
		return wanted
	}
	return max(wanted, had)
}

// Provision makes the streams of an environment, or brings them to this layout. It may be repeated at will. Errors:
// Unavailable; Exhausted, where NATS has too little storage.
func Provision(ctx context.Context, conn *Conn, env behalf.Environment, layout Layout) error {
	js, err := jetstream.New(conn.nc)
	if err != nil {
		return fault.Wrap(fault.Internal, "bus.Provision", err)
	}
	layout = layout.withDefaults()
	if layout.DefaultStorage == 0 {
		layout.DefaultStorage = roomOf(ctx, js, layout.Replicas).share()
	}
	for _, cfg := range streams(env, layout) {
		err := provisionStream(ctx, js, layout, cfg, conn.log)
		if NoRoom(err) && cfg.Name == subject.Tests(env) { // it came later than the others, and nothing of a run lies in it
			conn.log.Warn().Err(err).Str("stream", cfg.Name).Msg("no room to keep test events")
			continue
		}
		if err != nil {
			return Refused(ctx, js, env, layout, "stream "+cfg.Name, err)
		}
	}
	return nil
}

func provisionStream(ctx context.Context, js jetstream.JetStream, layout Layout, cfg jetstream.StreamConfig, log zerolog.Logger) error {
	stream, err := js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateOrUpdateStream(ctx, cfg)
		return err
	}
	if err != nil {
		return err
	}
	part, had := cfg.MaxBytes, stream.CachedInfo().Config.MaxBytes
	cfg.MaxBytes = layout.size(part, stream.CachedInfo())
	cfg.DenyDelete = cfg.DenyDelete || stream.CachedInfo().Config.DenyDelete // NATS never takes that back
	_, err = js.UpdateStream(ctx, cfg)
	log = log.With().Str("stream", cfg.Name).Int64("bytes", had).Int64("asked_bytes", part).Logger()
	switch {
	case NoRoom(err) && cfg.MaxBytes <= max(had, 0):
		// The server now has less than it has reserved already, and refuses any change. What is there goes on as it is.
		log.Warn().Err(err).Msg("stream not brought to its layout, for want of storage")
		return nil
	case err == nil && layout.Storage > 0 && cfg.MaxBytes > part:
		log.Info().Msg("stream keeps its size: it does not shrink once it was used")
	case err == nil && cfg.MaxBytes > 0 && cfg.MaxBytes != had:
		log.Info().Msg("stream takes the size that was asked")
	}
	return err
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
	objects := ObjectStreams(env, l)
	return slices.Concat(objects[:1], []jetstream.StreamConfig{ // what has no limit can only be made while not all is reserved
		{
			Name: subject.Events(env), Subjects: []string{"evt." + e + ".>"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgsPerSubject: l.MaxQueued, MaxBytes: l.quarter(), Duplicates: dedupeWindow,
		},
		runs, keyed, history(env, l),
		{
			// Schedules forbid discard: new, and a schedule that is evicted is a lost run: so there is no limit at all.
			Name: subject.Timers(env), Subjects: []string{"timer.set.*.*", "timer.fired.*.*.*"}, Storage: jetstream.FileStorage,
			Replicas: l.Replicas, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardOld, AllowMsgSchedules: true,
		},
		{
			Name: subject.DeadLetters(env), Subjects: []string{"dead." + e + ".*.*"}, Storage: jetstream.FileStorage,
			Replicas: l.Replicas, Discard: jetstream.DiscardNew, MaxBytes: l.quarter(), Duplicates: dedupeLetters,
		},
		{
			Name: subject.Tests(env), Subjects: []string{"test." + e + ".*.*"}, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Discard: jetstream.DiscardOld, MaxMsgsPerSubject: keepTests, MaxAge: keepTestsFor, MaxBytes: l.tests(), Duplicates: dedupeWindow,
		},
	}, objects[1:])
}

// ObjectStreams are the streams behind the object stores whose contents end by themselves: of files, and of what belongs
// to one run. What a dead ingress or worker left in them ends as well. The one without a limit stands first.
func ObjectStreams(env behalf.Environment, l Layout) []jetstream.StreamConfig {
	l = l.withDefaults()
	objects := func(name, what string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: subject.ObjectStream(name), Description: what, Storage: jetstream.FileStorage, Replicas: l.Replicas,
			Subjects: []string{subject.ObjectChunks(name), subject.ObjectMetas(name)}, Discard: jetstream.DiscardNew,
			// Read a moment after it was stored, so never from a replica that lags.
			AllowRollup: true, AllowDirect: false,
		}
	}
	files, parked := objects(subject.Files(env), "files of callers"), objects(subject.Parked(env), "what is too large for the run that it belongs to")
	files.MaxAge, files.MaxBytes, files.MaxMsgs = keepFiles, l.files(), maxFileMessages
	parked.MaxAge = l.HistoryMaxAge + keepParkedBeyond
	return []jetstream.StreamConfig{parked, files}
}

// history is filled by the server from both journals; the transform drops the run id, so that its memory stays flat.
func history(env behalf.Environment, l Layout) jetstream.StreamConfig {
	e := string(env)
	from := func(stream, word string) *jetstream.StreamSource {
		var transforms []jetstream.SubjectTransformConfig
		for _, kind := range []behalf.RecordKind{behalf.RecordFinish, behalf.RecordWait} {
			transforms = append(transforms, jetstream.SubjectTransformConfig{
				Source:      word + "." + e + ".*.*.*." + string(kind) + ".*.*",
				Destination: "hist." + e + ".{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(4)}}.{{partition(" + strconv.Itoa(subject.HistoryPartitions) + ",5)}}",
			})
		}
		return &jetstream.StreamSource{Name: stream, SubjectTransforms: transforms}
	}
	return jetstream.StreamConfig{
		Name: subject.History(env), Storage: jetstream.FileStorage, Replicas: l.Replicas, AllowDirect: true,
		MaxAge: l.HistoryMaxAge, MaxBytes: l.history(), Discard: jetstream.DiscardOld, // single entries go with their user
		Sources: []*jetstream.StreamSource{from(subject.Runs(env), "run"), from(subject.Keyed(env), "key")},
	}
}
