package practice

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"time"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var styleCSS string

// views are the vendor's pages. html/template escapes whatever users and messages say.
func views() *template.Template {
	funcs := template.FuncMap{
		"clock":   func(t time.Time) string { return t.Local().Format("15:04:05") }, // of this machine, where the reader sits
		"machine": func(t time.Time) string { return t.Format(time.RFC3339Nano) },
	}
	return template.Must(template.New("").Funcs(funcs).Parse(pageHTML))
}

// frame is what every page needs around its own data.
type frame struct {
	Nonce string
	Style template.CSS
	View  any
}

type inboxView struct {
	Users  []userInbox
	Counts counts
}

type consentView struct {
	Request   string
	Suggested []string
	Hint      string
}

type refusalView struct{ Why string }

// Page shows whose inbox got what, and keeps itself up to date. It refers to no other path, so that it can be mounted
// anywhere.
func (p *Practice) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		users, total := p.inboxes()
		p.show(w, http.StatusOK, "inbox", inboxView{Users: users, Counts: total}, "'none'")
	})
}

func (p *Practice) showConsent(w http.ResponseWriter, view consentView, redirect string) {
	// Browsers hold the redirect after a form against this list too.
	allowed := "'self'"
	if u, err := url.Parse(redirect); err == nil {
		allowed += " " + u.Scheme + "://" + u.Host
	}
	p.show(w, http.StatusOK, "consent", view, allowed)
}

func (p *Practice) refuse(w http.ResponseWriter, status int, why string) {
	p.show(w, status, "refusal", refusalView{Why: why}, "'none'")
}

func (p *Practice) show(w http.ResponseWriter, status int, name string, view any, formAction string) {
	nonce := rand.Text()
	var page bytes.Buffer
	if err := p.views.ExecuteTemplate(&page, name, frame{Nonce: nonce, Style: template.CSS(styleCSS), View: view}); err != nil { //nolint:gosec // our own file
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; connect-src 'self'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; form-action "+formAction+"; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the reader is gone: nobody is left to tell
}
