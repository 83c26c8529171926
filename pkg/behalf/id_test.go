package behalf_test

import (
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// badIDs is what strangers send where an id should be. None of it may become a token of a NATS subject.
func badIDs() []string {
	bad := []string{
		"", ".", "..", "a..b", ".a", "a.", "*", ">", "a.*", "a.>", "$JS.API.X", "$KV.x", "_INBOX.x", " ", "a b", "a\tb", "a\r\nPUB x", "a\x00",
		strings.Repeat("a", 4096), "\xff\xfe", "a/b", "a%2e%2eb", "%00", `a\b`, "\u202ea", "a\u200bb", "\u0430", "e\u0301", "\u00e9",
		"\U0001F600", "__proto__", "a-b", "a_b", "a=b", "a:b", "a;b", "a'b", `a"b`, "{{a}}",
	}
	for _, b := range bad[:] {
		for _, prefix := range []string{"proj_", "p_", "d_", "en", "apn_", "oac_", "run_"} {
			bad = append(bad, prefix+b)
		}
	}
	return append(bad, "constructor", "true", "null", "PROJ_a", " proj_a", "proj_a ", "proj_a\n")
}

// parsers reads an id of each type.
func parsers() map[string]func(string) (string, error) {
	return map[string]func(string) (string, error){
		"proj_": func(s string) (string, error) { id, err := behalf.ParseProjectID(s); return string(id), err },
		"p_":    func(s string) (string, error) { id, err := behalf.ParseWorkflowID(s); return string(id), err },
		"d_":    func(s string) (string, error) { id, err := behalf.ParseVersionID(s); return string(id), err },
		"en":    func(s string) (string, error) { id, err := behalf.ParseEndpointID(s); return string(id), err },
		"apn_":  func(s string) (string, error) { id, err := behalf.ParseAccountID(s); return string(id), err },
		"oac_":  func(s string) (string, error) { id, err := behalf.ParseClientID(s); return string(id), err },
		"run_":  func(s string) (string, error) { id, err := behalf.ParseRunID(s); return string(id), err },
	}
}

func TestBadIDsAreRefused(t *testing.T) {
	t.Parallel()
	for prefix, parse := range parsers() {
		for _, bad := range badIDs() {
			if _, err := parse(bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s takes %q: %v", prefix, bad, err)
			}
		}
	}
}

func isToken(s string) bool {
	return len(s) <= 64 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func TestFreshIDsAreRead(t *testing.T) {
	t.Parallel()
	made := map[string]func() string{
		"proj_": func() string { return string(behalf.NewProjectID()) },
		"en":    func() string { return string(behalf.NewEndpointID()) },
		"apn_":  func() string { return string(behalf.NewAccountID()) },
		"oac_":  func() string { return string(behalf.NewClientID()) },
		"run_":  func() string { return string(behalf.NewRunID()) },
		"p_":    func() string { return string(behalf.DerivedWorkflowID("proj_a", "folder")) },
		"d_":    func() string { return string(behalf.ContentVersionID([]byte("content"))) },
	}
	for prefix, parse := range parsers() {
		id := made[prefix]()
		got, err := parse(id)
		if err != nil || got != id || !strings.HasPrefix(id, prefix) {
			t.Errorf("%s is read as %q: %v", id, got, err)
		}
	}
	if !strings.HasPrefix(string(behalf.NewUserRecordID()), "exu_") {
		t.Error("a user record without its prefix")
	}
	if one, two := behalf.NewEndpointID(), behalf.NewEndpointID(); one == two {
		t.Error("two endpoints meet")
	}
}

func TestEndpointIDsIgnoreCase(t *testing.T) {
	t.Parallel()
	id := behalf.NewEndpointID()
	got, err := behalf.ParseEndpointID(strings.ToUpper(string(id)))
	if err != nil || got != id {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestRunIDs(t *testing.T) {
	t.Parallel()
	fresh, again := behalf.NewRunID(), behalf.NewRunID()
	if fresh.Keyed() || again <= fresh {
		t.Errorf("%s and %s", fresh, again)
	}
	keyed := behalf.KeyedRunID("a", "b")
	if !keyed.Keyed() || keyed != behalf.KeyedRunID("a", "b") {
		t.Errorf("%s is not the key's", keyed)
	}
	if _, err := behalf.ParseRunID(string(keyed)); err != nil {
		t.Error(err)
	}
	for _, other := range []behalf.RunID{behalf.KeyedRunID("ab"), behalf.KeyedRunID("a", "b", ""), behalf.KeyedRunID("b", "a"), behalf.KeyedRunID("a", "c")} {
		if other == keyed {
			t.Error("two keys meet at one run")
		}
	}
	if fresh.Event() != behalf.EventID("evt_"+string(fresh[4:])) {
		t.Errorf("the event is %s", fresh.Event())
	}
}

func TestDerivedIDs(t *testing.T) {
	t.Parallel()
	if behalf.DerivedWorkflowID("proj_a", "x") == behalf.DerivedWorkflowID("proj_b", "x") {
		t.Error("two projects share a workflow")
	}
	if behalf.NewObjectID("proj_a", []byte("x")) == behalf.NewObjectID("proj_b", []byte("x")) {
		t.Error("two projects share an object")
	}
	if one, two := behalf.NewObjectID("proj_a", []byte("x")), behalf.NewObjectID("proj_a", []byte("x")); one != two {
		t.Error("one content has two objects")
	}
}

func FuzzParseIDs(f *testing.F) {
	for _, bad := range badIDs() {
		f.Add(bad)
	}
	f.Add(string(behalf.NewRunID()))
	f.Add(string(behalf.NewEndpointID()))
	f.Fuzz(func(t *testing.T, s string) {
		for prefix, parse := range parsers() {
			got, err := parse(s)
			if err != nil {
				continue
			}
			same := got == s || prefix == "en" && got == strings.ToLower(s)
			if !same || !isToken(got) || !strings.HasPrefix(got, prefix) {
				t.Errorf("%s reads %q as %q", prefix, s, got)
			}
		}
	})
}
