package connect

import (
	"bytes"
	"cmp"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

//go:embed frame.js
var frameJS string

// views are the pages. html/template escapes whatever services and users say.
type views struct{ templates *template.Template }

func newViews() *views { return &views{template.Must(template.New("").Parse(pageHTML))} }

// page is what every page has around its own view.
type page struct {
	Title  string
	View   any
	Script frameScript

	// What follows is filled in by show.

	Nonce string
	Style template.CSS
	Code  template.JS
}

// frameScript is what the script tells the page that has ours in a frame, and to whom.
type frameScript struct {
	Origins []string `json:"origins"`
	Account string   `json:"account,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type entryView struct {
	App, Token, Slug, Own, Account string

	Framed, HideClose, OAuth, Again, Tried bool

	Action  string
	Fields  []fieldView
	Problem string
	Cancel  string
	// Failures are those of tries before.
	Failures int
}

type fieldView struct {
	Name, Label, Description, Value, Kind string

	Optional bool
}

func viewField(f app.Field, public map[string]string) fieldView {
	v := fieldView{Name: fieldPrefix + f.Name, Label: cmp.Or(f.Label, f.Name), Description: f.Description, Optional: f.Optional, Kind: "password"}
	if f.Public {
		v.Kind, v.Value = "text", cmp.Or(public[f.Name], f.Default)
	}
	return v
}

type doneView struct{ App, Account string }

type problemView struct{ Why, Retry, Cancel string }

// retryLink is the page from which the user can try again.
func retryLink(v *visit) string {
	q := url.Values{"token": {v.text.Reveal()}, "app": {string(v.app.Slug)}}
	if v.own != "" {
		q.Set("oauthAppId", string(v.own))
	}
	if v.account != "" {
		q.Set("accountId", string(v.account))
	}
	if !v.framed {
		q.Set("connectLink", "true")
	}
	return entryPath + "?" + q.Encode()
}

// goOn leads the browser to another address, of the token or of the service. It is a page and no redirect, because browsers
// hold redirects after a form against the list of addresses to which the page with the form may send: ours, or a service's.
func (s *Server) goOn(w http.ResponseWriter, address, title string) {
	s.show(w, http.StatusOK, "go", page{Title: title, View: address})
}

func (s *Server) show(w http.ResponseWriter, status int, name string, p page) {
	p.Nonce = rand.Text()
	p.Style, p.Code = template.CSS(styleCSS), template.JS(frameJS) //nolint:gosec // our own files
	if p.Script.Origins == nil {
		p.Script.Origins = []string{}
	}
	var out bytes.Buffer
	if err := s.views.templates.ExecuteTemplate(&out, name, p); err != nil {
		s.deps.Log.Error().Err(err).Msg("a connect page cannot be shown")
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	guard(w.Header(), p)
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the reader is gone: nobody is left to tell
}

// guard says what a browser may do with a page: nothing that it does not need, and in no frame but of those that the token
// allows.
func guard(h http.Header, p page) {
	ancestors := "'none'"
	if len(p.Script.Origins) > 0 {
		ancestors = strings.Join(p.Script.Origins, " ")
	} else {
		h.Set("X-Frame-Options", "DENY")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+p.Nonce+"'; style-src 'nonce-"+p.Nonce+
		"'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "+ancestors)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex")
}
