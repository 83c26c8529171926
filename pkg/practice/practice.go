// Package practice is a vendor to practise with: an OAuth server, an API that posts to a user's inbox, and a page that
// shows whose inbox got what.
//
// It is for `behalf dev` and for tests. It never runs in production, never keeps a token in clear, and knows nothing of
// Behalf: to the rest of the house it is a service like any other.
package practice

import (
	"cmp"
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// ownRedirect is where Connect has its codes sent. The name can never be resolved (RFC 2606): a code leads nowhere else.
const ownRedirect = "https://practice.invalid/connected"

// Config tunes a Practice. Its zero value works, in memory.
type Config struct {
	// StatePath is the file that outlives a restart: messages, counts and the hashes of tokens, mode 0600. Its folder
	// must exist.
	//
	// Defaults to none: everything is forgotten at the end.
	StatePath string
	// ClientID and ClientSecret are those of the one OAuth client that the vendor knows.
	//
	// Default to "practice" and to a fresh random secret, with which only Connect can work.
	ClientID     string
	ClientSecret secret.String
	// RedirectURIs are where a code may be sent, compared letter by letter.
	//
	// Defaults to none: only Connect gets codes.
	RedirectURIs []string
	// AccessLifetime is how long an access token lasts.
	//
	// Defaults to an hour.
	AccessLifetime time.Duration
	// Suggested are the users that the consent page offers to click on.
	//
	// Defaults to abc-123 and xyz-9.
	Suggested []string
	// Delay is how long the vendor takes to post a message, for tests of slow vendors.
	//
	// Defaults to none.
	Delay time.Duration
	// Now is the clock.
	//
	// Defaults to time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	c.ClientID = cmp.Or(c.ClientID, "practice")
	if c.ClientSecret.IsZero() {
		c.ClientSecret = secret.New(rand.Text())
	}
	c.RedirectURIs = append(slices.Clone(c.RedirectURIs), ownRedirect)
	c.AccessLifetime = cmp.Or(c.AccessLifetime, time.Hour)
	if c.Suggested == nil {
		c.Suggested = []string{"abc-123", "xyz-9"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) check() error {
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Fragment != "" {
			return fault.New(fault.Invalid, "practice.New", "a redirect URI must be a whole http or https URL without fragment")
		}
	}
	return nil
}

// Practice is the vendor. It is an http.Handler for a listener of its own.
type Practice struct {
	cfg      Config
	mux      *http.ServeMux
	views    *template.Template
	consents *consents
	grants   *grants
	inbox    *inbox
	file     *stateFile
}

// New opens the vendor, with what its state file remembers. Kinds: Invalid for a bad redirect URI or a state file that
// is not one, Unavailable where it cannot be read or written. Close must be called.
func New(cfg Config) (*Practice, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Practice{cfg: cfg, views: views(), consents: newConsents(), grants: newGrants(), inbox: newInbox()}
	file, err := openStateFile(cfg.StatePath, p)
	if err != nil {
		return nil, err
	}
	p.file = file
	p.mux = p.routes()
	return p, nil
}

// Close closes the state file. Requests that come later fail.
func (p *Practice) Close() error { return p.file.close() }

// ServeHTTP serves the vendor's OAuth server, its API and its page.
func (p *Practice) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *Practice) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oauth/authorize", p.askConsent)
	mux.HandleFunc("POST /oauth/authorize", p.takeConsent)
	mux.HandleFunc("POST /oauth/token", p.token)
	mux.HandleFunc("POST /messages", p.postMessage)
	mux.HandleFunc("GET /me", p.me)
	mux.HandleFunc("GET /inbox.json", p.inboxJSON)
	mux.Handle("GET /practice", p.Page())
	mux.Handle("GET /{$}", p.Page())
	return mux
}

// entry is one line of the state file: something that happened. Reading the same line twice changes nothing.
type entry struct {
	Message *message `json:"message,omitempty"`
	Grant   *grant   `json:"grant,omitempty"`
	Counts  *counts  `json:"counts,omitempty"`
}

func (p *Practice) apply(e entry) {
	if e.Message != nil {
		p.inbox.restore(*e.Message)
	}
	if e.Grant != nil {
		p.grants.put(*e.Grant)
	}
	if e.Counts != nil {
		p.inbox.restoreCounts(*e.Counts)
	}
}

// entries is all that is remembered, for a fresh state file.
func (p *Practice) entries() []entry {
	var all []entry
	for _, g := range p.grants.all() {
		all = append(all, entry{Grant: &g})
	}
	messages, total := p.inbox.all()
	for _, m := range messages {
		all = append(all, entry{Message: &m})
	}
	return append(all, entry{Counts: &total})
}

var errClosed = errors.New("the practice app is closed")
