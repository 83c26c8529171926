package behalf_test

import (
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestParseVariableName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"A", "_", "STRIPE_KEY", "lower_case9", strings.Repeat("x", 64)} {
		if name, err := behalf.ParseVariableName(good); err != nil || string(name) != good {
			t.Errorf("%s: %q, %v", good, name, err)
		}
	}
	for _, bad := range []string{
		"", "9A", "A-B", "A.B", "A/B", "a b", "ä", "A\x00", "A=B", strings.Repeat("x", 65), "BEHALF_X", "behalf_x", "PIPEDREAM_X",
		"__proto__", "constructor", "prototype",
	} {
		if name, err := behalf.ParseVariableName(bad); !fault.Is(err, fault.Invalid) || name != "" {
			t.Errorf("%q: %q, %v", bad, name, err)
		}
	}
}

func TestVariablesAreKeptByName(t *testing.T) {
	t.Parallel()
	var none behalf.Variables
	list := none.With(behalf.Variable{Name: "B"}).With(behalf.Variable{Name: "C"}).With(behalf.Variable{Name: "A"})
	changed := list.With(behalf.Variable{Name: "B", Plain: true})
	if b, ok := changed.Find("B"); !ok || !b.Plain || len(changed.Variables) != 3 {
		t.Errorf("%+v", changed)
	}
	if b, _ := list.Find("B"); b.Plain {
		t.Error("the list before has changed")
	}
	if list.Variables[0].Name != "A" || list.Variables[2].Name != "C" {
		t.Errorf("%+v", list)
	}
	left := list.Without("B").Without("never")
	if _, ok := left.Find("B"); ok || len(left.Variables) != 2 || len(list.Variables) != 3 {
		t.Errorf("%+v of %+v", left, list)
	}
}
