package bus_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

// A worker that believes in another AckWait than its consumers have is told so, with what to type.
func TestAnotherAckWaitIsWarnedOf(t *testing.T) {
	conn := bustest.Connect(t, bustest.Server(t))
	bustest.Provisioned(t, conn)
	for name, c := range map[string]struct {
		ackWait time.Duration
		warning string
	}{
		"the same":    {time.Second, ""},
		"another one": {30 * time.Second, "start the worker with --ack-wait 1s, or run `behalf provision --ack-wait 30s`"},
	} {
		var log bytes.Buffer
		b, err := bus.New(t.Context(), conn, bustest.Environment, bus.Config{AckWait: c.ackWait}, zerolog.New(&log).Level(zerolog.WarnLevel))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Source(1).Add(t.Context(), bustest.Project); err != nil {
			t.Fatal(err)
		}
		said := log.String()
		if c.warning == "" && said != "" || !strings.Contains(said, c.warning) || strings.Count(said, "EVENTS_") != min(1, len(c.warning)) {
			t.Errorf("%s: the log says %s", name, said)
		}
	}
}
