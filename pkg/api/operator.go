package api

import (
	"context"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Operator does to the runs of one environment what their project's operator asks for. Errors: NotFound, also for another
// project's run; Conflict, with a code of operate; Invalid, Exhausted, Unavailable.
type Operator interface {
	Cancel(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (behalf.Run, error)
	Source(ctx context.Context, project behalf.ProjectID, run behalf.RunID) (behalf.Run, error)
	Replay(ctx context.Context, source behalf.Run, r operate.Replay) (behalf.Event, error)
	// Tail reads the runs that have finished since a cursor, and waits for one where there are none.
	Tail(ctx context.Context, query RunQuery, wait time.Duration) (RunPage, error)
}

// tailWait is how long a tail waits for a run to finish before it answers that none has. An API that is told to stop waits
// for it.
const tailWait = 5 * time.Second

// tailRuns answers with the runs that have finished since the cursor of the answer before, oldest first. The first, which
// has no cursor to go on from, gets one at once.
func (a *API) tailRuns(w http.ResponseWriter, r *http.Request, c call) error {
	query, err := runQuery(r, c.Project)
	if err != nil {
		return err
	}
	if query.State != "" && !query.State.Finished() {
		return invalid("state must be ok, failed or canceled: a tail tells of runs that have finished")
	}
	found, err := c.Operator.Tail(r.Context(), query, tailWait)
	if err != nil {
		return err
	}
	writeRuns(w, found)
	return nil
}

func (a *API) cancelRun(w http.ResponseWriter, r *http.Request, c call) error {
	id, err := runOf(r)
	if err != nil {
		return err
	}
	run, err := owned(c)(c.Operator.Cancel(r.Context(), c.Project, id))
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, summarize(run))
	return nil
}

// runOf reads the run of a request that takes no parameters.
func runOf(r *http.Request) (behalf.RunID, error) {
	if _, err := parseQuery(r.URL); err != nil {
		return "", err
	}
	id, err := behalf.ParseRunID(r.PathValue("run"))
	if err != nil {
		return "", noRun()
	}
	return id, nil
}

// replayRequest says how an event is run once more.
type replayRequest struct {
	// Version to run. Empty for the one that the environment serves now.
	Version string `json:"version,omitempty"`
	// From is the step to begin with.
	From string `json:"from,omitempty"`
}

const maxReplayRequest = 4 << 10

func readReplay(w http.ResponseWriter, r *http.Request) (version behalf.VersionID, from behalf.StepName, err error) {
	if _, err := parseQuery(r.URL); err != nil {
		return "", "", err
	}
	var req replayRequest
	if r.ContentLength != 0 {
		if err := web.DecodeJSON(w, r, maxReplayRequest, &req); err != nil {
			return "", "", err
		}
	}
	if req.Version != "" {
		if version, err = behalf.ParseVersionID(req.Version); err != nil {
			return "", "", err
		}
	}
	if req.From != "" {
		from, err = behalf.ParseStepName(req.From)
	}
	return version, from, err
}

// replayed is the run that repeats another.
type replayed struct {
	Run      behalf.RunID      `json:"run_id"`
	ReplayOf behalf.RunID      `json:"replay_of,omitempty"`
	Event    behalf.EventID    `json:"event_id"`
	Workflow behalf.WorkflowID `json:"workflow,omitempty"`
	Version  behalf.VersionID  `json:"version,omitempty"`
	From     behalf.StepName   `json:"from,omitempty"`
}

func newReplayed(e behalf.Event, from behalf.StepName) replayed {
	return replayed{e.Run, e.Origin.ReplayOf, e.ID, e.Workflow, e.Version, from}
}

func (a *API) replayRun(w http.ResponseWriter, r *http.Request, c call) error {
	version, from, err := readReplay(w, r)
	if err != nil {
		return err
	}
	id, err := runOf(r)
	if err != nil {
		return err
	}
	source, err := owned(c)(c.Operator.Source(r.Context(), c.Project, id))
	if err != nil {
		return err
	}
	v, err := replayVersion(r.Context(), c, source.Workflow, version)
	if err != nil {
		return err
	}
	e, err := c.Operator.Replay(r.Context(), source, operate.Replay{Project: c.Project, Version: v, From: from, Client: c.Client})
	if err != nil {
		return unrepeatable(e, err)
	}
	web.WriteJSON(w, http.StatusAccepted, newReplayed(e, from))
	return nil
}

// unrepeatable keeps clients from asking again by themselves where a new run may have begun: that is what 5xx would have
// them do.
func unrepeatable(e behalf.Event, err error) error {
	if code := fault.CodeOf(err); code == string(behalf.CodeAcceptanceUnknown) {
		return fault.New(fault.Conflict, "api.replay", behalf.FailAcceptanceUnknown(e.Run).Message).WithCode(code).Because(err)
	}
	return err
}

// replayVersion is the version that a replay executes: the one that was asked for, else the one that the environment
// serves now.
func replayVersion(ctx context.Context, c call, id behalf.WorkflowID, asked behalf.VersionID) (behalf.Version, error) {
	workflow, err := findWorkflow(ctx, c.Workflows, c.Project, id)
	if err != nil {
		return behalf.Version{}, err
	}
	if asked == "" {
		endpoint, _, err := c.Endpoints.Endpoint(ctx, workflow.Endpoint)
		switch {
		case err == nil:
			asked = endpoint.Version
		case fault.Is(err, fault.NotFound):
			asked = workflow.Version
		default:
			return behalf.Version{}, err
		}
	}
	return findVersion(ctx, c.Versions, workflow, asked)
}
