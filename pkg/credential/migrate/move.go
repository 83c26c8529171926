package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/pause"
)

// move is one credential on its way.
type move struct {
	*Migration

	path credential.Path
	// wrote is what we have written, if we have: it is ours to write over and to take away.
	wrote *credential.Credential
	// result is what to say once it is there.
	result Result
}

// races is how often others may come in between.
const races = 10

// patiently goes on while a store is away for a moment, or others write at the same time.
func (m *move) patiently(ctx context.Context) (Outcome, error) {
	var since time.Time // when it began to fail
	for lost := 0; ; {
		o, err := m.once(ctx)
		switch {
		case err == nil:
			return o, nil
		case fault.Is(err, fault.Conflict) && lost < races:
			lost++
			continue
		case !fault.IsAway(err) || m.cfg.Hopeless(err):
			return o, err
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= m.cfg.Patience:
			return o, err
		}
		if err := pause.For(ctx, m.cfg.Pause); err != nil {
			return o, fault.Wrap(fault.KindOf(err), "migrate.Environment", err)
		}
	}
}

// once brings the destination to what the source has, or finds out why not. Errors: Conflict, when something has changed
// meanwhile; those of the stores.
func (m *move) once(ctx context.Context) (Outcome, error) {
	ours, revision, err := m.from.Get(ctx, m.path)
	if fault.Is(err, fault.NotFound) {
		return Outcome{Result: Gone}, m.takeBack(ctx)
	}
	if err != nil {
		return Outcome{}, err
	}
	theirs, at, err := m.to.Get(ctx, m.path)
	there := !fault.Is(err, fault.NotFound)
	switch {
	case there && err != nil:
		return Outcome{}, err
	case there && ours.Equal(theirs):
		return m.arrived(ctx, revision)
	case there && !m.mine(theirs) && !m.wins(ours, theirs):
		return kept(ours, theirs), nil
	case m.wrote == nil && there:
		m.result = Replaced
	case m.wrote == nil:
		m.result = Moved
	}
	if m.cfg.DryRun {
		return Outcome{Result: m.result, DryRun: true}, nil
	}
	if !there {
		at = 0
	}
	return m.write(ctx, ours, revision, at)
}

// write writes and reads back.
func (m *move) write(ctx context.Context, ours credential.Credential, revision, at credential.Revision) (Outcome, error) {
	_, err := m.to.Put(ctx, m.path, ours, at)
	if !fault.Is(err, fault.Conflict) { // it may be there also when the answer was lost
		m.wrote = &ours
	}
	if err != nil {
		return Outcome{}, err
	}
	back, _, err := m.to.Get(ctx, m.path)
	switch {
	case err != nil && !fault.Is(err, fault.NotFound):
		return Outcome{}, err
	case err != nil || !ours.Equal(back):
		return Outcome{}, fault.Wrap(fault.Conflict, "migrate.write", errors.New("what was written does not read back"))
	}
	return m.arrived(ctx, revision)
}

// arrived says what to call it, once the source still has what the destination has.
func (m *move) arrived(ctx context.Context, revision credential.Revision) (Outcome, error) {
	if m.wrote == nil {
		return Outcome{Result: Same, DryRun: m.cfg.DryRun}, nil
	}
	if _, now, err := m.from.Get(ctx, m.path); err != nil && !fault.Is(err, fault.NotFound) || err == nil && now == revision {
		return Outcome{Result: m.result}, err
	}
	return Outcome{}, fault.Wrap(fault.Conflict, "migrate.arrived", errors.New("the source has changed meanwhile"))
}

// mine says that the destination has what we have written a moment ago.
func (m *move) mine(theirs credential.Credential) bool {
	return m.wrote != nil && m.wrote.Equal(theirs)
}

// takeBack deletes what we have written of a credential that the source has no more.
func (m *move) takeBack(ctx context.Context) error {
	if m.wrote == nil {
		return nil
	}
	theirs, _, err := m.to.Get(ctx, m.path)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case !m.mine(theirs):
		return nil
	}
	return m.to.Delete(ctx, m.path)
}

// wins says that the source's value takes the place of the destination's.
func (m *move) wins(ours, theirs credential.Credential) bool {
	return m.cfg.Overwrite || later(ours, theirs)
}

// later says that a was certainly issued after b.
func later(a, b credential.Credential) bool {
	return !a.IssuedAt.IsZero() && !b.IssuedAt.IsZero() && a.IssuedAt.After(b.IssuedAt)
}

func kept(ours, theirs credential.Credential) Outcome {
	if later(theirs, ours) {
		return Outcome{Result: Kept, Reason: newer}
	}
	return Outcome{Result: Kept, Reason: differs}
}
