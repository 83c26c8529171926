package api_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/web"
)

const (
	mine   behalf.ProjectID = "proj_mine"
	theirs behalf.ProjectID = "proj_theirs"
)

func missing() error {
	return fault.New(fault.NotFound, "memory", "the store's own words for nothing there")
}

// memory is all of one environment: each thing under its project and its id.
type memory struct {
	mu          sync.Mutex
	workflows   map[string]behalf.Workflow
	revisions   map[string]uint64
	endpoints   map[behalf.EndpointID]behalf.Endpoint
	versions    map[string]behalf.Version
	objects     map[behalf.ObjectID][]byte
	users       map[string]behalf.ExternalUser
	accounts    map[string]behalf.Account
	credentials map[behalf.AccountID]string
	variables   map[string]variable
	clients     map[behalf.ClientID]behalf.Client
	keys        map[string]ed25519.PublicKey
	runs        map[behalf.RunID]behalf.Run
	graves      map[string]behalf.Tombstone
	// kept says that there are a dead letter and an event of my project.
	kept       bool
	connects   map[string]behalf.ConnectToken
	oauthApps  map[string]behalf.OAuthApp
	oauthWords map[behalf.OAuthAppID]string
	// log tells in which order things were written, and what was read from the leader.
	log []string
	// broken names the method that fails, and how.
	broken map[string]error
}

func newMemory() *memory {
	return &memory{
		workflows: map[string]behalf.Workflow{}, revisions: map[string]uint64{},
		endpoints: map[behalf.EndpointID]behalf.Endpoint{}, versions: map[string]behalf.Version{},
		objects: map[behalf.ObjectID][]byte{}, users: map[string]behalf.ExternalUser{},
		accounts: map[string]behalf.Account{}, credentials: map[behalf.AccountID]string{}, variables: map[string]variable{},
		clients: map[behalf.ClientID]behalf.Client{}, keys: map[string]ed25519.PublicKey{},
		graves: map[string]behalf.Tombstone{}, runs: map[behalf.RunID]behalf.Run{}, broken: map[string]error{},
		connects: map[string]behalf.ConnectToken{}, oauthApps: map[string]behalf.OAuthApp{}, oauthWords: map[behalf.OAuthAppID]string{},
	}
}

func (m *memory) env() api.Env {
	return api.Env{
		Workflows: m, Endpoints: m, Versions: m, Users: m, Accounts: m, Clients: m, Runs: m, Credentials: m, Variables: m,
		Operator: operations{m}, Letters: operations{m}, Events: operations{m}, Secrets: m, Eraser: m,
		ConnectStores: api.ConnectStores{ConnectTokens: m, OAuthApps: m, OAuthSecrets: m},
	}
}

// enter begins a method; the caller defers the unlock.
func (m *memory) enter(method string) error {
	m.mu.Lock()
	m.log = append(m.log, method)
	return m.broken[method]
}

func (m *memory) fail(method string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken[method] = err
}

// writes tells what was written since it was last asked.
func (m *memory) writes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for _, method := range m.log {
		if strings.HasPrefix(method, "Put") || strings.HasPrefix(method, "Delete") || strings.HasPrefix(method, "Ensure") {
			list = append(list, method)
		}
	}
	m.log = nil
	return list
}

func key[T ~string](p behalf.ProjectID, id T) string { return string(p) + "|" + string(id) }

func find[T any](all map[string]T, k string, err error) (T, error) {
	found, ok := all[k]
	if err == nil && !ok {
		err = missing()
	}
	return found, err
}

func (m *memory) Workflow(_ context.Context, p behalf.ProjectID, id behalf.WorkflowID) (behalf.Workflow, uint64, error) {
	err := m.enter("Workflow")
	defer m.mu.Unlock()
	w, err := find(m.workflows, key(p, id), err)
	return w, m.revisions[key(p, id)], err
}

func (m *memory) Workflows(_ context.Context, p behalf.ProjectID) ([]behalf.Workflow, error) {
	err := m.enter("Workflows")
	defer m.mu.Unlock()
	var list []behalf.Workflow
	for _, w := range m.workflows {
		if w.Project == p {
			list = append(list, w)
		}
	}
	return list, err
}

