package connect_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
	"github.com/behalf-dev/behalf/pkg/secret"
)

const (
	project behalf.ProjectID      = "proj_mine"
	user    behalf.ExternalUserID = "abc-123"
	dev                           = behalf.Development
)

// keyed is an app whose users hand over keys, at the vendor's address.
const keyed = `slug: keyed
name: Keyed & Co
base_url: at_start
auth:
  type: keys
  send: [{ header: Authorization, value: "Bearer {api_key}" }]
test: { url: /api/me, id: id, name: id }
fields:
  region: { from: credential, public: true, label: Region, description: "Such as <eu>" }
  api_key: { from: credential, label: API key }
  note: { from: credential, public: true, optional: true }
`

// tenant is an app with an address for each customer.
const tenant = `slug: tenant
name: Tenant
base_url: https://{subdomain}.tenant.example
auth:
  type: keys
  send: [{ header: Authorization, value: "Bearer {api_key}" }]
test: { url: /me }
fields:
  subdomain: { from: credential, public: true, label: Subdomain }
  api_key: { from: credential }
`

// world is the pages over memory, a vendor, and what everybody said.
type world struct {
	t       *testing.T
	vendor  *oauthtest.Vendor
	pages   *connect.Server
	server  *httptest.Server
	apps    catalogue
	prod    *memory
	dev     *memory
	clients *clients
	http    *http.Client
	log     *buffer
	// said is all that a browser was answered.
	said *buffer
}

type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type catalogue map[behalf.AppSlug]app.App

func (c catalogue) App(slug behalf.AppSlug) (app.App, bool) {
	a, ok := c[slug]
	return a, ok
}

func appOf(t *testing.T, file, slug, address string) app.App {
	t.Helper()
	apps, err := app.Load(mapFS(slug, file))
	if err == nil && address != "" {
		apps, err = apps.WithURL(behalf.AppSlug(slug), address)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, _ := apps.App(behalf.AppSlug(slug))
	return a
}

func newWorld(t *testing.T, change ...func(*connect.Config, *connect.Deps)) *world {
	t.Helper()
	w := &world{t: t, vendor: oauthtest.New(t, oauthtest.Config{}), prod: newMemory(), dev: newMemory(), log: &buffer{}, said: &buffer{}}
	id, word := w.vendor.Client()
	w.clients = &clients{shipped: oauth.Registration{ID: id, Secret: word}}
	vendorApp := w.vendor.App()
	vendorApp.Test = appOf(t, keyed, "keyed", w.vendor.URL()).Test
	w.apps = catalogue{
		"vendor": vendorApp, "keyed": appOf(t, keyed, "keyed", w.vendor.URL()), "tenant": appOf(t, tenant, "tenant", ""),
	}
	var pages http.Handler
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { pages.ServeHTTP(rw, r) }))
	t.Cleanup(w.server.Close)
	w.http = w.vendor.HTTP()
	cfg := connect.Config{URL: w.server.URL}
	deps := connect.Deps{
		Environments: map[behalf.Environment]connect.Env{behalf.Production: w.prod.env(), dev: w.dev.env()},
		Apps:         w.apps, Clients: w.clients, HTTP: w.http, Log: zerolog.New(w.log),
	}
	for _, f := range change {
		f(&cfg, &deps)
	}
	w.pages = connect.New(cfg, deps)
	pages = w.pages
	t.Cleanup(w.pages.Wait)
	return w
}

// token makes a connect token in development.
func (w *world) token(change ...func(*behalf.ConnectToken)) string {
	text := auth.NewConnectToken()
	token := behalf.ConnectToken{Hash: auth.Hash(text), Project: project, User: user, ExpiresAt: time.Now().Add(time.Hour)}
	for _, f := range change {
		f(&token)
	}
	if _, err := w.dev.PutConnectToken(w.t.Context(), token, 0); err != nil {
		w.t.Fatal(err)
	}
	return text.Reveal()
}

func (w *world) use(token string) behalf.TokenUse {
	w.t.Helper()
	found, _, err := w.dev.ConnectToken(w.t.Context(), auth.Hash(secret.New(token)))
	if err != nil {
		w.t.Fatal(err)
	}
	return found.Use
}

// accounts are the user's in development.
func (w *world) accounts() []behalf.Account {
	w.t.Helper()
	all, err := w.dev.Accounts(w.t.Context(), project, user)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) credential(a behalf.Account) credential.Credential {
	w.t.Helper()
	c, _, err := w.dev.credentials.Get(w.t.Context(), credential.PathOf(dev, a))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// browser is somebody with cookies.
type browser struct {
	w    *world
	http *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	client := *w.vendor.HTTP()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{w, &client}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, target string, form url.Values, headers ...string) answer {
	b.w.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.w.server.URL + target
	}
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		b.w.t.Fatal(err)
	}
	_, _ = fmt.Fprintf(b.w.said, "%s %s %d %v %s\n", method, req.URL.Path, resp.StatusCode, resp.Header, body)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(target string) answer { return b.do(http.MethodGet, target, nil) }

