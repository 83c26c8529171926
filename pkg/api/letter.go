package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/bus/operate"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/web"
)

// Letters are the dead letters of one environment. Errors as those of Operator.
type Letters interface {
	Letters(ctx context.Context, q bus.LetterQuery) (letters []bus.Letter, more bool, err error)
	CountLetters(ctx context.Context, project behalf.ProjectID, workflow behalf.WorkflowID) ([]bus.LetterCount, error)
	OneLetter
}

// OneLetter is what is done to a single one.
type OneLetter interface {
	Letter(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (bus.Letter, error)
	// Discard takes a letter away. False says that there is none.
	Discard(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (bool, error)
	Open(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (operate.Opened, error)
	ReplayLetter(ctx context.Context, l operate.Opened, r operate.Replay) (behalf.Event, error)
	// Replayed tells the run that has replayed a letter which is gone.
	Replayed(ctx context.Context, project behalf.ProjectID, id behalf.LetterID) (behalf.RunID, error)
}

// letterView is a dead letter as the API shows it. Only one that is shown alone has its original.
type letterView struct {
	ID          behalf.LetterID    `json:"id"`
	Workflow    behalf.WorkflowID  `json:"workflow"`
	Environment behalf.Environment `json:"environment"`
	Reason      bus.Reason         `json:"reason"`
	Detail      string             `json:"detail,omitempty"`
	Run         behalf.RunID       `json:"run,omitempty"`
	Worker      string             `json:"worker"`
	At          time.Time          `json:"at"`
	// Original is the message as it came, where it is JSON; else Raw is.
	Original json.RawMessage `json:"original,omitempty"`
	Raw      []byte          `json:"raw,omitempty"`
}

func viewLetter(l bus.Letter) letterView {
	return letterView{
		ID: l.ID, Workflow: l.Workflow, Environment: l.Environment, Reason: l.Reason, Detail: l.Detail, Run: l.Run,
		Worker: l.Worker, At: l.At,
	}
}

func (a *API) letters(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "workflow", "reason", "limit", "after")
	if err != nil {
		return err
	}
	query := bus.LetterQuery{Project: c.Project, Reason: bus.Reason(q.text("reason")), Before: behalf.LetterID(q.text("after"))}
	if query.Limit, err = q.limit(); err != nil {
		return err
	}
	if query.Workflow, err = q.workflow(); err != nil {
		return err
	}
	found, more, err := c.Letters.Letters(r.Context(), query)
	if err != nil {
		return err
	}
	data, cursor := make([]letterView, len(found)), ""
	for i, l := range found {
		data[i] = viewLetter(l)
	}
	if more {
		cursor = string(data[len(data)-1].ID)
	}
	web.WriteJSON(w, http.StatusOK, newPage(data, cursor))
	return nil
}

// workflow reads a workflow id that may be left out.
func (q query) workflow() (behalf.WorkflowID, error) {
	if !q.has("workflow") {
		return "", nil
	}
	return behalf.ParseWorkflowID(q.text("workflow"))
}

func (a *API) countLetters(w http.ResponseWriter, r *http.Request, c call) error {
	q, err := parseQuery(r.URL, "workflow")
	if err != nil {
		return err
	}
	workflow, err := q.workflow()
	if err != nil {
		return err
	}
	counts, err := c.Letters.CountLetters(r.Context(), c.Project, workflow)
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, newPage(counts, ""))
	return nil
}

func (a *API) letter(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	found, err := c.Letters.Letter(r.Context(), c.Project, behalf.LetterID(r.PathValue("letter")))
	if err != nil {
		return letterError(err)
	}
	view := viewLetter(found)
	view.Original, view.Raw = found.Original, found.Raw
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

func letterError(err error) error {
	if fault.Is(err, fault.NotFound) {
		return notFound("no such dead letter")
	}
	return err
}

// replayLetter runs what a letter holds. Of one that is gone because it was replayed it tells the same run again.
func (a *API) replayLetter(w http.ResponseWriter, r *http.Request, c call) error {
	version, from, err := readReplay(w, r)
	if err != nil {
		return err
	}
	id := behalf.LetterID(r.PathValue("letter"))
	opened, err := c.Letters.Open(r.Context(), c.Project, id)
	if fault.Is(err, fault.NotFound) {
		run, err := c.Letters.Replayed(r.Context(), c.Project, id)
		if err != nil {
			return letterError(err)
		}
		web.WriteJSON(w, http.StatusAccepted, replayed{Run: run, Event: run.Event()})
		return nil
	}
	if err != nil {
		return err
	}
	v, err := replayVersion(r.Context(), c, opened.Event.Workflow, version)
	if err != nil {
		return err
	}
	e, err := c.Letters.ReplayLetter(r.Context(), opened, operate.Replay{Project: c.Project, Version: v, From: from, Client: c.Client})
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusAccepted, newReplayed(e, from))
	return nil
}

// discarded is a letter that was there, and is no more.
type discarded struct {
	ID        behalf.LetterID `json:"id"`
	Discarded bool            `json:"discarded"`
}

func (a *API) discardLetter(w http.ResponseWriter, r *http.Request, c call) error {
	if _, err := parseQuery(r.URL); err != nil {
		return err
	}
	id := behalf.LetterID(r.PathValue("letter"))
	gone, err := c.Letters.Discard(r.Context(), c.Project, id)
	switch {
	case err != nil:
		return err
	case !gone:
		return notFound("no such dead letter")
	}
	web.WriteJSON(w, http.StatusOK, discarded{id, gone})
	return nil
}