func (m *memory) PutWorkflow(_ context.Context, w behalf.Workflow, revision uint64) (uint64, error) {
	err := m.enter("PutWorkflow")
	defer m.mu.Unlock()
	k := key(w.Project, w.ID)
	if err == nil && m.revisions[k] != revision {
		err = fault.New(fault.Conflict, "memory", "another revision")
	}
	if err == nil {
		m.workflows[k] = w
		m.revisions[k]++
	}
	return m.revisions[k], err
}

func (m *memory) Endpoint(_ context.Context, id behalf.EndpointID) (behalf.Endpoint, uint64, error) {
	err := m.enter("Endpoint")
	defer m.mu.Unlock()
	e, ok := m.endpoints[id]
	if err == nil && !ok {
		err = missing()
	}
	return e, m.revisions[string(id)], err
}

func (m *memory) PutEndpoint(_ context.Context, e behalf.Endpoint, revision uint64) (uint64, error) {
	err := m.enter("PutEndpoint")
	defer m.mu.Unlock()
	if err == nil && m.revisions[string(e.ID)] != revision {
		err = fault.New(fault.Conflict, "memory", "another revision")
	}
	if err == nil {
		m.endpoints[e.ID] = e
		m.revisions[string(e.ID)]++
	}
	return m.revisions[string(e.ID)], err
}

func (m *memory) PutObject(_ context.Context, p behalf.ProjectID, content []byte) (behalf.ObjectRef, error) {
	err := m.enter("PutObject")
	defer m.mu.Unlock()
	sum := sha256.Sum256(content)
	ref := behalf.ObjectRef{Object: behalf.NewObjectID(p, content), SHA256: hex.EncodeToString(sum[:]), Size: len(content)}
	m.objects[ref.Object] = content
	return ref, err
}

func (m *memory) PutVersion(_ context.Context, v behalf.Version) error {
	err := m.enter("PutVersion")
	defer m.mu.Unlock()
	m.versions[key(v.Project, v.ID)] = v
	return err
}

func (m *memory) Version(_ context.Context, p behalf.ProjectID, id behalf.VersionID) (behalf.Version, error) {
	err := m.enter("Version")
	defer m.mu.Unlock()
	return find(m.versions, key(p, id), err)
}

func (m *memory) Object(_ context.Context, ref behalf.ObjectRef) ([]byte, error) {
	err := m.enter("Object")
	defer m.mu.Unlock()
	content, ok := m.objects[ref.Object]
	if err == nil && !ok {
		err = missing()
	}
	return content, err
}

func (m *memory) User(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) (behalf.ExternalUser, error) {
	err := m.enter("User")
	defer m.mu.Unlock()
	return find(m.users, key(p, u), err)
}

func (m *memory) Users(_ context.Context, q api.UserQuery) (api.UserPage, error) {
	err := m.enter("Users")
	defer m.mu.Unlock()
	if err == nil && q.After != "" && !strings.HasPrefix(q.After, "id ") {
		err = fault.New(fault.Invalid, "memory", "no cursor of ours")
	}
	var page api.UserPage
	for _, k := range slices.Sorted(maps.Keys(m.users)) {
		u := m.users[k]
		switch {
		case u.Project != q.Project || q.After != "" && "id "+string(u.External) <= q.After || !strings.Contains(string(u.External), q.Search):
		case len(page.Users) == q.Limit:
			page.Cursor = "id " + string(page.Users[q.Limit-1].External)
			return page, err
		default:
			page.Users = append(page.Users, u)
		}
	}
	return page, err
}

func (m *memory) ConfigureUser(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID, change map[string]json.RawMessage) (behalf.ExternalUser, error) {
	err := m.enter("PutUserConfig")
	defer m.mu.Unlock()
	if err != nil {
		return behalf.ExternalUser{}, err
	}
	user, ok := m.users[key(p, u)]
	if !ok {
		user = behalf.ExternalUser{ID: behalf.NewUserRecordID(), Project: p, External: u}
	}
	if user, err = user.Configured(change); err == nil {
		m.users[key(p, u)] = user
	}
	return user, err
}

func (m *memory) DeleteUser(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) ([]behalf.Account, error) {
	err := m.enter("DeleteUser")
	defer m.mu.Unlock()
	if _, ok := m.users[key(p, u)]; !ok && err == nil {
		err = missing()
	}
	if err == nil {
		delete(m.users, key(p, u))
	}
	return nil, err
}

