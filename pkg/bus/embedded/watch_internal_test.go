package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// A server whose disk is full goes on running, and stores nothing until it is started again: somebody must say so.
func TestAServerThatStoresNoMoreIsNoticed(t *testing.T) {
	t.Parallel()
	s, err := Start(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- s.Watch(ctx) }()
	cancel()
	if err := <-watched; err != nil {
		t.Fatalf("of a healthy server: %v", err)
	}

	go func() { watched <- s.Watch(t.Context()) }()
	if err := s.ns.ShutdownJetStream(); err != nil { // as the server itself does where it is out of space
		t.Fatal(err)
	}
	select {
	case err := <-watched:
		if !fault.Is(err, fault.Exhausted) {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("nobody noticed")
	}
}
