package ingress

import (
	"context"
	"sync"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Bus carries the events and results of one environment.
type Bus interface {
	// Publish stores the event, and repeats an unknown outcome until ctx ends. Kinds Unavailable, Exhausted (the queue is
	// full) and Invalid (with the code body_too_large, where it is) promise that nothing was stored; after every other
	// error, and after one of code acceptance_unknown whatever its kind, it may have been. It must not keep e.Trigger:
	// that memory is used again.
	Publish(ctx context.Context, e behalf.Event, reply string) error
	// Await registers a waiter for one result. Its reply goes into Publish; release must be called. The channel must have
	// room for the result.
	Await() (reply string, result <-chan behalf.Result, release func())
	Connected() bool
	// OnReconnect has a function called after each reconnect.
	OnReconnect(f func())
}

// Endpoints knows what is deployed in one environment. NotFound is an endpoint that is not, by the word of the leader.
type Endpoints interface {
	Endpoint(ctx context.Context, id behalf.EndpointID) (behalf.Endpoint, error)
}

// Users knows the external users of one environment, and their accounts.
type Users interface {
	User(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error)
	Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
	// AccountsFromLeader asks past every copy.
	AccountsFromLeader(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
}

// Verifier knows who sent a bearer token. Unauthenticated is a token that is not, or no longer, good.
type Verifier interface {
	Verify(ctx context.Context, bearer secret.String) (behalf.Identity, error)
}

// Journal knows how far a run is. NotFound is a run of which it knows nothing, yet.
type Journal interface {
	// Accept takes a keyed run for the request of this hash. Where another had it before, first is false and was is that
	// one's hash, empty where it is not known any more. After an error nothing but the key may be taken.
	Accept(ctx context.Context, e behalf.Event, requestHash string) (first bool, was string, err error)
	Result(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID, run behalf.RunID) (behalf.Run, error)
}

// Triggers keeps triggers that are too large for their event, for as long as the history of their runs.
type Triggers interface {
	// PutUnshared keeps a content that nobody else has, of which it must not keep the slice. Errors: Exhausted,
	// Unavailable.
	PutUnshared(ctx context.Context, project behalf.ProjectID, content []byte) (behalf.ObjectRef, error)
	// DropObject forgets one that PutUnshared has kept. Errors: Unavailable.
	DropObject(ctx context.Context, ref behalf.ObjectRef) error
}

// Tests keeps events that run nothing.
type Tests interface {
	// KeepTest keeps an event, of which it must not keep the trigger's memory. Errors: Invalid of code body_too_large,
	// Unavailable.
	KeepTest(ctx context.Context, e behalf.Event) error
}

// Env is what an ingress needs of one environment. All but Files, Triggers, Tests and Ready are required.
type Env struct {
	Bus       Bus
	Endpoints Endpoints
	Users     Users
	Verifier  Verifier
	Journal   Journal
	// Files keeps files and bodies that are handed on by their URL. Nil refuses them.
	Files Files
	// Triggers keeps what is too large for an event. Nil refuses that.
	Triggers Triggers
	// Tests keeps the events of requests that shall run nothing. Nil refuses those.
	Tests Tests
	// Ready closes when the copies of definitions are filled. Nil means they are.
	Ready <-chan struct{}
}

// environment is an Env at work.
type environment struct {
	Env

	reconnects signal
	// readers bounds how many waiters read the journal at once.
	readers chan struct{}
	metrics environmentMetrics
}

const (
	maxJournalReaders = 16
	journalTimeout    = 2 * time.Second
)

func newEnvironment(name behalf.Environment, env Env, m *metrics) *environment {
	e := &environment{Env: env, readers: make(chan struct{}, maxJournalReaders), metrics: m.of(name)}
	env.Bus.OnReconnect(e.reconnects.raise)
	return e
}

// lacking says what keeps the environment from serving, or "".
func (e *environment) lacking() string {
	if !e.Bus.Connected() {
		return "not connected to NATS"
	}
	if e.Ready == nil {
		return ""
	}
	select {
	case <-e.Ready:
		return ""
	default:
		return "definitions are still being read"
	}
}

// signal wakes everybody who waits for the next of something, and costs those who wait nothing but a channel they
// share. The zero value is ready.
type signal struct {
	mu   sync.Mutex
	wake chan struct{}
}

// next gives the channel that closes at the next raise.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake
}

func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}
