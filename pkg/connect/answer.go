package connect

import (
	"net/http"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

// entry is the page that a link leads to, after what went wrong on it before.
type entry struct {
	public  map[string]string
	problem problem
}

// entry shows how the app is connected: a button that leads to the service, or a form for its keys.
func (s *Server) entry(w http.ResponseWriter, r *http.Request) error {
	v, err := s.visitOf(r.Context(), r.URL.Query())
	if err == nil && v.app.Auth.Type == app.OAuth2 {
		_, err = s.clientFor(r.Context(), v, s.base(r))
	}
	if err != nil {
		s.fail(w, v, err)
		return nil
	}
	s.showEntry(w, v, entry{})
	return nil
}

func (s *Server) showEntry(w http.ResponseWriter, v *visit, e entry) {
	view := entryView{
		App: v.app.Name, Token: v.text.Reveal(), Slug: string(v.app.Slug), Own: string(v.own), Account: string(v.account),
		Framed: v.framed, HideClose: v.hideClose, Action: startPath, OAuth: v.app.Auth.Type == app.OAuth2, Problem: e.problem.why,
		Again: v.account != "", Tried: v.app.Test.URL != "", Cancel: v.token.Return.ErrorURI, Failures: v.token.Use.Failures,
	}
	if !view.OAuth {
		view.Action = keysPath
	}
	for _, f := range v.fields() {
		view.Fields = append(view.Fields, viewField(f, e.public))
	}
	status := http.StatusOK
	if e.problem.status != 0 {
		status = e.problem.status
	}
	s.show(w, status, "entry", page{Title: "Connect " + v.app.Name, View: view, Script: frameScript{Origins: v.token.Return.Origins, Error: e.problem.why}})
}

// answer ends a try: with the page of its outcome, or on the way back to the application.
func (s *Server) answer(w http.ResponseWriter, v *visit, account behalf.Account, err error) {
	back := v.token.Return
	switch {
	case err != nil && !v.framed && back.ErrorURI != "" && v.token.Use.Failure != "":
		s.log(err)
		s.goOn(w, back.ErrorURI, "Going back")
	case err != nil:
		s.fail(w, v, err)
	case !v.framed && back.SuccessURI != "":
		s.goOn(w, back.SuccessURI, v.app.Name+" is connected")
	default:
		s.show(w, http.StatusOK, "done", page{
			Title: v.app.Name + " is connected", View: doneView{App: v.app.Name, Account: account.Name},
			Script: frameScript{Origins: back.Origins, Account: string(account.ID)},
		})
	}
}

// fail shows why something came to nothing. Without a visit the page can be in no frame.
func (s *Server) fail(w http.ResponseWriter, v *visit, err error) {
	s.log(err)
	p := shown(err)
	view, script := problemView{Why: p.why}, frameScript{}
	if v != nil && v.token.Hash != "" {
		script = frameScript{Origins: v.token.Return.Origins, Error: p.why}
		view.Cancel = v.token.Return.ErrorURI
		if v.token.Good(s.cfg.Now()) && v.app.Slug != "" && !v.text.IsZero() && p.status != http.StatusNotFound {
			view.Retry = retryLink(v)
		}
	}
	s.show(w, p.status, "problem", page{Title: p.title, View: view, Script: script})
}

func (s *Server) log(err error) {
	p, ok := asProblem(err)
	if ok && p.cause == nil {
		return
	}
	switch kind := fault.KindOf(err); {
	case kind == fault.Internal:
		s.deps.Log.Error().Err(err).Msg("a connect page failed")
	case web.Status(kind) >= http.StatusInternalServerError, kind == fault.Forbidden:
		s.deps.Log.Warn().Err(err).Msg("an account could not be connected")
	}
}

// status tells a page in a frame how far its consent is, which goes on in a window that the page cannot see.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	v := &visit{}
	err = s.findToken(r.Context(), v, auth.Hash(secret.New(form.Get("token"))))
	if p, ok := asProblem(err); ok && p.status == http.StatusNotFound {
		web.WriteJSON(w, http.StatusOK, statusView{State: "gone"})
		return nil
	}
	if err != nil {
		return err
	}
	use := v.token.Use
	view := statusView{State: "open", Account: use.Account, Failure: use.Failure, Failures: use.Failures}
	if use.State != "" {
		view.State = string(use.State)
	}
	web.WriteJSON(w, http.StatusOK, view)
	return nil
}

type statusView struct {
	State    string           `json:"state"`
	Account  behalf.AccountID `json:"account,omitempty"`
	Failure  string           `json:"failure,omitempty"`
	Failures int              `json:"failures"`
}
