package api_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// variable is an environment variable of the memory, with its value.
type variable struct {
	behalf.Variable

	value string
}

func (m *memory) Variables(_ context.Context, p behalf.ProjectID) ([]behalf.Variable, error) {
	err := m.enter("Variables")
	defer m.mu.Unlock()
	var list []behalf.Variable
	for k, v := range m.variables {
		if strings.HasPrefix(k, string(p)+"|") {
			list = append(list, v.Variable)
		}
	}
	slices.SortFunc(list, func(a, b behalf.Variable) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

func (m *memory) SetVariable(_ context.Context, p behalf.ProjectID, name behalf.VariableName, value secret.String, plain bool) (behalf.Variable, error) {
	err := m.enter("PutVariable")
	defer m.mu.Unlock()
	if err == nil && value.IsZero() {
		err = fault.New(fault.Invalid, "memory", "the value is empty")
	}
	v := behalf.Variable{Name: name, Plain: plain, UpdatedAt: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	if err == nil {
		m.variables[key(p, name)] = variable{v, value.Reveal()}
	}
	return v, err
}

func (m *memory) UnsetVariable(_ context.Context, p behalf.ProjectID, name behalf.VariableName) error {
	err := m.enter("DeleteVariable")
	defer m.mu.Unlock()
	if _, ok := m.variables[key(p, name)]; !ok && err == nil {
		err = missing()
	}
	delete(m.variables, key(p, name))
	return err
}

func TestVariablesAreSetAndNeverShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	call := func(method, target, body string) answer {
		return w.call(ours, method, target, body, "X-Pd-Environment", "development")
	}
	set := call("PUT", "/v1/env/STRIPE_KEY", `{"value":"sk-canary"}`)
	if set.status != http.StatusOK || !strings.Contains(set.body, `"name":"STRIPE_KEY","plain":false,"environment":"development"`) {
		t.Fatalf("%d %s", set.status, set.body)
	}
	if got := w.dev.variables[key(mine, "STRIPE_KEY")].value; got != "sk-canary" {
		t.Errorf("it is %q", got)
	}
	if a := call("PUT", "/v1/env/REGION", `{"value":"eu","plain":true}`); a.status != http.StatusOK || !strings.Contains(a.body, `"plain":true`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	list := call("GET", "/v1/env", "")
	if strings.Index(list.body, "REGION") > strings.Index(list.body, "STRIPE_KEY") || !strings.Contains(list.body, `"count":2,"end_cursor":null`) {
		t.Errorf("%s", list.body)
	}
	if strings.Contains(fmt.Sprint(set, list), "canary") {
		t.Error("the value is shown")
	}
	flat(t, call("PUT", "/v1/env/BEHALF_KEY", `{"value":"x"}`), 400, "invalid")
	flat(t, call("PUT", "/v1/env/A-B", `{"value":"x"}`), 400, "invalid")
	flat(t, call("PUT", "/v1/env/KEY", `{"value":""}`), 400, "invalid")
	flat(t, call("PUT", "/v1/env/KEY", `{"value":7}`), 400, "invalid")
	flat(t, call("DELETE", "/v1/env/A-B", ""), 404, "not_found")
	flat(t, call("DELETE", "/v1/env/NONE", ""), 404, "not_found")
	if a := call("DELETE", "/v1/env/STRIPE_KEY", ""); a.status != http.StatusNoContent {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A version that needs environment variables is deployed where they are, and nowhere else.
func TestADeployNeedsItsVariables(t *testing.T) {
	t.Parallel()
	m, prod := newMemory(), newMemory()
	version := behalf.Version{
		V: behalf.FormatVersion, ID: "d_1", Project: mine, Workflow: "p_1", Name: "needs",
		Trigger: behalf.Trigger{Auth: behalf.AuthOAuth},
		Steps:   []behalf.Step{{Name: "one", Uses: "x@1", Variables: []behalf.VariableName{"A", "B"}}, {Name: "two", Uses: "x@1", Variables: []behalf.VariableName{"B", "C"}}},
	}
	d := api.NewDeployer(api.Links{}, map[behalf.Environment]api.Env{behalf.Development: m.env(), behalf.Production: prod.env()},
		func(behalf.ProjectID, string, map[string][]byte) (api.Loaded, error) {
			return api.Loaded{Version: version}, nil
		})
	refused := func(err error, want string) {
		t.Helper()
		if !fault.Is(err, fault.Invalid) || fault.Safe(err) != want || fault.CodeOf(err) != api.CodeVariableRequired {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	put := func(m *memory, names ...behalf.VariableName) {
		for _, name := range names {
			if _, err := m.SetVariable(t.Context(), mine, name, secret.New("x"), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	deploy := func() error {
		_, err := d.Deploy(t.Context(), behalf.Development, mine, api.Bundle{Folder: "needs"})
		return err
	}
	put(m, "A")
	refused(deploy(), "step one needs the environment variable B; step two needs the environment variable C; not set in development")
	if len(m.versions)+len(m.workflows) > 0 {
		t.Error("something was stored")
	}
	put(m, "B", "C")
	if err := deploy(); err != nil {
		t.Fatal(err)
	}
	put(prod, "A", "B")
	promote := func() error {
		_, err := d.Promote(t.Context(), mine, "p_1", "")
		return err
	}
	refused(promote(), "step two needs the environment variable C; not set in production")
	put(prod, "C")
	if err := promote(); err != nil {
		t.Error(err)
	}
}
