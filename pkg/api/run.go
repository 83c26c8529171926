package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// runSummary is a run in a list.
type runSummary struct {
	ID          behalf.RunID          `json:"id"`
	Workflow    behalf.WorkflowID     `json:"workflow"`
	Version     behalf.VersionID      `json:"version,omitempty"`
	Environment behalf.Environment    `json:"environment"`
	User        behalf.ExternalUserID `json:"user,omitempty"`
	State       behalf.RunState       `json:"state"`
	Attempts    int                   `json:"attempts"`
	ReplayOf    behalf.RunID          `json:"replay_of,omitempty"`
	Failure     *behalf.Failure       `json:"failure,omitempty"`
	StartedAt   time.Time             `json:"started_at"`
	UpdatedAt   time.Time             `json:"updated_at"`
}

func summarize(r behalf.Run) runSummary {
	s := runSummary{
		ID: r.ID, Workflow: r.Workflow, Version: r.Version, Environment: r.Environment, User: r.User, State: r.State,
		Attempts: r.Attempts, ReplayOf: r.ReplayOf, StartedAt: r.StartedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.Result != nil {
		s.Failure = r.Result.Failure
	}
	return s
}

func (a *API) runs(w http.ResponseWriter, r *http.Request, c call) error {
	query, err := runQuery(r, c.Project)
	if err != nil {
		return err
	}
	found, err := c.Runs.List(r.Context(), query)
	if err != nil {
		return err
	}
	writeRuns(w, found)
	return nil
}

func writeRuns(w http.ResponseWriter, page RunPage) {
	data := make([]runSummary, len(page.Runs))
	for i, run := range page.Runs {
		data[i] = summarize(run)
	}
	web.WriteJSON(w, http.StatusOK, newPage(data, page.Cursor))
}

func runQuery(r *http.Request, project behalf.ProjectID) (RunQuery, error) {
	q, err := parseQuery(r.URL, "workflow", "state", "user", "limit", "after")
	if err != nil {
		return RunQuery{}, err
	}
	query := RunQuery{Project: project, State: behalf.RunState(q.text("state")), After: q.text("after")}
	if query.Limit, err = q.limit(); err != nil {
		return RunQuery{}, err
	}
	if query.User, err = q.user(); err != nil {
		return RunQuery{}, err
	}
	if q.has("workflow") {
		if query.Workflow, err = behalf.ParseWorkflowID(q.text("workflow")); err != nil {
			return RunQuery{}, err
		}
	}
	states := []behalf.RunState{behalf.StateRunning, behalf.StateWaiting, behalf.StateOK, behalf.StateFailed, behalf.StateCanceled}
	if q.has("state") && !slices.Contains(states, query.State) {
		return RunQuery{}, fault.Newf(fault.Invalid, "api.runs", "state must be of %q", states)
	}
	return query, nil
}

func (a *API) run(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	run, err := a.ownRun(r, c)
	if err != nil {
		return err
	}
	if run.Event, err = withTrigger(r.Context(), c.Events, run.Event); err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, run)
	return nil
}

// result answers with what the run answered, or says that it goes on.
func (a *API) result(w http.ResponseWriter, r *http.Request, c call) error {
	id, err := behalf.ParseRunID(r.PathValue("run"))
	if err != nil {
		return noRun()
	}
	run, err := owned(c)(c.Runs.Result(r.Context(), c.Project, "", id))
	if err != nil {
		return err
	}
	return a.answer(w, r, run, true)
}

func (a *API) ownRun(r *http.Request, c call) (behalf.Run, error) {
	id, err := behalf.ParseRunID(r.PathValue("run"))
	if err != nil {
		return behalf.Run{}, noRun()
	}
	return owned(c)(c.Runs.Show(r.Context(), c.Project, id))
}

// owned makes one answer of an unknown run and one of another project.
func owned(c call) func(behalf.Run, error) (behalf.Run, error) {
	return func(run behalf.Run, err error) (behalf.Run, error) {
		if fault.Is(err, fault.NotFound) || err == nil && run.Project != c.Project {
			return behalf.Run{}, noRun()
		}
		return run, err
	}
}

func hasResultToken(r *http.Request) bool { return r.URL.Query().Get("token") != "" }

// resultByToken answers whoever holds the result token that the ingress gave with the run, where the trigger asks for
// no OAuth. Without an environment in the header it looks in all: the link that carries the token names none.
func (a *API) resultByToken(w http.ResponseWriter, r *http.Request) error {
	if err := take(a.addresses, a.address(r)); err != nil {
		return err
	}
	id, err := behalf.ParseRunID(r.PathValue("run"))
	if err != nil {
		return noRun()
	}
	environments, err := a.searched(r.Header)
	if err != nil {
		return err
	}
	token := secret.New(r.URL.Query().Get("token"))
	for _, env := range environments {
		run, err := env.Runs.Find(r.Context(), id)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return err
		default:
			if opens(token, run.ResultHash) {
				return a.answer(w, r, run, originOf(run).Trusted)
			}
		}
	}
	return noRun()
}

func (a *API) searched(h http.Header) ([]Env, error) {
	wanted := behalf.Environments()
	if h.Values("X-Pd-Environment") != nil {
		env, err := a.environment(h)
		if err != nil {
			return nil, err
		}
		wanted = []behalf.Environment{env}
	}
	var found []Env
	for _, env := range wanted {
		if stores, ok := a.deps.Environments[env]; ok {
			found = append(found, stores)
		}
	}
	return found, nil
}

// originOf reads where a run's event came from. A run that kept no event has no origin.
func originOf(run behalf.Run) behalf.Origin {
	var event behalf.Event
	if err := json.Unmarshal(run.Event, &event); err != nil {
		return behalf.Origin{}
	}
	return event.Origin
}

// opens says whether the token is the one that was made with the run. A run without one is opened by none.
func opens(token secret.String, hash string) bool {
	return hash != "" && auth.Matches(token, hash)
}

// answer renders a run's result. Trusted says whether the caller may read a step's own error.
func (a *API) answer(w http.ResponseWriter, r *http.Request, run behalf.Run, trusted bool) error {
	h := w.Header()
	h.Set("X-Behalf-Run-Id", string(run.ID))
	silent := run.Result != nil && run.Result.Failure == nil && run.Result.Response == nil && !originOf(run).Waits
	switch {
	case !run.State.Finished():
		h.Set("Retry-After", "1")
		web.WriteJSON(w, http.StatusAccepted, progress{run.ID, run.State})
	case run.Result == nil:
		return fault.New(fault.Internal, "api.answer", "").Because(errors.New("a finished run has no result"))
	case silent: // nobody waited for an answer, so that there is none is no failure
		web.WriteJSON(w, http.StatusOK, progress{run.ID, run.State})
	default:
		a.deps.Render(guarded{w}, r, *run.Result, trusted)
	}
	return nil
}

type progress struct {
	Run   behalf.RunID    `json:"run_id"`
	State behalf.RunState `json:"state"`
}

func noRun() error { return notFound("no such run, or it has not begun yet") }
