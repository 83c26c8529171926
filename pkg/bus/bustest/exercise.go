package bustest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// Exercise is the suite that every bus passes. Open gives a fresh connection to the server under test, whose streams
// the suite makes itself; each part has a project of its own, so that all may share one server.
func Exercise(t *testing.T, open func(t *testing.T) *bus.Conn) {
	t.Helper()
	conn := open(t)
	if err := bus.Provision(t.Context(), conn, Environment, layoutOf(conn)); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		run  func(*rig)
	}{
		{"an event is answered in this process", func(r *rig) { r.answered(r.bus) }},
		{"an event is answered on another connection", func(r *rig) { r.answered(r.another().bus) }},
		{"an answer that nothing keeps comes whole", (*rig).answeredInParts},
		{"a reply to no ingress is refused", (*rig).replyRefused},
		{"the same id is stored once", (*rig).duplicate},
		{"a full queue refuses and keeps nothing", (*rig).full},
		{"an event that is too large is refused", (*rig).tooLarge},
		{"an end before the publish leaves no doubt", (*rig).endedBefore},
		{"what is given back or forgotten comes again", (*rig).redelivered},
		{"what is held with signs of life does not", (*rig).held},
		{"what waits for a slot goes to another worker", (*rig).givenBack},
		{"projects take turns", (*rig).fair},
		{"no more is fetched than twice the slots", (*rig).prefetch},
		{"a worker that leaves settles and gives back", (*rig).drained},
		{"what no worker has seen lies above the horizon", (*rig).horizon},
		{"what comes to a worker that stands still counts as seen", (*rig).stoodStill},
		{"a reconnect makes everything seen, and pulls go on", (*rig).reconnected},
		{"a pull survives its consumer", (*rig).consumerRemade},
		{"a project without consumers is not found", (*rig).noConsumers},
		{"a timer fires with its token and state", (*rig).timerFires},
		{"a timer replaces the one before", (*rig).timerReplaced},
		{"a cancelled timer does not fire", (*rig).timerCanceled},
		{"a buried event lies in the dead letters", (*rig).buried},
		{"what is buried twice lies there once", (*rig).buriedTwice},
		{"a message that is no event is told apart", (*rig).malformed},
		{"that a credential has changed is told to everybody", (*rig).credentialTold},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(newRig(t, open, Config()))
		})
	}
}

// layoutOf is Layout, with three replicas where the server is one of a cluster.
func layoutOf(conn *bus.Conn) bus.Layout {
	l := Layout()
	if conn.NATS().ConnectedClusterName() != "" {
		l.Replicas = 3
	}
	return l
}

// rig is a bus with a project of its own.
type rig struct {
	t       *testing.T
	open    func(*testing.T) *bus.Conn
	conn    *bus.Conn
	bus     *bus.Bus
	js      jetstream.JetStream
	project behalf.ProjectID
	taken   []*bus.Delivery
}

func newRig(t *testing.T, open func(*testing.T) *bus.Conn, cfg bus.Config) *rig {
	t.Helper()
	r := &rig{t: t, open: open, project: behalf.NewProjectID()}
	r.connect(cfg)
	r.provision(r.project)
	return r
}

// another is the same project on a connection and a bus of its own.
func (r *rig) another() *rig {
	r.t.Helper()
	other := &rig{t: r.t, open: r.open, project: r.project}
	other.connect(Config())
	return other
}

func (r *rig) connect(cfg bus.Config) {
	r.t.Helper()
	r.conn = r.open(r.t)
	b, err := bus.New(r.t.Context(), r.conn, Environment, cfg, zerolog.Nop())
	r.must(err)
	r.bus = b
	r.js, err = jetstream.New(r.conn.NATS())
	r.must(err)
}

func (r *rig) provision(project behalf.ProjectID) {
	r.t.Helper()
	r.must(bus.ProvisionProject(r.t.Context(), r.conn, Environment, project, layoutOf(r.conn)))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) event() behalf.Event {
	e := Event()
	e.Project = r.project
	return e
}

func (r *rig) publish(e behalf.Event) bus.Receipt {
	r.t.Helper()
	receipt, err := r.bus.Publish(r.t.Context(), e, "")
	r.must(err)
	return receipt
}

// take waits for a delivery and sees to it that it is let go at the end of the test.
func (r *rig) take(s *bus.Source) *bus.Delivery {
	r.t.Helper()
	d := r.next(s, Patience)
	if d == nil {
		r.t.Fatal("no delivery came")
	}
	return d
}

// none makes sure that nothing comes for so long.
func (r *rig) none(s *bus.Source, within time.Duration) {
	r.t.Helper()
	if d := r.next(s, within); d != nil {
		r.t.Fatalf("a delivery came that should not: seen %v, deliveries %d, sequence %d", d.Seen, d.Deliveries, d.Sequence)
	}
}

// consumer reads what the server knows of the project's consumer of a stream.
func (r *rig) consumer(stream string, project behalf.ProjectID) *jetstream.ConsumerInfo {
	r.t.Helper()
	durable, err := subject.SharedConsumer(project)
	r.must(err)
	c, err := r.js.Consumer(r.t.Context(), stream, durable)
	r.must(err)
	return c.CachedInfo()
}

func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	Eventually(r.t, what, holds)
}

// settled waits until the server holds nothing of the project's events any more.
func (r *rig) settled() {
	r.t.Helper()
	r.eventually("every event is settled", func() bool {
		info := r.consumer(subject.Events(Environment), r.project)
		return info.NumAckPending == 0 && info.NumPending == 0
	})
}

func (r *rig) kind(err error, want fault.Kind) {
	r.t.Helper()
	if !fault.Is(err, want) {
		r.t.Fatalf("got the error %v, want one of kind %s", err, want)
	}
}