func (m *memory) ForgetUser(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) (behalf.Tombstone, error) {
	err := m.enter("PutTombstone")
	defer m.mu.Unlock()
	if err == nil && m.graves[key(p, u)].At.IsZero() {
		m.graves[key(p, u)] = behalf.Tombstone{V: 1, At: time.Now().UTC()}
	}
	return m.graves[key(p, u)], err
}

func (m *memory) Erase(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) (api.Erased, error) {
	err := m.enter("DeleteRuns")
	defer m.mu.Unlock()
	done := api.Erased{Kept: []string{}}
	for id, r := range m.runs {
		if err == nil && r.Project == p && r.User == u {
			delete(m.runs, id)
			done.History++
		}
	}
	return done, err
}

func (m *memory) Grant(c secret.String) (behalf.Grant, error) {
	var given struct {
		OAuthApp behalf.OAuthAppID `json:"oauth_app_id"`
		Scopes   []string          `json:"scopes"`
	}
	if err := json.Unmarshal([]byte(c.Reveal()), &given); err != nil {
		return behalf.Grant{}, fault.New(fault.Invalid, "memory", "no credential")
	}
	return behalf.Grant{OAuthApp: given.OAuthApp, Scopes: given.Scopes}, nil
}

func (m *memory) Credential(_ context.Context, a behalf.Account) (map[string]secret.String, error) {
	err := m.enter("Credential")
	defer m.mu.Unlock()
	if _, ok := m.credentials[secretOf(a)]; !ok && err == nil {
		err = missing()
	}
	return map[string]secret.String{"token": secret.New(m.credentials[secretOf(a)])}, err
}

func (m *memory) ListAccounts(_ context.Context, q api.AccountQuery) (api.AccountPage, error) {
	err := m.enter("ListAccounts")
	defer m.mu.Unlock()
	var page api.AccountPage
	for _, k := range slices.Sorted(maps.Keys(m.accounts)) {
		a := m.accounts[k]
		wanted := a.Project == q.Project && !a.Own() && (q.User == "" || q.User == a.User) && (q.App == "" || q.App == a.App) &&
			(q.OAuthApp == "" || q.OAuthApp == a.OAuthApp) && (q.After == "" || "id "+string(a.ID) > q.After)
		switch {
		case !wanted:
		case len(page.Accounts) == q.Limit:
			page.Cursor = "id " + string(page.Accounts[q.Limit-1].ID)
			return page, err
		default:
			page.Accounts = append(page.Accounts, a)
		}
	}
	return page, err
}

func (m *memory) AccountAt(_ context.Context, a behalf.Account) (behalf.Account, error) {
	err := m.enter("AccountAt")
	defer m.mu.Unlock()
	there, ok := m.accounts[key(a.Project, a.ID)]
	if err == nil && (!ok || there.User != a.User || there.App != a.App) {
		err = missing()
	}
	return there, err
}

func (m *memory) EnsureUser(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) (behalf.ExternalUser, error) {
	err := m.enter("EnsureUser")
	defer m.mu.Unlock()
	if _, ok := m.users[key(p, u)]; !ok && err == nil {
		m.users[key(p, u)] = behalf.ExternalUser{ID: behalf.NewUserRecordID(), Project: p, External: u}
	}
	return m.users[key(p, u)], err
}

func (m *memory) Accounts(_ context.Context, p behalf.ProjectID, u behalf.ExternalUserID) ([]behalf.Account, error) {
	err := m.enter("Accounts")
	defer m.mu.Unlock()
	var list []behalf.Account
	for _, a := range m.accounts {
		if a.Project == p && a.User == u {
			list = append(list, a)
		}
	}
	return list, err
}

func (m *memory) FindAccount(_ context.Context, p behalf.ProjectID, id behalf.AccountID) (behalf.Account, error) {
	err := m.enter("FindAccount")
	defer m.mu.Unlock()
	return find(m.accounts, key(p, id), err)
}

func (m *memory) PutAccount(_ context.Context, a behalf.Account) error {
	err := m.enter("PutAccount")
	defer m.mu.Unlock()
	if err == nil {
		m.accounts[key(a.Project, a.ID)] = a
	}
	return err
}

