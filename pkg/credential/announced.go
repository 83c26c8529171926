package credential

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// Announcer tells the caches of an environment, by the name of its path, that a credential has changed. One that does
// not hear it holds the old one for its own time at most.
type Announcer interface {
	CredentialChanged(name string)
}

// Announced is a store that tells of every change that it makes, and of those of which it does not know whether it made
// them.
type Announced struct {
	Store

	to map[behalf.Environment]Announcer
}

// NewAnnounced puts announcers before a store.
func NewAnnounced(store Store, to map[behalf.Environment]Announcer) Announced {
	return Announced{store, to}
}

// Put implements Store.
func (a Announced) Put(ctx context.Context, p Path, c Credential, r Revision) (Revision, error) {
	defer a.tell(p)
	return a.Store.Put(ctx, p, c, r)
}

// Delete implements Store.
func (a Announced) Delete(ctx context.Context, p Path) error {
	defer a.tell(p)
	return a.Store.Delete(ctx, p)
}

func (a Announced) tell(p Path) {
	if to, name := a.to[p.Environment], p.Name(); to != nil && name != "" {
		to.CredentialChanged(name)
	}
}
