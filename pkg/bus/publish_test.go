package bus_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

const patience = bustest.Patience

// line is a publisher behind a proxy, and a worker's bus beside it that sees what is stored.
type line struct {
	proxy     *bustest.Proxy
	publisher *bus.Bus
	conn      *bus.Conn
	worker    *bus.Bus
	stream    jetstream.Stream
}

func newLine(t *testing.T) *line {
	t.Helper()
	server := bustest.Listening(t)
	direct := bustest.Connect(t, server)
	bustest.Provisioned(t, direct)
	l := &line{proxy: bustest.NewProxy(t, strings.TrimPrefix(server.URL(), "nats://")), worker: bustest.On(t, direct)}
	l.conn = bustest.Through(t, l.proxy, server)
	l.publisher = bustest.On(t, l.conn)
	js, err := jetstream.New(direct.NATS())
	if err != nil {
		t.Fatal(err)
	}
	if l.stream, err = js.Stream(t.Context(), subject.Events(bustest.Environment)); err != nil {
		t.Fatal(err)
	}
	return l
}

// stored reads every event that the stream keeps, by id, with how often.
func (l *line) stored(t *testing.T) map[behalf.EventID]int {
	t.Helper()
	stored := map[behalf.EventID]int{}
	info, err := l.stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := max(1, info.State.FirstSeq); seq <= info.State.LastSeq; seq++ {
		m, err := l.stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var e behalf.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		stored[e.ID]++
	}
	return stored
}

// TestPublishThroughABadLine has a table of what may happen to a publish and its acknowledgement, and what the
// publisher may say then: never that nothing was stored where something was, and never stored twice.
func TestPublishThroughABadLine(t *testing.T) {
	t.Parallel()
	kept := func(t *testing.T, l *line) func() bool {
		t.Helper()
		return func() bool { return len(l.stored(t)) == 1 }
	}
	for name, c := range map[string]struct {
		before bustest.Mode
		// during is what happens while Publish waits.
		during    func(t *testing.T, l *line, end context.CancelFunc)
		code      string // of the error, empty for success
		stored    int
		duplicate bool
		seen      bool // the worker must ask the journal
	}{
		"a good line": {
			before: bustest.Pass, during: func(*testing.T, *line, context.CancelFunc) {}, stored: 1,
		},
		"the acknowledgement is late": {
			before: bustest.HoldAnswers, stored: 1,
			during: func(t *testing.T, l *line, _ context.CancelFunc) {
				t.Helper()
				bustest.Eventually(t, "it is stored", kept(t, l))
				l.proxy.Set(bustest.Pass)
			},
		},
		"the acknowledgement is too late": {
			before: bustest.HoldAnswers, stored: 1, duplicate: true,
			during: func(t *testing.T, l *line, _ context.CancelFunc) {
				t.Helper()
				wait(t, bustest.Config().PubAckTimeout*3/2)
				l.proxy.Set(bustest.Pass)
			},
		},
		"the acknowledgement is lost with the connection": {
			before: bustest.DropAnswers, stored: 1, duplicate: true,
			during: func(t *testing.T, l *line, _ context.CancelFunc) {
				t.Helper()
				bustest.Eventually(t, "it is stored", kept(t, l))
				l.proxy.Cut(bustest.Pass)
			},
		},
		"the publish is lost with the connection": {
			before: bustest.DropRequests, stored: 1, seen: true,
			during: func(t *testing.T, l *line, _ context.CancelFunc) {
				t.Helper()
				wait(t, 100*time.Millisecond)
				l.proxy.Cut(bustest.Pass)
			},
		},
		"the acknowledgement never comes": {
			before: bustest.DropAnswers, stored: 1, code: "acceptance_unknown",
			during: func(t *testing.T, l *line, end context.CancelFunc) {
				t.Helper()
				bustest.Eventually(t, "it is stored", kept(t, l))
				end()
			},
		},
		"the publish never arrives": {
			before: bustest.DropRequests, stored: 0, code: "acceptance_unknown",
			during: func(t *testing.T, _ *line, end context.CancelFunc) {
				t.Helper()
				wait(t, bustest.Config().PubAckTimeout*3/2)
				end()
			},
		},
		"the acknowledgement is lost and nobody is there any more": {
			before: bustest.DropAnswers, stored: 1, code: "acceptance_unknown",
			during: func(t *testing.T, l *line, end context.CancelFunc) {
				t.Helper()
				bustest.Eventually(t, "it is stored", kept(t, l))
				l.proxy.Cut(bustest.Refuse)
				wait(t, 300*time.Millisecond)
				end()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			ctx, end := context.WithTimeout(t.Context(), patience)
			defer end()
			e := bustest.Event()
			l.proxy.Set(c.before)
			var receipt bus.Receipt
			var err error
			var done sync.WaitGroup
			done.Go(func() { receipt, err = l.publisher.Publish(ctx, e, "") })
			c.during(t, l, end)
			done.Wait()
			switch {
			case c.code == "" && err != nil, c.code != "" && fault.CodeOf(err) != c.code:
				t.Fatalf("the error is %v, want code %q", err, c.code)
			case receipt.Duplicate != c.duplicate:
				t.Fatalf("duplicate is %v", receipt.Duplicate)
			}
			if got := l.stored(t)[e.ID]; got != c.stored {
				t.Fatalf("stored %d times, want %d", got, c.stored)
			}
			if c.stored == 1 {
				l.delivered(t, e.Run, c.seen)
			}
		})
	}
}

