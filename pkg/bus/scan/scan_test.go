package scan_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
	"github.com/behalf-dev/behalf/pkg/bus/scan"
	"github.com/behalf-dev/behalf/pkg/fault"
)

const many = 1_234 // more than two pulls bring

// filled makes a stream of many messages on two subjects in turn, behind a connection.
func filled(t *testing.T, conn *bus.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SCANNED", Subjects: []string{"scanned.>"}}); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		if _, err := js.PublishAsync(fmt.Sprintf("scanned.%d", i%2), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	return js
}

// read gives the sequences that a scan hands over, until one is the last that is wanted.
func read(ctx context.Context, js jetstream.JetStream, q scan.Query, last uint64) (all []uint64, err error) {
	err = scan.Messages(ctx, js, q, func(_ jetstream.Msg, meta *jetstream.MsgMetadata) bool {
		all = append(all, meta.Sequence.Stream)
		return meta.Sequence.Stream != last
	})
	return all, err
}

func TestAScanIsInOrderAndWhole(t *testing.T) {
	t.Parallel()
	js := filled(t, bustest.Connect(t, bustest.Server(t)))
	for name, c := range map[string]struct {
		query       scan.Query
		last        uint64
		first, step uint64
		count       int
	}{
		"all":                   {query: scan.Query{Filter: "scanned.>", Most: many + 1}, first: 1, step: 1, count: many},
		"one subject":           {query: scan.Query{Filter: "scanned.1", Most: many}, first: 2, step: 2, count: many / 2},
		"from a sequence":       {query: scan.Query{Filter: "scanned.>", Start: 1_000, Most: many}, first: 1_000, step: 1, count: many - 999},
		"at most":               {query: scan.Query{Filter: "scanned.>", Most: 777}, first: 1, step: 1, count: 777},
		"until it is enough":    {query: scan.Query{Filter: "scanned.>", Most: many}, last: 600, first: 1, step: 1, count: 600},
		"what nobody published": {query: scan.Query{Filter: "scanned.none", Most: many}},
		"later than all":        {query: scan.Query{Filter: "scanned.>", Since: time.Now().Add(time.Hour), Most: many}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.query.Stream = "SCANNED"
			got, err := read(t.Context(), js, c.query, c.last)
			if err != nil || len(got) != c.count {
				t.Fatalf("%d of %d, %v", len(got), c.count, err)
			}
			for i, seq := range got {
				if want := c.first + uint64(i)*c.step; seq != want {
					t.Fatalf("message %d is %d, want %d", i, seq, want)
				}
			}
		})
	}
}

// The server goes silent in the middle: the caller is told, when its own time is over, and not given a part as the whole.
func TestAScanEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	server := bustest.Listening(t)
	proxy := bustest.NewProxy(t, strings.TrimPrefix(server.URL(), "nats://"))
	conn := bustest.Through(t, proxy, server)
	js := filled(t, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	read := 0
	err := scan.Messages(ctx, js, scan.Query{Stream: "SCANNED", Filter: "scanned.>", Most: many}, func(jetstream.Msg, *jetstream.MsgMetadata) bool {
		if read++; read == 1 {
			proxy.Set(bustest.DropAnswers)
		}
		return true
	})
	if !fault.Is(err, fault.Unavailable) || read == many {
		t.Errorf("%d read, %v", read, err)
	}
}

func TestAStreamThatIsNotThere(t *testing.T) {
	t.Parallel()
	conn := bustest.Connect(t, bustest.Server(t))
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(t.Context(), js, scan.Query{Stream: "NONE", Filter: ">", Most: 1}, 0); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}