func (m *memory) DeleteAccount(_ context.Context, a behalf.Account) error {
	err := m.enter("DeleteAccount")
	defer m.mu.Unlock()
	if err == nil {
		delete(m.accounts, key(a.Project, a.ID))
	}
	return err
}

// secretOf tells the secrets of two projects apart, that of mine by the id alone.
func secretOf(a behalf.Account) behalf.AccountID {
	if a.Project == mine {
		return a.ID
	}
	return behalf.AccountID(key(a.Project, a.ID))
}

func (m *memory) PutCredential(_ context.Context, a behalf.Account, c secret.String) error {
	err := m.enter("PutCredential")
	defer m.mu.Unlock()
	if err == nil {
		m.credentials[secretOf(a)] = c.Reveal()
	}
	return err
}

func (m *memory) DeleteCredential(_ context.Context, a behalf.Account) error {
	err := m.enter("DeleteCredential")
	defer m.mu.Unlock()
	if err == nil {
		delete(m.credentials, secretOf(a))
	}
	return err
}

func (m *memory) ClientFromLeader(_ context.Context, id behalf.ClientID) (behalf.Client, error) {
	err := m.enter("ClientFromLeader")
	defer m.mu.Unlock()
	c, ok := m.clients[id]
	if err == nil && !ok {
		err = missing()
	}
	return c, err
}

func (m *memory) ClientForChange(_ context.Context, id behalf.ClientID) (behalf.Client, uint64, error) {
	err := m.enter("ClientForChange")
	defer m.mu.Unlock()
	c, ok := m.clients[id]
	if err == nil && !ok {
		err = missing()
	}
	return c, uint64(c.Generation), err
}

func (m *memory) Clients(_ context.Context, project behalf.ProjectID) ([]behalf.Client, error) {
	err := m.enter("Clients")
	defer m.mu.Unlock()
	found := slices.DeleteFunc(slices.Collect(maps.Values(m.clients)), func(c behalf.Client) bool { return c.Project != project })
	slices.SortFunc(found, func(a, b behalf.Client) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return found, err
}

func (m *memory) PutClient(_ context.Context, c behalf.Client, revision uint64) (uint64, error) {
	err := m.enter("PutClient")
	defer m.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case uint64(m.clients[c.ID].Generation) != revision:
		return 0, fault.New(fault.Conflict, "memory", "another revision")
	}
	m.clients[c.ID] = c
	return uint64(c.Generation), nil
}

func (m *memory) Client(_ context.Context, id behalf.ClientID) (behalf.Client, error) {
	err := m.enter("Client")
	defer m.mu.Unlock()
	c, ok := m.clients[id]
	if err == nil && !ok {
		err = missing()
	}
	return c, err
}

func (m *memory) PublicKey(_ context.Context, kid string) (ed25519.PublicKey, error) {
	err := m.enter("PublicKey")
	defer m.mu.Unlock()
	return find(m.keys, kid, err)
}

func (m *memory) Result(ctx context.Context, p behalf.ProjectID, _ behalf.WorkflowID, id behalf.RunID) (behalf.Run, error) {
	return m.Show(ctx, p, id)
}

func (m *memory) Show(_ context.Context, p behalf.ProjectID, id behalf.RunID) (behalf.Run, error) {
	err := m.enter("Show")
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if err == nil && (!ok || r.Project != p) {
		err = missing()
	}
	return r, err
}

func (m *memory) Find(_ context.Context, id behalf.RunID) (behalf.Run, error) {
	err := m.enter("Find")
	defer m.mu.Unlock()
	r, ok := m.runs[id]
	if err == nil && !ok {
		err = missing()
	}
	return r, err
}

func (m *memory) List(_ context.Context, q api.RunQuery) (api.RunPage, error) {
	err := m.enter("List")
	defer m.mu.Unlock()
	var page api.RunPage
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m.runs))) {
		r := m.runs[id]
		matches := r.Project == q.Project && (q.Workflow == "" || q.Workflow == r.Workflow) &&
			(q.State == "" || q.State == r.State) && (q.User == "" || q.User == r.User)
		if !matches || q.After != "" && string(id) >= q.After {
			continue
		}
		if len(page.Runs) == q.Limit {
			page.Cursor = string(page.Runs[q.Limit-1].ID)
			break
		}
		page.Runs = append(page.Runs, r)
	}
	return page, err
}

