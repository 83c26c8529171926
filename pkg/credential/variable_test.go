package credential_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// names keeps the lists of names in memory.
type names struct {
	mu    sync.Mutex
	lists map[behalf.ProjectID]behalf.Variables
	rev   map[behalf.ProjectID]credential.Revision
	fail  error
}

func (n *names) VariableNames(_ context.Context, p behalf.ProjectID) (behalf.Variables, credential.Revision, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.lists[p]
	list.Project = p
	return list, n.rev[p], nil
}

func (n *names) PutVariableNames(_ context.Context, list behalf.Variables, r credential.Revision) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.fail != nil:
		return n.fail
	case r != n.rev[list.Project]:
		return fault.New(fault.Conflict, "names", "another revision")
	}
	n.lists[list.Project] = list
	n.rev[list.Project]++
	return nil
}

const team behalf.ProjectID = "proj_team"

func variables(t *testing.T) (credential.Variables, credential.Store, *names) {
	t.Helper()
	store := credentialtest.NewMemory()
	n := &names{lists: map[behalf.ProjectID]behalf.Variables{}, rev: map[behalf.ProjectID]credential.Revision{}}
	return credential.NewVariables(behalf.Development, store, n), store, n
}

func text(s string) credential.Value { return credential.Value{Text: secret.New(s)} }

func TestVariablesAreSetListedAndUnset(t *testing.T) {
	t.Parallel()
	v, store, _ := variables(t)
	ctx := t.Context()
	read := func(env behalf.Environment, p behalf.ProjectID) (string, bool, error) {
		found, err := credential.Variable(ctx, store, env, p, "KEY")
		return found.Text.Reveal(), found.Plain, err
	}
	for _, value := range []string{"one", "two"} {
		set, err := v.Set(ctx, team, "KEY", text(value))
		if err != nil || set.Name != "KEY" || set.Plain || set.UpdatedAt.IsZero() {
			t.Fatalf("%+v, %v", set, err)
		}
		if got, plain, err := read(behalf.Development, team); got != value || plain || err != nil {
			t.Errorf("it is %q, %v, %v", got, plain, err)
		}
	}
	if _, err := v.Set(ctx, team, "KEY", credential.Value{Text: secret.New("three"), Plain: true}); err != nil {
		t.Fatal(err)
	}
	if got, plain, err := read(behalf.Development, team); got != "three" || !plain || err != nil {
		t.Errorf("it is %q, %v, %v", got, plain, err)
	}
	list, err := v.List(ctx, team)
	if err != nil || len(list) != 1 || list[0].Name != "KEY" || !list[0].Plain {
		t.Errorf("%+v, %v", list, err)
	}
	for _, elsewhere := range []func() (string, bool, error){
		func() (string, bool, error) { return read(behalf.Production, team) },
		func() (string, bool, error) { return read(behalf.Development, "proj_other") },
	} {
		if got, _, err := elsewhere(); !fault.Is(err, fault.NotFound) || got != "" {
			t.Errorf("elsewhere it is %q, %v", got, err)
		}
	}
	if err := v.Unset(ctx, team, "KEY"); err != nil {
		t.Fatal(err)
	}
	if got, _, err := read(behalf.Development, team); !fault.Is(err, fault.NotFound) || got != "" {
		t.Errorf("after unset it is %q, %v", got, err)
	}
	if err := v.Unset(ctx, team, "KEY"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a second time: %v", err)
	}
}

