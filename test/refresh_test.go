//go:build integration

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
)

// consented is a world around a service whose tokens rotate, and which takes a consent back when a spent one is shown.
type consented struct {
	*world

	service *oauthtest.Vendor
	url     string // of a workflow that asks the service who it is
}

const serviceFile = `slug: vendor
name: Vendor
base_url: at_start
auth:
  type: oauth2
  authorize: /authorize
  token: /token
  refresh: rotates
  send: [{ header: Authorization, value: "Bearer {oauth_access_token}" }]
fields:
  oauth_access_token: { from: credential }
  base_url: { from: app }
`

func newConsented(t *testing.T) *consented {
	t.Helper()
	apps := filepath.Join(t.TempDir(), "apps")
	write(t, filepath.Join(apps, "vendor.yaml"), serviceFile)
	c := &consented{service: oauthtest.New(t, oauthtest.Config{Plain: true})}
	id, word := c.service.Client()
	c.world = newWorldWith(t, ackWait, "BEHALF_APPS_DIR="+apps,
		"BEHALF_FAILPOINT_APP_URLS=vendor="+c.service.URL(), "BEHALF_FAILPOINT_OAUTH_CLIENTS=vendor="+id+":"+word.Reveal())
	c.url = c.deploy("who", map[string]string{"workflow.yaml": `name: Who am I
triggers:
  - { type: http, auth: oauth, respond: immediate }
steps:
  - name: me
    uses: http-request@1
    accounts: { vendor: end_user }
    props: { url: /api/me }
`}).PathURL
	return c
}

// connect gives a user an account whose token ended a while ago.
func (c *consented) connect(user string) (granted oauthtest.Tokens, id string) {
	c.t.Helper()
	granted = c.service.Grant(user)
	stdin := fmt.Sprintf(`{"oauth_access_token":%q,"oauth_refresh_token":%q,"expires_at":%d}`, granted.Access, granted.Refresh, time.Now().Add(-time.Hour).Unix())
	var made struct {
		ID string `json:"id"`
	}
	out := c.mustRun(stdin, "accounts", "create", "--app", "vendor", "--user", user, "--env", "development", "--credential", "-")
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		c.t.Fatal(err)
	}
	return granted, made.ID
}

// connection is an account as the command line shows it.
type connection struct {
	State           behalf.AccountState `json:"state"`
	Reason          string              `json:"reason"`
	ExpiresAt       time.Time           `json:"expires_at"`
	LastRefreshedAt time.Time           `json:"last_refreshed_at"`
	NextRefreshAt   time.Time           `json:"next_refresh_at"`
}

func (c *consented) connection(id string) connection {
	c.t.Helper()
	var s connection
	out := c.mustRun("", "accounts", "show", id, "--env", "development", "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *consented) refresher() {
	c.t.Helper()
	c.workerOf(program(c.t, failpointProgram), development, nil, "--slots", "200")
}

// Five workers have a thousand runs of one user, whose token has ended: it is refreshed once, and all have the new one.
func TestAThousandRunsRefreshOnce(t *testing.T) {
	t.Parallel()
	const workers, runs, clients = 5, 1000, 50
	c := newConsented(t)
	granted, account := c.connect("abc-123")
	// The service keeps its answer back while the runs gather, but not so long that it would count as lost.
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let)
	c.service.Fail(oauthtest.AtToken, oauthtest.Slow(release))
	for range workers {
		c.refresher()
	}
	var callers sync.WaitGroup
	var accepted sync.Map
	for n := range clients {
		callers.Go(func() {
			for i := n; i < runs; i += clients {
				a := c.persist(c.url, event(fmt.Sprintf("event-%d", i)), as("abc-123"))
				if a.status != http.StatusAccepted && a.status != http.StatusOK || a.run() == "" {
					t.Errorf("event %d is answered %v", i, a)
					return
				}
				accepted.Store(a.run(), true)
			}
		})
	}
	eventually(t, time.Minute, "the service is not asked for a token", func() bool { return c.service.Counts().Tokens > 0 })
	asked := time.AfterFunc(8*time.Second, let)
	defer asked.Stop()
	callers.Wait()
	let()
	eventually(t, 4*time.Minute, "not every run has called the service", func() bool { return c.service.Counts().Calls >= runs })
	c.idle()

	journal, by := c.journal(), map[string]bool{}
	accepted.Range(func(run, _ any) bool {
		f := journal[run.(string)]
		if f.finishes != 1 || f.state != "ok" {
			t.Errorf("%s: %d finish records, state %q", run, f.finishes, f.state)
		}
		for name := range f.workers {
			by[name] = true
		}
		return true
	})
	if len(by) != workers {
		t.Errorf("%d workers had runs", len(by))
	}
	counts := c.service.Counts()
	if counts.Tokens != 1 || counts.Refreshes != 1 || counts.Reuses != 0 || counts.Unauthorized != 0 || counts.Calls < runs {
		t.Errorf("counts %+v", counts)
	}
	tokens := map[string]bool{}
	for _, s := range c.service.Seen() {
		if s.At == oauthtest.AtAPI {
			tokens[s.Header.Get("Authorization")] = true
		}
	}
	if len(tokens) != 1 || tokens["Bearer "+granted.Access] {
		t.Errorf("runs had %d different tokens", len(tokens))
	}
	if s := c.connection(account); s.State != behalf.AccountActive || s.ExpiresAt.Before(time.Now()) || s.LastRefreshedAt.IsZero() ||
		!s.NextRefreshAt.After(s.LastRefreshedAt) || !s.NextRefreshAt.Before(s.ExpiresAt) {
		t.Errorf("the account is shown as %+v", s)
	}
	t.Logf("%d runs on %d workers: the token endpoint was asked %d times, %d calls with the new token", runs, len(by), counts.Tokens, counts.Calls)
}