// catalogue knows these apps.
type catalogue []behalf.AppSlug

func (c catalogue) Known(app behalf.AppSlug) bool { return slices.Contains(c, app) }

// shown is a catalogue of two apps and two actions.
type shown struct{}

func (shown) Apps() []api.AppView {
	return []api.AppView{
		{Slug: "github", Name: "GitHub", AuthType: "oauth", Categories: []string{}, AuthFields: []string{}, Fields: []api.FieldView{{Name: "oauth_access_token", From: "credential", Secret: true}}},
		{Slug: "slack", Name: "Slack", Description: "Messages", AuthType: "oauth", Categories: []string{}, AuthFields: []string{}, Fields: []api.FieldView{}},
	}
}

func (shown) Actions() []api.ActionView {
	return []api.ActionView{
		{Uses: "http-request@1", Name: "Request", AnyApp: true, Props: []api.PropView{}},
		{Uses: "slack-send-message@1", Name: "Send a message", App: "slack", Props: []api.PropView{}},
	}
}

func (s shown) Action(uses string) (api.ActionView, error) {
	for _, v := range s.Actions() {
		if v.Uses == uses {
			return v, nil
		}
	}
	return api.ActionView{}, fault.New(fault.NotFound, "shown", "there is no action of that name")
}

// load makes a version of any folder: its workflow.yaml says the auth, and every other file is a step. It stands for
// pkg/deploy, which has tests of its own.
func load(project behalf.ProjectID, folder string, files map[string][]byte) (api.Loaded, error) {
	yaml, ok := files["workflow.yaml"]
	if !ok {
		return api.Loaded{}, fault.New(fault.Invalid, "load", folder+"/workflow.yaml: there is no such file")
	}
	v := behalf.Version{
		V: behalf.FormatVersion, Project: project, Workflow: behalf.DerivedWorkflowID(project, folder), Name: "The " + folder,
		Trigger:  behalf.Trigger{Auth: behalf.TriggerAuth(yaml), Respond: behalf.Respond{Mode: behalf.RespondCustom}},
		Settings: behalf.Settings{Timeout: behalf.DefaultTimeout},
	}
	loaded := api.Loaded{Sources: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name == "workflow.yaml" {
			continue
		}
		sum := sha256.Sum256(files[name])
		v.Steps = append(v.Steps, behalf.Step{
			Name: behalf.StepName(strings.TrimSuffix(name, ".mjs")),
			Source: &behalf.Source{
				File: name, Runtime: behalf.RuntimeNode, Object: behalf.NewObjectID(project, files[name]), SHA256: hex.EncodeToString(sum[:]),
			},
			Accounts: map[string]behalf.AccountRef{"slack": {App: "slack"}},
		})
		loaded.Sources[name] = files[name]
	}
	content, err := json.Marshal(v)
	v.ID = behalf.ContentVersionID(content)
	loaded.Version = v
	return loaded, err
}

// world is an API over two environments in memory, and clients of it.
type world struct {
	t       testing.TB
	api     *api.API
	prod    *memory
	dev     *memory
	signer  *auth.Signer
	reg     *prometheus.Registry
	secrets map[behalf.ClientID]secret.String
	log     *strings.Builder
}

const (
	ours       behalf.ClientID = "oac_ours"       // all scopes, both environments
	backend    behalf.ClientID = "oac_backend"    // invoke and connect, both environments
	developer  behalf.ClientID = "oac_developer"  // all scopes, development alone
	other      behalf.ClientID = "oac_other"      // all scopes, both environments, another project
	gone       behalf.ClientID = "oac_gone"       // revoked
	powerless  behalf.ClientID = "oac_powerless"  // no scope
	nowhere    behalf.ClientID = "oac_nowhere"    // no environment
	productive behalf.ClientID = "oac_productive" // all scopes, production alone
)

