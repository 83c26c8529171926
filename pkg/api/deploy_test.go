package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func bundle(authKind, code string) string {
	return fmt.Sprintf(`{"folder":"notify","files":{"workflow.yaml":%q,"summary.mjs":%q}}`, authKind, code)
}

func deployed(t *testing.T, a answer) map[string]string {
	t.Helper()
	var got map[string]string
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return got
}

func TestDeploy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	id := behalf.EndpointID(first["endpoint_id"])
	if _, err := behalf.ParseEndpointID(string(id)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"workflow_id": string(behalf.DerivedWorkflowID(mine, "notify")), "name": "The notify", "version": first["version"],
		"environment": "development", "endpoint_id": string(id), "url": "http://" + string(id) + ".localhost:8080",
		"path_url": "http://127.0.0.1:8080/e/" + string(id),
	}
	if fmt.Sprint(first) != fmt.Sprint(want) {
		t.Errorf("answer %v, want %v", first, want)
	}
	if got := w.dev.writes(); !slices.Equal(got, []string{"PutObject", "PutVersion", "PutWorkflow", "PutEndpoint"}) {
		t.Errorf("writes %v; what is referred to comes first", got)
	}
	e := w.dev.endpoints[id]
	if e.Version != behalf.VersionID(first["version"]) || e.Project != mine || len(e.Needs) != 1 || e.Timeout != behalf.DefaultTimeout {
		t.Errorf("endpoint %+v", e)
	}
	before := fmt.Sprint(w.dev.workflows, w.dev.revisions, w.dev.endpoints)
	if again := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one"))); fmt.Sprint(again) != fmt.Sprint(want) {
		t.Errorf("again: %v", again)
	}
	if after := fmt.Sprint(w.dev.workflows, w.dev.revisions, w.dev.endpoints); after != before {
		t.Error("the same content again changed something")
	}
	second := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "two")))
	if second["version"] == first["version"] || second["endpoint_id"] != string(id) || w.dev.endpoints[id].Version != behalf.VersionID(second["version"]) {
		t.Errorf("other content: %v", second)
	}
	back := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	if fmt.Sprint(back) != fmt.Sprint(want) {
		t.Errorf("back again: %v", back)
	}
}

func TestOneEndpointServesBothEnvironments(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]string{
		"development first": {"development", "production"}, "production first": {"production", "development"},
	} {
		w := newWorld(t)
		var ids []string
		for _, env := range order {
			got := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one"), "X-Pd-Environment", env))
			ids = append(ids, got["endpoint_id"], got["trigger_token"])
		}
		if ids[0] != ids[2] || ids[1] == ids[3] || ids[1] == "" || ids[3] == "" {
			t.Errorf("%s: %v; one endpoint, a token for each environment", name, ids)
		}
	}
}

func TestTriggerTokenIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deploy := func(kind, code string) (behalf.Endpoint, string) {
		got := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle(kind, code)))
		return w.dev.endpoints[behalf.EndpointID(got["endpoint_id"])], got["trigger_token"]
	}
	first, token := deploy("token", "one")
	if !auth.Matches(secret.New(token), first.TokenHash) || !strings.HasPrefix(token, "behalf_tt_") {
		t.Errorf("token %q, hash %s", token, first.TokenHash)
	}
	for _, code := range []string{"one", "two", "one"} {
		if e, again := deploy("token", code); again != "" || e.TokenHash != first.TokenHash {
			t.Error("a later deploy made or told a token")
		}
	}
	if e, none := deploy("oauth", "one"); none != "" || e.TokenHash != "" {
		t.Error("without auth: token there is none")
	}
	if e, fresh := deploy("token", "one"); fresh == "" || fresh == token || !auth.Matches(secret.New(fresh), e.TokenHash) {
		t.Error("with it again there is a new one")
	}
	if strings.Contains(w.log.String(), token) {
		t.Error("the token is in the log")
	}
}

// TestDeployIsMended breaks a deploy at each write; the same deploy again ends where an unbroken one does.
func TestDeployIsMended(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"PutObject", "PutVersion", "Workflow", "PutWorkflow", "Endpoint", "PutEndpoint"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.dev.fail(method, fault.Wrap(fault.Unavailable, "store", errors.New("away")))
			flat(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")), 503, "unavailable")
			w.dev.fail(method, nil)
			got := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
			e, ok := w.dev.endpoints[behalf.EndpointID(got["endpoint_id"])]
			if !ok || got["trigger_token"] == "" || string(e.Version) != got["version"] || len(w.dev.endpoints) != 1 {
				t.Errorf("%v, endpoints %v", got, w.dev.endpoints)
			}
		})
	}
}

