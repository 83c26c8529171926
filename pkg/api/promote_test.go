package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// of is the route of a workflow's change.
func of(workflow, change string) string { return "/v1/workflows/" + workflow + "/" + change }

func TestPromote(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
	w.dev.writes()
	before := fmt.Sprint(w.dev.workflows, w.dev.endpoints)
	got := deployed(t, w.call(ours, "POST", of(dev["workflow_id"], "promote"), ""))
	token := got["trigger_token"]
	delete(got, "trigger_token")
	want := maps.Clone(dev)
	delete(want, "trigger_token")
	want["environment"] = "production"
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answer %v, want %v", got, want)
	}
	if writes := w.prod.writes(); !slices.Equal(writes, []string{"PutObject", "PutVersion", "PutWorkflow", "PutEndpoint"}) {
		t.Errorf("writes %v; what is referred to comes first", writes)
	}
	if writes := w.dev.writes(); len(writes) > 0 || fmt.Sprint(w.dev.workflows, w.dev.endpoints) != before {
		t.Errorf("development was changed: %v", writes)
	}
	if fmt.Sprint(w.prod.versions) != fmt.Sprint(w.dev.versions) || fmt.Sprint(w.prod.objects) != fmt.Sprint(w.dev.objects) {
		t.Error("production has another version, or other code")
	}
	id := behalf.EndpointID(dev["endpoint_id"])
	if e := w.prod.endpoints[id]; !auth.Matches(secret.New(token), e.TokenHash) || e.TokenHash == w.dev.endpoints[id].TokenHash {
		t.Error("production's trigger has no token of its own")
	}
	if w.prod.workflows[key(mine, behalf.WorkflowID(dev["workflow_id"]))].Folder != "notify" {
		t.Error("the folder's name was lost")
	}
	if again := deployed(t, w.call(ours, "POST", of(dev["workflow_id"], "promote"), "{}")); fmt.Sprint(again) != fmt.Sprint(want) || slices.Contains(w.prod.writes(), "PutWorkflow") {
		t.Errorf("again: %v", again)
	}
}

// Files may be other ones by now: only what development serves counts.
func TestPromoteReadsNoFiles(t *testing.T) {
	t.Parallel()
	loads := 0
	w := newWorld(t, func(_ *api.Config, d *api.Deps) {
		d.Load = func(p behalf.ProjectID, folder string, files map[string][]byte) (api.Loaded, error) {
			loads++
			return load(p, folder, files)
		}
	})
	one := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	two := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "two")))
	promote := of(one["workflow_id"], "promote")
	if got := deployed(t, w.call(ours, "POST", promote, "")); got["version"] != two["version"] {
		t.Errorf("without a version: %v", got)
	}
	got := deployed(t, w.call(ours, "POST", promote, `{"version":"`+one["version"]+`"}`))
	if e := w.prod.endpoints[behalf.EndpointID(one["endpoint_id"])]; got["version"] != one["version"] || string(e.Version) != one["version"] {
		t.Errorf("with a version: %v", got)
	}
	if e := w.dev.endpoints[behalf.EndpointID(one["endpoint_id"])]; string(e.Version) != two["version"] || loads != 2 {
		t.Errorf("development serves %s; %d loads", e.Version, loads)
	}
}

func TestPromoteRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	second := deployed(t, w.call(ours, "POST", "/v1/deploy", strings.Replace(bundle("oauth", "one"), `"notify"`, `"second"`, 1)))
	promote := of(made["workflow_id"], "promote")
	for name, c := range map[string]struct {
		a      answer
		status int
		code   string
	}{
		"an unknown workflow":              {w.call(ours, "POST", of("p_abc", "promote"), ""), 404, "not_found"},
		"what is no workflow id":           {w.call(ours, "POST", of("notify", "promote"), ""), 404, "not_found"},
		"another project's workflow":       {w.call(other, "POST", promote, ""), 404, "not_found"},
		"an unknown version":               {w.call(ours, "POST", promote, `{"version":"d_abc"}`), 404, "not_found"},
		"another workflow's version":       {w.call(ours, "POST", promote, `{"version":"`+second["version"]+`"}`), 404, "not_found"},
		"what is no version id":            {w.call(ours, "POST", promote, `{"version":"one"}`), 400, "invalid"},
		"a field that there is not":        {w.call(ours, "POST", promote, `{"environment":"production"}`), 400, "invalid"},
		"a parameter":                      {w.call(ours, "POST", promote+"?version=d_abc", ""), 400, "invalid"},
		"who may not act in production":    {w.call(developer, "POST", promote, ""), 403, "forbidden"},
		"who may not act in development":   {w.call(productive, "POST", promote, "", "X-Pd-Environment", "production"), 403, "forbidden"},
		"who may invoke and connect alone": {w.call(backend, "POST", promote, ""), 403, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flat(t, c.a, c.status, c.code)
		})
	}
	if done := w.prod.writes(); len(done) > 0 {
		t.Errorf("production was changed: %v", done)
	}
}

func TestPromoteWithoutProduction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *api.Config, d *api.Deps) { delete(d.Environments, behalf.Production) })
	made := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	flat(t, w.call(ours, "POST", of(made["workflow_id"], "promote"), ""), 400, "invalid")
}

func TestDeployAndPromoteNeedOwnAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ *api.Config, d *api.Deps) {
		d.Load = func(p behalf.ProjectID, folder string, files map[string][]byte) (api.Loaded, error) {
			loaded, err := load(p, folder, files)
			loaded.Version.Steps[0].Accounts["github"] = behalf.AccountRef{App: "github", Own: "main"}
			return loaded, err
		}
	})
	a := w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one"))
	flat(t, a, 400, "account_required")
	if a.field(t, "error") != "step summary needs account own/main of github; not found in development" || len(w.dev.writes()) > 0 {
		t.Errorf("a deploy is answered %s", a.body)
	}
	w.dev.accounts[key(mine, "apn_1")] = behalf.Account{ID: "apn_1", Project: mine, App: "github", Name: "main"}
	made := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	promote := of(made["workflow_id"], "promote")
	refused := func(why string) {
		t.Helper()
		a := w.call(ours, "POST", promote, "")
		flat(t, a, 400, "account_required")
		if a.field(t, "error") != "step summary needs account own/main of github; not found in production" || len(w.prod.writes()) > 0 {
			t.Errorf("%s: %s", why, a.body)
		}
	}
	put := func(m *memory, a behalf.Account) {
		t.Helper()
		a.Project, a.CreatedAt = mine, time.Now()
		if err := m.PutAccount(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		m.writes()
	}
	refused("development's is not production's")
	put(w.prod, behalf.Account{ID: "apn_2", App: "slack", Name: "main"})
	refused("another app's")
	put(w.prod, behalf.Account{ID: "apn_3", App: "github", Name: "main", User: "abc-123"})
	refused("a user's")
	put(w.prod, behalf.Account{ID: "apn_4", App: "github", Name: "main"})
	deployed(t, w.call(ours, "POST", promote, ""))
}

// TestPromoteIsMended breaks a promotion at each step; the same again ends where an unbroken one does.
func TestPromoteIsMended(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"PutObject", "PutVersion", "Workflow", "PutWorkflow", "Endpoint", "PutEndpoint", "Accounts"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			made := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
			w.prod.fail(method, fault.Wrap(fault.Unavailable, "store", errors.New("away")))
			flat(t, w.call(ours, "POST", of(made["workflow_id"], "promote"), ""), 503, "unavailable")
			w.prod.fail(method, nil)
			got := deployed(t, w.call(ours, "POST", of(made["workflow_id"], "promote"), ""))
			e := w.prod.endpoints[behalf.EndpointID(made["endpoint_id"])]
			if got["version"] != made["version"] || string(e.Version) != made["version"] || got["trigger_token"] == "" {
				t.Errorf("%v, endpoint %+v", got, e)
			}
		})
	}
}
