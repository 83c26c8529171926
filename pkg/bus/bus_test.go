package bus_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestExercise(t *testing.T) {
	server := bustest.Server(t)
	bustest.Exercise(t, func(t *testing.T) *bus.Conn {
		t.Helper()
		return bustest.Connect(t, server)
	})
}