// delivered takes the one event.
func (l *line) delivered(t *testing.T, run behalf.RunID, seen bool) {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	s := l.worker.Source(1)
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	if err := s.Add(ctx, bustest.Project); err != nil {
		t.Fatal(err)
	}
	d, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d.Event.Run != run || d.Seen != seen || d.Malformed != nil {
		t.Errorf("run %s, seen %v, malformed %v", d.Event.Run, d.Seen, d.Malformed)
	}
	_ = d.Ack(ctx)
	leave()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}

// wait lets time pass in which nothing may happen.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestPublishWithoutAServer(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	l.proxy.Cut(bustest.Refuse)
	bustest.Eventually(t, "the connection is lost", func() bool { return !l.publisher.Connected() })
	e := bustest.Event()
	_, err := l.publisher.Publish(t.Context(), e, "")
	if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "unavailable" {
		t.Fatalf("the error is %v", err)
	}
	l.proxy.Set(bustest.Pass)
	bustest.Eventually(t, "the connection is found again", l.publisher.Connected)
	if _, err := l.publisher.Publish(t.Context(), bustest.Event(), ""); err != nil {
		t.Fatal(err)
	}
	if n := l.stored(t)[e.ID]; n != 0 {
		t.Fatal("what was refused has been stored later")
	}
}

func TestPublishWithoutAStream(t *testing.T) {
	t.Parallel()
	b := bustest.On(t, bustest.Connect(t, bustest.Server(t)))
	_, err := b.Publish(t.Context(), bustest.Event(), "")
	if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "unavailable" {
		t.Fatalf("the error is %v", err)
	}
}

// TestPublishWhileTheLineBreaks cuts the line again and again under eight publishers.
func TestPublishWhileTheLineBreaks(t *testing.T) {
	t.Parallel()
	l := newLine(t)
	ctx, end := context.WithTimeout(t.Context(), 2*patience)
	defer end()
	var mu sync.Mutex
	said := map[behalf.EventID]string{}
	var publishers sync.WaitGroup
	enough := make(chan struct{})
	for range 8 {
		publishers.Go(func() {
			for n := 0; !closed(enough) && n < 1000; n++ {
				e := bustest.Event()
				_, err := l.publisher.Publish(ctx, e, "")
				mu.Lock()
				if said[e.ID] = "accepted"; err != nil {
					said[e.ID] = fault.CodeOf(err)
				}
				mu.Unlock()
				wait(t, 5*time.Millisecond)
			}
		})
	}
	for n := range 16 {
		wait(t, 50*time.Millisecond)
		l.proxy.Set([]bustest.Mode{bustest.Pass, bustest.HoldAnswers, bustest.DropAnswers, bustest.DropRequests}[n%4])
		wait(t, 20*time.Millisecond)
		l.proxy.Cut(bustest.Pass)
		bustest.Eventually(t, "the connection is found again", l.publisher.Connected)
	}
	close(enough)
	publishers.Wait()

	stored, outcomes := l.stored(t), map[string]int{}
	for id, what := range said {
		outcomes[what]++
		n := stored[id]
		if n > 1 || what == "accepted" && n != 1 || what == "unavailable" && n != 0 {
			t.Errorf("%s: said %s, stored %d times", id, what, n)
		}
	}
	t.Logf("%d publishes, %v, %d stored", len(said), outcomes, len(stored))
	if outcomes["accepted"] == 0 || len(outcomes) > 3 {
		t.Errorf("the outcomes are %v", outcomes)
	}
}
