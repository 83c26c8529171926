package worker

import (
	"context"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// acquaintance is how a run's user stands.
type acquaintance uint8

const (
	nobody    acquaintance = iota // the event names no user
	unknown                       // no user has this id
	present                       // there is one
	forgotten                     // there was one, and what was sent until it was forgotten must not run
)

// meet finds out who the user of a run is, and takes along what our customer stores beside it. For a user who is there this
// costs no read; that somebody is not is what the leader says.
func (w *Worker) meet(ctx context.Context, a *attempt) (acquaintance, error) {
	e := a.run.Event
	if e.User == "" {
		return nobody, nil
	}
	user, err := w.deps.Store.User(ctx, e.Project, e.User)
	switch {
	case err == nil && !e.At.After(user.ForgottenAt):
		return forgotten, nil
	case err == nil:
		a.config = user.Config
		return present, nil
	case !fault.Is(err, fault.NotFound):
		return unknown, err
	}
	switch _, err := w.deps.Store.Forgotten(ctx, e.Project, e.User); {
	case err == nil: // until somebody makes the user again
		return forgotten, nil
	case !fault.Is(err, fault.NotFound):
		return unknown, err
	}
	return unknown, nil
}
