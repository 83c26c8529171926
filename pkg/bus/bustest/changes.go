package bustest

import (
	"context"
	"time"
)

// credentialTold has another connection hear of a change, and nothing more once it has left. Whether it listens already
// nobody says, so the change is told until it is heard.
func (r *rig) credentialTold() {
	heard := make(chan string, 1000)
	ctx, leave := context.WithCancel(r.t.Context())
	defer leave()
	ended := make(chan error, 1)
	other := r.another().bus
	go func() { ended <- other.CredentialChanges(ctx, func(name string) { heard <- name }) }()

	name := string(r.project) // of no other test
	r.eventually("the change is heard", func() bool {
		r.bus.CredentialChanged(name)
		for {
			select {
			case got := <-heard:
				if got == name {
					return true
				}
			case <-time.After(50 * time.Millisecond):
				return false
			}
		}
	})
	leave()
	if err := <-ended; err != nil {
		r.t.Error(err)
	}
}