func TestVariablesAreRefused(t *testing.T) {
	t.Parallel()
	v, _, _ := variables(t)
	for why, c := range map[string]struct {
		project behalf.ProjectID
		name    behalf.VariableName
		value   string
	}{
		"no name":       {team, "", "x"},
		"another place": {team, "../x", "x"},
		"a prototype":   {team, "__proto__", "x"},
		"no value":      {team, "KEY", ""},
		"no text":       {team, "KEY", "\xff"},
		"too much":      {team, "KEY", strings.Repeat("x", credential.MaxVariable)},
		"no project":    {"", "KEY", "x"},
	} {
		if _, err := v.Set(t.Context(), c.project, c.name, text(c.value)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := v.Set(t.Context(), team, "KEY", text(strings.Repeat("\n", credential.MaxVariable/2-2))); err != nil {
		t.Errorf("the largest: %v", err)
	}
	for i := 1; i < behalf.MaxVariables; i++ {
		if _, err := v.Set(t.Context(), team, behalf.VariableName(fmt.Sprintf("K%d", i)), text("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Set(t.Context(), team, "ONE_MORE", text("x")); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Safe(err), "256") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := v.Set(t.Context(), team, "KEY", text("changed")); err != nil {
		t.Errorf("a change of one that is there: %v", err)
	}
}

func TestVariablesSetAtOnceAreAllThere(t *testing.T) {
	t.Parallel()
	v, store, _ := variables(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			name := behalf.VariableName(fmt.Sprintf("K%d", i))
			if _, err := v.Set(t.Context(), team, name, text(string(name))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := v.List(t.Context(), team)
	if err != nil || len(list) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, variable := range list {
		if found, err := credential.Variable(t.Context(), store, behalf.Development, team, variable.Name); err != nil || found.Text.Reveal() != string(variable.Name) {
			t.Errorf("%s: %v", variable.Name, err)
		}
	}
}

func TestAValueThatASetLeftBehindCanBeUnset(t *testing.T) {
	t.Parallel()
	v, store, n := variables(t)
	n.fail = errors.New("away")
	if _, err := v.Set(t.Context(), team, "KEY", text("left")); err == nil {
		t.Fatal("it was set")
	}
	n.fail = nil
	if err := v.Unset(t.Context(), team, "KEY"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unset: %v", err)
	}
	if _, err := credential.Variable(t.Context(), store, behalf.Development, team, "KEY"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the value is still there: %v", err)
	}
}

func TestSecretsOfAValue(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{
		"just-text": 1, `{"a":"one","b":[{"c":"two"}],"n":12345678}`: 3, `{"broken`: 1, `"quoted"`: 1,
	} {
		if got := text(value).Secrets(); len(got) != want || got[0].Reveal() != value {
			t.Errorf("%s has %d secrets", value, len(got))
		}
	}
	if got := (credential.Value{Text: secret.New("plain-text"), Plain: true}).Secrets(); len(got) != 0 {
		t.Errorf("a plain value has %d secrets", len(got))
	}
}

func TestVariablePath(t *testing.T) {
	t.Parallel()
	p := credential.VariablePath(behalf.Production, team, "STRIPE_KEY")
	if key, err := p.Key(); err != nil || key != "proj_team/_env/STRIPE_KEY" || p.String() != "production/"+key || p.Name() == "" {
		t.Errorf("%q, %v", key, err)
	}
	for _, bad := range []credential.Path{
		credential.VariablePath(behalf.Production, "team", "KEY"), credential.VariablePath(behalf.Production, team, "../KEY"),
		credential.VariablePath(behalf.Production, "", "KEY"), credential.VariablePath("staging", team, "KEY"),
	} {
		if key, err := bad.Key(); !fault.Is(err, fault.Invalid) || key != "" || bad.Name() != "" {
			t.Errorf("%q, %v", key, err)
		}
	}
	if credential.VariablePath(behalf.Production, team, "KEY").Name() == credential.VariablePath(behalf.Development, team, "KEY").Name() {
		t.Error("two environments have one name")
	}
}

func ExampleVariables() {
	ctx := context.Background()
	store := credentialtest.NewMemory()
	list := &names{lists: map[behalf.ProjectID]behalf.Variables{}, rev: map[behalf.ProjectID]credential.Revision{}}
	variables := credential.NewVariables(behalf.Development, store, list)

	set, _ := variables.Set(ctx, "proj_team", "STRIPE_KEY", credential.Value{Text: secret.New("sk_live_1")})
	found, _ := credential.Variable(ctx, store, behalf.Development, "proj_team", "STRIPE_KEY")
	fmt.Println(set.Name, found.Text, found.Text.Reveal())
	// Output: STRIPE_KEY *** sk_live_1
}