func newWorld(tb testing.TB, change ...func(*api.Config, *api.Deps)) *world {
	tb.Helper()
	w := &world{
		t: tb, prod: newMemory(), dev: newMemory(), reg: prometheus.NewRegistry(),
		secrets: map[behalf.ClientID]secret.String{}, log: &strings.Builder{},
	}
	var err error
	if w.signer, err = auth.NewSigner(auth.Config{}, auth.NewKey()); err != nil {
		tb.Fatal(err)
	}
	w.dev.kept = true
	for _, m := range []*memory{w.prod, w.dev} {
		m.keys[w.signer.KeyID()] = w.signer.PublicKey()
	}
	all := []behalf.Scope{behalf.ScopeConnect, behalf.ScopeInvoke, behalf.ScopeManage}
	both := behalf.Environments()
	w.client(behalf.Client{ID: ours, Project: mine, Scopes: all, Environments: both})
	w.client(behalf.Client{ID: backend, Project: mine, Scopes: all[:2], Environments: both})
	w.client(behalf.Client{ID: developer, Project: mine, Scopes: all, Environments: both[1:]})
	w.client(behalf.Client{ID: productive, Project: mine, Scopes: all, Environments: both[:1]})
	w.client(behalf.Client{ID: other, Project: theirs, Scopes: all, Environments: both})
	w.client(behalf.Client{ID: gone, Project: mine, Scopes: all, Environments: both, Revoked: true})
	w.client(behalf.Client{ID: powerless, Project: mine, Environments: both})
	w.client(behalf.Client{ID: nowhere, Project: mine, Scopes: all})
	cfg := api.Config{
		URL:         "http://127.0.0.1:8080",
		Links:       api.Links{IngressURL: "http://127.0.0.1:8080", WorkflowDomain: "localhost"},
		PerStranger: web.Rate{PerSecond: 1e6, Burst: 1e6}, // a table of those who may not is no attack
	}
	deps := api.Deps{
		Environments: map[behalf.Environment]api.Env{behalf.Production: w.prod.env(), behalf.Development: w.dev.env()},
		Verifier:     auth.NewVerifier(auth.Config{}, map[behalf.Environment]auth.Copy{behalf.Production: w.prod, behalf.Development: w.dev}),
		Signer:       w.signer, Apps: catalogue{"slack", "github"}, Catalog: shown{}, Load: load, Connector: keeper{w.prod, w.dev}, Registerer: w.reg, Log: zerolog.New(w.log),
	}
	for _, f := range change {
		f(&cfg, &deps)
	}
	w.api = api.New(cfg, deps)
	return w
}

func (w *world) client(c behalf.Client) {
	w.secrets[c.ID] = auth.NewSecret()
	c.V, c.SecretHash, c.Generation, c.CreatedAt = behalf.FormatVersion, auth.Hash(w.secrets[c.ID]), 1, time.Unix(1_764_000_000, 0).UTC()
	for env, m := range map[behalf.Environment]*memory{behalf.Production: w.prod, behalf.Development: w.dev} {
		if slices.Contains(c.Environments, env) || len(c.Environments) == 0 {
			m.clients[c.ID] = c
		}
	}
}

func (w *world) token(id behalf.ClientID) string {
	c, ok := w.prod.clients[id]
	if !ok {
		c = w.dev.clients[id]
	}
	token, err := w.signer.Sign(behalf.Identity{
		Client: id, Project: c.Project, Scopes: c.Scopes, Environments: c.Environments, Generation: c.Generation,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Text.Reveal()
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// field reads a member of the body; dots go deeper, numbers into lists.
func (a answer) field(tb testing.TB, name string) any {
	tb.Helper()
	var doc any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		tb.Fatalf("%v in %s", err, a.body)
	}
	for part := range strings.SplitSeq(name, ".") {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[part]
		case []any:
			var i int
			if json.Unmarshal([]byte(part), &i) != nil || i >= len(v) {
				tb.Fatalf("no %s in %s", name, a.body)
			}
			doc = v[i]
		default:
			tb.Fatalf("no %s in %s", name, a.body)
		}
	}
	return doc
}

// do serves a request, and holds it and its answer against the OpenAPI document.
func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	return checked(w.t, w.api, r)
}

// call calls as a client in development.
func (w *world) call(id behalf.ClientID, method, target, body string, headers ...string) answer {
	var reader io.Reader = http.NoBody
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if id != "" {
		r.Header.Set("Authorization", "Bearer "+w.token(id))
	}
	r.Header.Set("X-Pd-Environment", "development")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	return w.do(r)
}
