// Package worker takes events, runs their steps on behalf of their user, journals what happened and answers.
//
// It never serves HTTP, never reads another environment than its own, and never starts a step before what the step
// before it did is durable.
package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/journal"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

// Source gives deliveries, and keeps those alive that have not been settled.
type Source interface {
	Run(ctx context.Context) error
	Next(ctx context.Context) (*bus.Delivery, error)
}

// Bus takes results and timers.
type Bus interface {
	Answer(ctx context.Context, reply string, result behalf.Result) error
	SetTimer(ctx context.Context, t bus.Timer) error
}

// Journal opens the journals of runs.
type Journal interface {
	Open(ctx context.Context, o journal.Opening) (*journal.Run, error)
	Revive(ctx context.Context, state []byte) (*journal.Suspended, error)
}

// Store reads what was deployed and who has connected what.
type Store interface {
	Version(ctx context.Context, project behalf.ProjectID, id behalf.VersionID) (behalf.Version, error)
	Object(ctx context.Context, ref behalf.ObjectRef) ([]byte, error)
	// KeepObject has what belongs to one run stay when the history of it is over.
	KeepObject(ctx context.Context, ref behalf.ObjectRef) error
	User(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) (behalf.ExternalUser, error)
	Accounts(ctx context.Context, project behalf.ProjectID, user behalf.ExternalUserID) ([]behalf.Account, error)
}

// Files forgets files of callers. A name that is not there is no error. Errors: Unavailable.
type Files interface {
	DropFile(ctx context.Context, name string) error
}

// Credentials gives what a step may see of an account. Errors: NotFound, Unavailable.
type Credentials interface {
	Auth(ctx context.Context, account behalf.Account) (Auth, error)
}

// Auth is the `$auth` of one account: what its app declares.
type Auth struct {
	Fields map[string]secret.String
	// Secrets are the values that no log, export or error may hold.
	Secrets []secret.String
}

// Variables gives the value of an environment variable of a project. Errors: NotFound, Unavailable.
type Variables interface {
	Variable(ctx context.Context, project behalf.ProjectID, name behalf.VariableName) (Variable, error)
}

// Variable is the value of an environment variable.
type Variable struct {
	Value secret.String
	// Secrets are the values that no log, export or error may hold.
	Secrets []secret.String
}

// Runner runs one step, and calls Begin of the call before the step does anything. An error means that we failed, not
// the step.
type Runner interface {
	Run(ctx context.Context, c step.Call) (behalf.Outcome, error)
}

// Deps are the parts that a worker stands on.
type Deps struct {
	Source      Source
	Bus         Bus
	Journal     Journal
	Store       Store
	Files       Files
	Credentials Credentials
	Variables   Variables
	Runner      Runner
	// Stops tells of runs that shall stop. Nil tells of none.
	Stops Stops
}

// Config tunes a worker. The zero value works.
type Config struct {
	// Environment it serves, and no other.
	Environment behalf.Environment
	// Name of this worker in records.
	Name string
	// Slots is how many runs it executes at once.
	//
	// Defaults to 32.
	Slots int
	// Grace is how long runs may go on after the worker was told to stop.
	//
	// Defaults to 25 seconds.
	Grace time.Duration
	// PrepareTimeout bounds finding a run's journal, version, accounts and credentials.
	//
	// Defaults to 10 seconds.
	PrepareTimeout time.Duration
	// SettleTimeout bounds telling the bus and the journal how a run ended, also while we leave.
	//
	// Defaults to 10 seconds.
	SettleTimeout time.Duration
	// AnnounceAfter is how long a run's first step may take before the journal is told that the run has begun, and how
	// often a step that takes longer is looked after.
	//
	// Defaults to 500 milliseconds.
	AnnounceAfter time.Duration
	// Points is called at the named places of a run by tests that kill the process there. Nil does nothing.
	Points func(ctx context.Context, at Point)
	// Registerer takes the metrics. Nil works.
	Registerer prometheus.Registerer
}

// Point is a place in a run at which a crash matters.
type Point string

// The points, in their order.
const (
	BeforeStep   Point = "before_step"
	AfterStep    Point = "after_step"
	BeforeRecord Point = "before_record"
	AfterRecord  Point = "after_record"
	AfterTimer   Point = "after_timer" // of a run that goes to wait
	AfterAnswer  Point = "after_answer"
)

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "worker")
	c.Slots = cmp.Or(c.Slots, 32)
	c.Grace = cmp.Or(c.Grace, 25*time.Second)
	c.PrepareTimeout = cmp.Or(c.PrepareTimeout, 10*time.Second)
	c.SettleTimeout = cmp.Or(c.SettleTimeout, 10*time.Second)
	c.AnnounceAfter = cmp.Or(c.AnnounceAfter, 500*time.Millisecond)
	if c.Points == nil {
		c.Points = func(context.Context, Point) {}
	}
	return c
}

