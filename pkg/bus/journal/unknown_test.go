package journal_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const patience = bustest.Patience

// desk is a journal behind a proxy, and one beside it.
type desk struct {
	proxy  *bustest.Proxy
	behind *journal.Journal
	beside *journal.Journal
	stream jetstream.Stream
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	server := bustest.Listening(t)
	direct := bustest.Connect(t, server)
	bustest.Provisioned(t, direct)
	d := &desk{proxy: bustest.NewProxy(t, strings.TrimPrefix(server.URL(), "nats://"))}
	cfg := journal.Config{AckTimeout: 300 * time.Millisecond}
	var err error
	if d.behind, err = journal.New(bustest.Through(t, d.proxy, server).NATS(), bustest.Environment, nil, cfg, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	if d.beside, err = journal.New(direct.NATS(), bustest.Environment, nil, cfg, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(direct.NATS())
	if err != nil {
		t.Fatal(err)
	}
	if d.stream, err = js.Stream(t.Context(), subject.Runs(bustest.Environment)); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) kept(t *testing.T) uint64 {
	t.Helper()
	info, err := d.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// TestWriteThroughABadLine loses a record, or its acknowledgement, of a run's first and of a later write.
func TestWriteThroughABadLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode   bustest.Mode
		stored bool // before the line is mended
		cut    bool
	}{
		"the acknowledgement is late":                     {mode: bustest.HoldAnswers, stored: true},
		"the acknowledgement is lost with the connection": {mode: bustest.DropAnswers, stored: true, cut: true},
		"the record is lost with the connection":          {mode: bustest.DropRequests, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			run := open(t, d.behind, journal.Opening{Event: bustest.Event(), EventSeq: 1, Worker: "A"})
			for n := range uint64(2) {
				d.proxy.Set(c.mode)
				var err error
				var done sync.WaitGroup
				done.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					err = run.Record(ctx, behalf.StepRecord{Path: "one", At: time.Now()})
				})
				if c.stored {
					bustest.Eventually(t, "it is stored", func() bool { return d.kept(t) == n+1 })
				}
				// Longer than the write waits for its acknowledgement, so that it has begun to ask.
				select {
				case <-time.After(400 * time.Millisecond):
				case <-t.Context().Done():
				}
				if c.cut {
					d.proxy.Cut(bustest.Pass)
				}
				d.proxy.Set(bustest.Pass)
				done.Wait()
				if err != nil {
					t.Fatal(err)
				}
				if kept := d.kept(t); kept != n+1 {
					t.Fatalf("%d records, want %d", kept, n+1)
				}
			}
		})
	}
}

// TestWriteIsTakenOver loses the acknowledgement of a record, and lets another attempt begin before it is asked for.
func TestWriteIsTakenOver(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	e := bustest.Event()
	a := open(t, d.behind, journal.Opening{Event: e, EventSeq: 1, Worker: "A"})
	d.proxy.Set(bustest.HoldAnswers)
	var err error
	var done sync.WaitGroup
	done.Go(func() { err = a.Record(t.Context(), behalf.StepRecord{Path: "one", At: time.Now()}) })
	bustest.Eventually(t, "it is stored", func() bool { return d.kept(t) == 1 })
	b := open(t, d.beside, journal.Opening{Event: e, EventSeq: 1, Worker: "B", Seen: true, Deliveries: 2})
	if err := b.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.Steps) != 1 {
		t.Errorf("%d steps are done", len(b.Steps))
	}
	select {
	case <-time.After(400 * time.Millisecond): // past the wait for the acknowledgement
	case <-t.Context().Done():
	}
	d.proxy.Cut(bustest.Pass)
	done.Wait()
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("the error is %v", err)
	}
	if err := b.Finish(t.Context(), nil, behalf.Result{V: 1, Run: e.Run, State: behalf.StateOK}); err != nil {
		t.Fatal(err)
	}
}

// TestAClaimThatNobodyAcknowledgedFencesNobody loses the acknowledgement of a claim for longer than its caller waits: the
// next record finds it again, instead of being fenced by it.
func TestAClaimThatNobodyAcknowledgedFencesNobody(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	run := open(t, d.behind, journal.Opening{Event: bustest.Event(), EventSeq: 1, Worker: "A"})
	d.proxy.Set(bustest.DropAnswers)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := run.Begin(ctx); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("the error is %v", err)
	}
	if n := d.kept(t); n != 1 {
		t.Fatalf("%d records", n)
	}
	d.proxy.Cut(bustest.Pass)
	bustest.Eventually(t, "the record is written", func() bool {
		return run.Record(t.Context(), behalf.StepRecord{Path: "one", At: time.Now()}) == nil
	})
	if !run.Begun() || d.kept(t) != 2 {
		t.Fatalf("begun %v, %d records", run.Begun(), d.kept(t))
	}
}

// TestWriteWithoutAServer ends with its caller's patience, and says that the journal is away.
func TestWriteWithoutAServer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	run := open(t, d.behind, journal.Opening{Event: bustest.Event(), EventSeq: 1, Worker: "A"})
	d.proxy.Cut(bustest.Refuse)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := run.Record(ctx, behalf.StepRecord{Path: "one"}); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("the error is %v", err)
	}
}

func open(t *testing.T, j *journal.Journal, o journal.Opening) *journal.Run {
	t.Helper()
	run, err := j.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if run.Standing != journal.Ready {
		t.Fatalf("standing %d", run.Standing)
	}
	return run
}