func TestConcurrentDeploys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(ours)
	answers := make([]answer, 8)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			answers[i] = w.call("", "POST", "/v1/deploy", bundle("oauth", fmt.Sprint(i%2)), "Authorization", "Bearer "+token)
		})
	}
	group.Wait()
	ids := map[string]bool{}
	for _, a := range answers {
		switch a.status {
		case 200:
			ids[deployed(t, a)["endpoint_id"]] = true
		case 409:
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if len(ids) != 1 || len(w.dev.endpoints) != 1 {
		t.Errorf("endpoint ids %v, endpoints %d", ids, len(w.dev.endpoints))
	}
}

// TestOneTriggerToken has many deploy a workflow for the first time at once: the one token that was told is the one
// that holds.
func TestOneTriggerToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(ours)
	answers := make([]answer, 8)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			answers[i] = w.call("", "POST", "/v1/deploy", bundle("token", "one"), "Authorization", "Bearer "+token)
		})
	}
	group.Wait()
	var told []string
	for _, a := range answers {
		got := deployed(t, a)
		if got["trigger_token"] == "" {
			continue
		}
		told = append(told, got["trigger_token"])
		if !auth.Matches(secret.New(got["trigger_token"]), w.dev.endpoints[behalf.EndpointID(got["endpoint_id"])].TokenHash) {
			t.Error("a token was told that does not hold")
		}
	}
	if len(told) != 1 {
		t.Errorf("%d tokens were told", len(told))
	}
}

func TestDeployRefuses(t *testing.T) {
	t.Parallel()
	t.Run("what cannot be loaded, with every mistake", func(t *testing.T) {
		t.Parallel()
		mistakes := "notify/workflow.yaml:3: no such field; hint: steps\nnotify/workflow.yaml:7: another"
		w := newWorld(t, func(_ *api.Config, d *api.Deps) {
			d.Load = func(behalf.ProjectID, string, map[string][]byte) (api.Loaded, error) {
				return api.Loaded{}, fault.New(fault.Invalid, "deploy.Load", mistakes)
			}
		})
		a := w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one"))
		flat(t, a, 400, "invalid")
		if a.field(t, "error") != mistakes || len(w.dev.writes()) > 0 {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("a source that the store names otherwise", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(_ *api.Config, d *api.Deps) {
			d.Load = func(p behalf.ProjectID, folder string, files map[string][]byte) (api.Loaded, error) {
				loaded, err := load(p, folder, files)
				loaded.Sources["summary.mjs"] = []byte("other code than was hashed")
				return loaded, err
			}
		})
		flat(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")), 500, "internal")
		if len(w.dev.versions) > 0 || len(w.dev.workflows) > 0 {
			t.Error("a version without its code was stored")
		}
	})
}

func TestWorkflows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if a := w.call(ours, "GET", "/v1/workflows", ""); a.status != 200 || !strings.Contains(a.body, `"data":[]`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	made := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
	list := w.call(ours, "GET", "/v1/workflows", "")
	show := w.call(ours, "GET", "/v1/workflows/"+made["workflow_id"], "")
	for _, name := range []string{"workflow_id", "name", "version", "environment", "endpoint_id", "url", "path_url"} {
		if list.field(t, "data.0."+name) != made[name] || show.field(t, name) != made[name] {
			t.Errorf("%s: %s, %s", name, list.body, show.body)
		}
	}
	if show.field(t, "folder") != "notify" || strings.Contains(show.body+list.body, "token") {
		t.Errorf("%s", show.body)
	}
	if a := w.call(ours, "GET", "/v1/workflows", "", "X-Pd-Environment", "production"); !strings.Contains(a.body, `"data":[]`) {
		t.Errorf("another environment: %s", a.body)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	for links, want := range map[api.Links][2]string{
		{IngressURL: "https://run.example.com", WorkflowDomain: "wf.example.com"}: {"https://en1.wf.example.com", "https://run.example.com/e/en1"},
		{IngressURL: "http://127.0.0.1:8080/", WorkflowDomain: "localhost"}:       {"http://en1.localhost:8080", "http://127.0.0.1:8080/e/en1"},
		{IngressURL: "https://run.example.com/base"}:                              {"https://run.example.com/base/e/en1", "https://run.example.com/base/e/en1"},
		{IngressURL: "", WorkflowDomain: "wf.example.com"}:                        {"/e/en1", "/e/en1"},
		{IngressURL: "https://[::1]:8443", WorkflowDomain: "wf.example.com"}:      {"https://en1.wf.example.com:8443", "https://[::1]:8443/e/en1"},
	} {
		if got := [2]string{links.Host("en1"), links.Path("en1")}; got != want {
			t.Errorf("%+v: %v, want %v", links, got, want)
		}
	}
}
