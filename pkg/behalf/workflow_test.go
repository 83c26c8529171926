package behalf_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

func TestServed(t *testing.T) {
	t.Parallel()
	// A word deploys that version; < goes back to the one before.
	for changes, want := range map[string]string{
		"a":           "a: ",
		"a b":         "b: a",
		"a b b":       "b: a",
		"a b c < <":   "a: ",
		"a b c <":     "b: a",
		"a b c < d":   "d: b c a", // c was rolled back: before d there served b
		"a b c < d <": "b: c a",
		"a b c < b":   "b: a", // what is active already is not deployed anew
		"a b a":       "a: b",
		"a b c a <":   "c: b",
	} {
		var w behalf.Workflow
		for change := range strings.FieldsSeq(changes) {
			v := behalf.VersionID(change)
			if change == "<" {
				v = w.Earlier()
			} else {
				w.Served = w.ServedWith(v)
			}
			w.Version = v
		}
		var before []string
		for _, v := range w.Served[slices.Index(w.Served, w.Version)+1:] {
			before = append(before, string(v))
		}
		if got := string(w.Version) + ": " + strings.Join(before, " "); got != want {
			t.Errorf("%s: %s, want %s", changes, got, want)
		}
	}
}

func TestServedIsBounded(t *testing.T) {
	t.Parallel()
	var w behalf.Workflow
	for i := range 100 {
		v := behalf.VersionID(fmt.Sprint(i))
		w.Served, w.Version = w.ServedWith(v), v
	}
	if len(w.Served) != 20 || w.Served[0] != "99" || w.Earlier() != "98" {
		t.Errorf("%v", w.Served)
	}
	old := behalf.Workflow{Version: "a"} // of a release without the list
	if old.Earlier() != "" || fmt.Sprint(old.ServedWith("b")) != "[b a]" || old.ServedWith("a") != nil {
		t.Errorf("%v", old.ServedWith("b"))
	}
}
