package worker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/step"
	"github.com/behalf-dev/behalf/worker"
)

// shaken is a world whose connection can be cut, beside a journal whose connection stays.
type shaken struct {
	*world
	proxy *bustest.Proxy
	own   *bus.Conn
	other *journal.Journal
}

func newShaken(t *testing.T) *shaken {
	t.Helper()
	server := bustest.Listening(t)
	beside := bustest.Connect(t, server)
	bustest.Provisioned(t, beside)
	proxy := bustest.NewProxy(t, strings.TrimPrefix(server.URL(), "nats://"))
	conn := bustest.Through(t, proxy, server)
	s := &shaken{world: onBus(t, bustest.On(t, conn), conn), proxy: proxy, own: conn}
	var err error
	s.other, err = journal.New(beside.NATS(), bustest.Environment, s.store, journal.Config{}, zerolog.Nop())
	s.must(err)
	return s
}

// reconnects cuts the connection and waits until it is back.
func (s *shaken) reconnects() {
	s.t.Helper()
	before := s.own.Reconnects()
	s.proxy.Cut(bustest.Pass)
	s.eventually("the connection is back", func() bool { return s.own.Connected() && s.own.Reconnects() > before })
}

// takes begins a run as another attempt, on the connection that stays.
func (s *shaken) takes(e behalf.Event) *journal.Run {
	s.t.Helper()
	run, err := s.other.Open(s.t.Context(), journal.Opening{Event: e, EventSeq: 1, Worker: "other", Seen: true, Deliveries: 2})
	s.must(err)
	s.must(run.Begin(s.t.Context()))
	return run
}

// waiter is a runner whose step waits for what it runs in.
type waiter struct {
	gate gate
	ran  *atomic.Int64
}

func (f waiter) Run(ctx context.Context, c step.Call) (behalf.Outcome, error) {
	select {
	case <-f.gate.open: // it waits once only
	default:
		f.gate.pass()
	}
	if err := c.Begin(ctx); err != nil {
		return behalf.Outcome{}, err
	}
	f.ran.Add(1)
	return says("by the first"), nil
}

func TestAStepThatWaitedWhileAnotherFinishedItsRunDoesNotBegin(t *testing.T) {
	t.Parallel()
	s := newShaken(t)
	slow := waiter{newGate(), &atomic.Int64{}}
	s.runs = slow
	s.start(worker.Config{Slots: 1})
	e := eventOf("")
	s.publish(e, "")
	s.reaches(slow.gate)
	s.reconnects()
	run := s.takes(e)
	s.must(run.Finish(t.Context(), nil, behalf.Result{V: 1, Run: e.Run, State: behalf.StateOK, Response: says("by the other").Response}))
	close(slow.gate.open)
	if r := s.ended(); r.Response.Text != "by the other" {
		t.Errorf("the result is %+v", r)
	}
	s.settled()
	if slow.ran.Load() != 0 || kinds(s.records(e.Run)) != "begin finish" {
		t.Errorf("the step ran %d times; the journal has %s", slow.ran.Load(), kinds(s.records(e.Run)))
	}
}

func TestAStepThatWaitedOverAReconnectClaimsItsRun(t *testing.T) {
	t.Parallel()
	s := newShaken(t)
	slow := waiter{newGate(), &atomic.Int64{}}
	s.runs = slow
	s.start(worker.Config{Slots: 1})
	e := eventOf("")
	s.publish(e, "")
	s.reaches(slow.gate)
	s.reconnects()
	close(slow.gate.open)
	if r := s.ended(); r.Response.Text != "by the first" {
		t.Errorf("the result is %+v", r)
	}
	s.settled()
	if slow.ran.Load() != 1 || kinds(s.records(e.Run)) != "begin finish" {
		t.Errorf("the step ran %d times; the journal has %s", slow.ran.Load(), kinds(s.records(e.Run)))
	}
}

func TestAStepEndsWhereAnotherHasItsRun(t *testing.T) {
	t.Parallel()
	s := newShaken(t)
	running, cut := newGate(), make(chan error, 1)
	var ran atomic.Int64
	s.runner = func(ctx context.Context, c step.Call) (behalf.Outcome, error) {
		if ran.Add(1) > 1 {
			return ok(ctx, c)
		}
		running.pass()
		select {
		case <-ctx.Done():
		case <-time.After(patience):
		}
		cut <- context.Cause(ctx)
		return behalf.Outcome{}, ctx.Err()
	}
	s.start(worker.Config{Slots: 1, AnnounceAfter: 20 * time.Millisecond})
	e := eventOf("")
	s.publish(e, "")
	s.reaches(running)
	close(running.open)
	s.eventually("the run is announced", func() bool { return kinds(s.records(e.Run)) == "begin" })
	run := s.takes(e)
	s.reconnects()
	if cause := <-cut; cause == nil {
		t.Error("the step was not cut")
	}
	if len(s.told) != 0 {
		t.Error("the fenced attempt answered")
	}
	s.must(run.Finish(t.Context(), nil, behalf.Result{V: 1, Run: e.Run, State: behalf.StateOK, Response: says("by the other").Response}))
	if r := s.ended(); r.Response.Text != "by the other" {
		t.Errorf("the result is %+v", r)
	}
	s.settled()
	if ran.Load() != 1 {
		t.Errorf("the step ran %d times", ran.Load())
	}
}
