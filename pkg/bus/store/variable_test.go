package store_test

import (
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestTheNamesOfVariables(t *testing.T) {
	t.Parallel()
	s := newLab(t).running(t, store.Config{})
	list := must[store.Versioned[behalf.Variables]](t)(s.Variables(t.Context(), project))
	if len(list.Value.Variables) != 0 || list.Value.Project != project || list.Revision != 0 {
		t.Errorf("of none there are %+v", list)
	}
	next := list.Value.With(behalf.Variable{Name: "KEY", Plain: true})
	revision := must[uint64](t)(s.PutVariables(t.Context(), next, list.Revision))
	_, err := s.PutVariables(t.Context(), next, list.Revision)
	wantKind(t, err, fault.Conflict)
	found := must[store.Versioned[behalf.Variables]](t)(s.Variables(t.Context(), project))
	if v, ok := found.Value.Find("KEY"); !ok || !v.Plain || found.Revision != revision || found.Value.V != behalf.FormatVersion {
		t.Errorf("found %+v", found)
	}
	if other := must[store.Versioned[behalf.Variables]](t)(s.Variables(t.Context(), "proj_other")); len(other.Value.Variables) != 0 {
		t.Errorf("another project has %+v", other)
	}
	_, err = s.Variables(t.Context(), "no project")
	wantKind(t, err, fault.Invalid)
	_, err = s.PutVariables(t.Context(), behalf.Variables{}, 0)
	wantKind(t, err, fault.Invalid)
}