// entry opens the page of a token.
func (b *browser) entry(token, app string, more ...string) answer {
	return b.get("/_static/connect.html?" + values("token", token, "app", app).Encode() + strings.Join(more, ""))
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// form is the form of a page, as it would be sent.
func (a answer) form() url.Values {
	v := url.Values{}
	for _, m := range regexp.MustCompile(`<input [^>]*name="([^"]+)"[^>]*value="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		v.Set(m[1], strings.ReplaceAll(m[2], "&#43;", "+"))
	}
	return v
}

// next is where a page leads by itself.
func (a answer) next(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("%d leads nowhere: %s", a.status, a.body)
	}
	return strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(m[1])
}

// consent goes through the page to the service and back, as far as our callback.
func (b *browser) consent(token, as string, more ...string) *url.URL {
	b.w.t.Helper()
	page := b.entry(token, "vendor", more...)
	if page.status != http.StatusOK {
		b.w.t.Fatalf("%d %s", page.status, page.body)
	}
	link := b.do(http.MethodPost, "/connect/start", page.form()).next(b.w.t)
	back, err := b.w.vendor.Consent(b.w.t.Context(), link, as)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return back
}

// memory is what the pages ask of one environment.
type memory struct {
	mu          sync.Mutex
	tokens      map[string]behalf.ConnectToken
	revisions   map[string]uint64
	consents    map[string]behalf.Consent
	accounts    map[behalf.AccountID]behalf.Account
	credentials credential.Store
	broken      error
	deleted     behalf.ExternalUserID
}

func newMemory() *memory {
	return &memory{
		tokens: map[string]behalf.ConnectToken{}, revisions: map[string]uint64{}, consents: map[string]behalf.Consent{},
		accounts: map[behalf.AccountID]behalf.Account{}, credentials: credentialtest.NewMemory(),
	}
}

func (m *memory) env() connect.Env {
	return connect.Env{Tokens: m, Accounts: m, Credentials: m.credentials}
}

func (m *memory) ConnectToken(_ context.Context, hash string) (behalf.ConnectToken, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tokens[hash]
	if !ok {
		return t, 0, fault.New(fault.NotFound, "memory", "")
	}
	return t, m.revisions[hash], nil
}

func (m *memory) PutConnectToken(_ context.Context, t behalf.ConnectToken, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revisions[t.Hash] != revision {
		return 0, fault.New(fault.Conflict, "memory", "")
	}
	m.tokens[t.Hash] = t
	m.revisions[t.Hash]++
	return m.revisions[t.Hash], nil
}

func (m *memory) PutConsent(_ context.Context, c behalf.Consent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.consents[c.Hash] = c
	return nil
}

func (m *memory) TakeConsent(_ context.Context, hash string) (behalf.Consent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.consents[hash]
	delete(m.consents, hash)
	if !ok {
		return c, fault.New(fault.NotFound, "memory", "")
	}
	return c, nil
}

func (m *memory) User(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) (behalf.ExternalUser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u == m.deleted {
		return behalf.ExternalUser{}, fault.New(fault.NotFound, "memory", "")
	}
	return behalf.ExternalUser{Project: p, External: u}, nil
}

func (m *memory) Accounts(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) ([]behalf.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []behalf.Account
	for _, id := range slices.Sorted(maps.Keys(m.accounts)) {
		if a := m.accounts[id]; a.Project == p && a.User == u {
			list = append(list, a)
		}
	}
	return list, nil
}

func (m *memory) FindAccount(_ context.Context, p behalf.ProjectID, id behalf.AccountID) (behalf.Account, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.accounts[id]
	if !ok || a.Project != p {
		return behalf.Account{}, 0, fault.New(fault.NotFound, "memory", "")
	}
	return a, m.revisions[string(id)], nil
}

func (m *memory) PutAccount(_ context.Context, a behalf.Account, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if m.revisions[string(a.ID)] != revision {
		return fault.New(fault.Conflict, "memory", "")
	}
	m.accounts[a.ID] = a
	m.revisions[string(a.ID)]++
	return nil
}

// clients are one shipped client of the vendor, and the project's own.
type clients struct {
	shipped oauth.Registration
	own     []behalf.OAuthApp
	words   map[behalf.OAuthAppID]secret.String
}

func (c *clients) Client(_ context.Context, p behalf.ProjectID, _ behalf.Environment, slug behalf.AppSlug, id behalf.OAuthAppID) (oauth.Registration, error) {
	for _, o := range c.own {
		if o.ID == id && o.Project == p && o.App == slug {
			return oauth.Registration{ID: o.ClientID, Secret: c.words[id], Scopes: o.Scopes}, nil
		}
	}
	if id == "" && slug == "vendor" && c.shipped.ID != "" {
		return c.shipped, nil
	}
	return oauth.Registration{}, fault.New(fault.NotFound, "clients", "")
}

func (c *clients) Own(_ context.Context, p behalf.ProjectID, _ behalf.Environment) ([]behalf.OAuthApp, error) {
	return slices.DeleteFunc(slices.Clone(c.own), func(o behalf.OAuthApp) bool { return o.Project != p }), nil
}