// Worker executes the runs of one environment.
type Worker struct {
	cfg       Config
	deps      Deps
	log       zerolog.Logger
	metrics   *metrics
	templates *templates
	stops     *stops
}

// New makes a worker. It closes none of its parts.
func New(cfg Config, deps Deps, log zerolog.Logger) *Worker {
	cfg = cfg.withDefaults()
	return &Worker{
		cfg: cfg, deps: deps, templates: newTemplates(), stops: newStops(), metrics: newMetrics(cfg.Registerer, cfg.Environment, cfg.Slots),
		log: log.With().Str("component", "worker").Str("environment", string(cfg.Environment)).Logger(),
	}
}

// Run works until ctx ends: then it takes nothing more, lets runs go on for the grace, cuts short what still runs, and
// returns when all is settled. What was cut short is taken by another worker. An error is that of the source, which has
// fallen over by itself.
func (w *Worker) Run(ctx context.Context) error {
	working, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	if w.deps.Stops != nil {
		deaf, err := w.deps.Stops.OnStop(w.stops.tell)
		if err != nil {
			return err
		}
		defer deaf()
	}
	group, taking := errgroup.WithContext(ctx)
	group.Go(func() error { return w.deps.Source.Run(taking) })
	for range w.cfg.Slots {
		group.Go(func() error { return w.slot(taking, working) })
	}
	over := make(chan struct{})
	var grace errgroup.Group
	grace.Go(func() error { return w.allow(taking, over, cut) })
	err := group.Wait()
	close(over)
	_ = grace.Wait()
	return err
}

// allow cuts runs short when the grace has passed.
func (w *Worker) allow(ctx context.Context, over <-chan struct{}, cut context.CancelFunc) error {
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	timer := time.NewTimer(w.cfg.Grace)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
		cut()
	}
	return nil
}

func (w *Worker) slot(taking, working context.Context) error {
	for {
		d, err := w.deps.Source.Next(taking)
		if err != nil {
			return nil //nolint:nilerr // the one error says that we are told to stop
		}
		w.metrics.busy.Inc()
		w.take(working, d)
		w.metrics.busy.Dec()
	}
}

// take handles a delivery and lets go of it whatever happens. A panic is ours and costs an attempt.
func (w *Worker) take(ctx context.Context, d *bus.Delivery) {
	defer d.Release()
	defer func() {
		if p := recover(); p != nil {
			w.log.Error().Str("panic", fmt.Sprint(p)).Str("run", string(d.Event.Run)).Bytes("stack", debug.Stack()).Msg("a run panicked")
		}
	}()
	err := w.handle(ctx, d)
	if err == nil {
		return
	}
	w.log.WithLevel(levelOf(err)).Err(err).Str("run", string(d.Event.Run)).Bool("seen", d.Seen).Msg("delivery not settled; it will come again")
	if ctx.Err() != nil && !fault.Is(err, fault.Conflict) {
		_ = d.Leave() // we leave: another worker need not wait until we count as lost
	}
}

// levelOf says whether somebody should look: a fence or a leave is how it should be.
func levelOf(err error) zerolog.Level {
	switch fault.KindOf(err) {
	case fault.Conflict, fault.Canceled:
		return zerolog.DebugLevel
	case fault.Unavailable, fault.Timeout, fault.Exhausted:
		return zerolog.WarnLevel
	case fault.Internal, fault.Invalid, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.StepFailed:
		return zerolog.ErrorLevel
	}
	return zerolog.ErrorLevel
}

// attempt is one worker's try of a run.
type attempt struct {
	delivery *bus.Delivery
	run      *journal.Run
	version  behalf.Version
	trigger  json.RawMessage
	code     map[behalf.StepName]string
	apps     map[behalf.StepName]map[string]step.App
	redactor secret.Redactor
	exports  []json.RawMessage // of the steps that are done, in their order
	started  time.Time
	spent    time.Duration // what steps took of the run's timeout
	timing   behalf.Timing
	cut      *behalf.StepRecord // the step in which the run was stopped

	// variables are the environment variables that the version's steps need.
	variables map[behalf.VariableName]Variable
}
