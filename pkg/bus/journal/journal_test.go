package journal_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The embedded server leaves it behind when it is closed while its history has just begun to be sourced; it ends
		// by itself.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*stream).trySetupSourceConsumer.func3"),
	)
}

func TestExercise(t *testing.T) {
	server := bustest.Server(t)
	bustest.ExerciseJournal(t, func(t *testing.T) *bus.Conn {
		t.Helper()
		return bustest.Connect(t, server)
	})
}
