package practice

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

const (
	scope = "messages.write"
	// consentCookie ties a consent to the browser that was asked, so that no other site can consent for it.
	consentCookie = "practice_consent"
	// consentTime is how long a user may think, codeTime how long a client may take to trade its code.
	consentTime = 10 * time.Minute
	codeTime    = 2 * time.Minute
	// maxPending bounds what callers who never come back can leave behind.
	maxPending = 1000
)

// request is what a client asked of a user.
type request struct {
	redirect  string
	state     string
	challenge string // S256 of RFC 7636
	expires   time.Time
	browser   string // digest of the cookie
}

// code is a consent on its way to the client.
type code struct {
	request
	user string
	// grant is the id of the grant that the code is traded for.
	grant string
	spent bool
}

// consents holds what waits for a user or for a client, in memory alone: a restart asks once more.
type consents struct {
	mu       sync.Mutex
	requests map[string]request
	codes    map[string]code // by digest
}

func newConsents() *consents {
	return &consents{requests: map[string]request{}, codes: map[string]code{}}
}

// ask keeps a request and gives it an id.
func (c *consents) ask(r request, now time.Time) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, old := range c.requests {
		if now.After(old.expires) {
			delete(c.requests, id)
		}
	}
	if len(c.requests) >= maxPending {
		return "", false
	}
	r.expires = now.Add(consentTime)
	id := rand.Text()
	c.requests[id] = r
	return id, true
}

// take ends a request that this browser was asked. Each can be taken once.
func (c *consents) take(id, browser string, now time.Time) (request, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.requests[id]
	if !ok || now.After(r.expires) || subtle.ConstantTimeCompare([]byte(r.browser), []byte(digest(browser))) != 1 {
		return request{}, false
	}
	delete(c.requests, id)
	return r, true
}

// grantCode makes the code that says yes for this user.
func (c *consents) grantCode(r request, user string, now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, old := range c.codes {
		if now.After(old.expires) {
			delete(c.codes, hash)
		}
	}
	text := "prac_code_" + rand.Text()
	r.expires = now.Add(codeTime)
	c.codes[digest(text)] = code{request: r, user: user, grant: rand.Text()}
	return text
}

// trade spends a code. The first time it gives what was consented to, and later, with first false, the same again: two
// holders of one code mean that it leaked.
func (c *consents) trade(text string, now time.Time) (held code, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, known := c.codes[digest(text)]
	if !known || now.After(held.expires) {
		return code{}, false
	}
	after := held
	after.spent = true
	c.codes[digest(text)] = after
	return held, !held.spent
}

// askConsent is the authorization endpoint of RFC 6749: it shows who asks for what, and lets the visitor say who they
// are, as this vendor has no passwords.
func (p *Practice) askConsent(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	redirect := query.Get("redirect_uri")
	// Before these two are known to be ours, nothing may be redirected anywhere.
	if query.Get("client_id") != p.cfg.ClientID || !slices.Contains(p.cfg.RedirectURIs, redirect) {
		p.refuse(w, http.StatusBadRequest, "This link names a client or a redirect URI that the practice app does not know.")
		return
	}
	if code, why := badRequest(query); code != "" {
		back(w, r, redirect, url.Values{"error": {code}, "error_description": {why}, "state": query["state"]})
		return
	}
	browser := rand.Text()
	id, ok := p.consents.ask(request{
		redirect:  redirect,
		state:     query.Get("state"),
		challenge: query.Get("code_challenge"),
		browser:   digest(browser),
	}, p.cfg.Now())
	if !ok {
		back(w, r, redirect, url.Values{"error": {"temporarily_unavailable"}, "state": query["state"]})
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // dev serves plain http on the loopback, where a Secure cookie would be lost
		Name: consentCookie, Value: browser, Path: "/oauth/authorize",
		MaxAge: int(consentTime.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	p.showConsent(w, consentView{Request: id, Suggested: p.cfg.Suggested, Hint: query.Get("login_hint")}, redirect)
}

func badRequest(query url.Values) (code, why string) {
	switch {
	case query.Get("response_type") != "code":
		return "unsupported_response_type", "response_type must be code"
	case len(query.Get("state")) > 1024:
		return "invalid_request", "state must have at most 1024 characters"
	case query.Get("code_challenge_method") != "S256" || len(query.Get("code_challenge")) != 43:
		return "invalid_request", "PKCE with S256 is required"
	case query.Get("scope") != "" && query.Get("scope") != scope:
		return "invalid_scope", "the only scope is " + scope
	}
	return "", ""
}

// takeConsent is where the form of askConsent goes. What was asked is not in the form: nobody can change it.
func (p *Practice) takeConsent(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	browser, err := r.Cookie(consentCookie)
	if err != nil || r.ParseForm() != nil {
		p.refuse(w, http.StatusForbidden, "This form does not come from the page that was shown to you. Begin again.")
		return
	}
	user, err := behalf.ParseExternalUserID(r.PostForm.Get("user"))
	if err != nil && r.PostForm.Get("answer") == "allow" {
		p.refuse(w, http.StatusBadRequest, "A user has 1 to 250 characters. Go back and choose one.")
		return
	}
	asked, ok := p.consents.take(r.PostForm.Get("request"), browser.Value, p.cfg.Now())
	if !ok {
		p.refuse(w, http.StatusForbidden, "This form was used before, is too old, or was shown to another browser. Begin again.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: consentCookie, Path: "/oauth/authorize", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // as above
	answer := url.Values{"state": {asked.state}}
	if r.PostForm.Get("answer") == "allow" {
		answer.Set("code", p.consents.grantCode(asked, string(user), p.cfg.Now()))
	} else {
		answer.Set("error", "access_denied")
	}
	back(w, r, asked.redirect, answer)
}

// back sends the browser to the client. The URI was compared with the list, so it is safe to go to.
func back(w http.ResponseWriter, r *http.Request, redirect string, answer url.Values) {
	u, err := url.Parse(redirect)
	if err != nil {
		http.Error(w, "bad redirect URI", http.StatusBadRequest)
		return
	}
	query := u.Query()
	for name, values := range answer {
		if len(values) > 0 && values[0] != "" {
			query.Set(name, values[0])
		}
	}
	u.RawQuery = query.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, u.String(), http.StatusSeeOther) //nolint:gosec // of the configured list, see above
}