// A worker is killed at every place of a refresh. No refresh token that may be spent is sent again: the account heals,
// or says why it must be connected again.
func TestAWorkerDiesInARefresh(t *testing.T) {
	t.Parallel()
	c := newConsented(t)
	points := []struct {
		at    string
		heals bool
	}{
		{"refresh_leased", true}, {"refresh_marked", false}, {"refresh_told", false}, {"refresh_kept", true}, {"refresh_shown", true},
	}
	runs, accounts := map[string]string{}, map[string]string{}
	for _, p := range points {
		_, accounts[p.at] = c.connect(p.at)
		doomed := c.stopping(p.at)
		a := c.persist(c.url, event(p.at), as(p.at))
		if runs[p.at] = a.run(); runs[p.at] == "" {
			t.Fatalf("%s: answered %v", p.at, a)
		}
		doomed.reached()
		doomed.kill()
	}
	c.refresher()
	eventually(t, 4*time.Minute, "not every run is finished", func() bool {
		journal := c.journal()
		for _, run := range runs {
			if journal[run].finishes == 0 {
				return false
			}
		}
		return true
	})
	journal := c.journal()
	for _, p := range points {
		s, f := c.connection(accounts[p.at]), journal[runs[p.at]]
		switch {
		case p.heals && (s.State != behalf.AccountActive || f.state != "ok"):
			t.Errorf("%s: the account is %q because %q, the run %q", p.at, s.State, s.Reason, f.state)
		case !p.heals && (s.State != behalf.AccountNeedsReauth || !strings.Contains(s.Reason, "connect the account again") || f.state != "failed"):
			t.Errorf("%s: the account is %q because %q, the run %q", p.at, s.State, s.Reason, f.state)
		}
	}
	// Each of them but the one that died before it was asked for once; none twice.
	if got := c.service.Counts(); got.Tokens != 4 || got.Refreshes != 4 || got.Reuses != 0 || got.Refused != 0 {
		t.Errorf("counts %+v", got)
	}
	// Whoever connects again goes on.
	granted := c.service.Grant("again")
	stdin := fmt.Sprintf(`{"oauth_access_token":%q}`, granted.Access)
	c.mustRun(stdin, "accounts", "create", "--app", "vendor", "--user", "refresh_marked", "--env", "development", "--credential", "-")
	a := c.persist(c.url, event("again"), as("refresh_marked"))
	eventually(t, time.Minute, "the run with the new account is not finished", func() bool { return c.journal()[a.run()].state == "ok" })
}

// A backend that asks for a user's credentials has a token that works, although no run has used the account since its token
// ended.
func TestABackendIsHandedATokenThatWorks(t *testing.T) {
	t.Parallel()
	c := newConsented(t)
	id, word := c.service.Client()
	var own struct {
		ID string `json:"id"`
	}
	out := c.mustRun(word.Reveal(), "oauth-apps", "create", "vendor", "--client-id", id, "--secret", "-", "--env", "development", "--json")
	if err := json.Unmarshal([]byte(out), &own); err != nil || own.ID == "" {
		t.Fatalf("%s: %v", out, err)
	}
	granted := c.service.Grant("abc-123")
	stdin := fmt.Sprintf(`{"oauth_access_token":%q,"oauth_refresh_token":%q,"expires_at":%d,"oauth_app_id":%q}`,
		granted.Access, granted.Refresh, time.Now().Add(-time.Hour).Unix(), own.ID)
	c.mustRun(stdin, "accounts", "create", "--app", "vendor", "--user", "abc-123", "--env", "development", "--credential", "-")
	// This API knows where the vendor of the test is.
	other := &role{w: c.world, binary: program(t, failpointProgram), name: "api-2", args: []string{"api", "--allow-sealed"}}
	addr := freeAddr(t)
	other.base, other.vars = "http://"+addr, []string{"BEHALF_ADDR=" + addr, "BEHALF_METRICS_ADDR=" + freeAddr(t)}
	other.start()
	c.apiURL = other.base

	var page struct {
		Data []struct {
			Credentials map[string]string `json:"credentials"`
			RefreshAt   time.Time         `json:"next_refresh_at"`
			ExpiresAt   time.Time         `json:"expires_at"`
		} `json:"data"`
	}
	for range 2 {
		c.asks("/v1/connect/"+string(c.file.ProjectID)+"/accounts?external_user_id=abc-123&include_credentials=true", &page)
		if len(page.Data) != 1 || !c.service.Good(page.Data[0].Credentials["oauth_access_token"]) || page.Data[0].Credentials["oauth_refresh_token"] != "" {
			t.Fatalf("%d accounts, with a token that does not work or one too many", len(page.Data))
		}
	}
	if a := page.Data[0]; a.ExpiresAt.Before(time.Now()) || !a.RefreshAt.Before(a.ExpiresAt) || a.RefreshAt.Before(time.Now()) {
		t.Errorf("it ends at %v, and is next refreshed at %v", a.ExpiresAt, a.RefreshAt)
	}
	if got := c.service.Counts(); got.Tokens != 1 || got.Refreshes != 1 {
		t.Errorf("counts %+v", got)
	}
}
