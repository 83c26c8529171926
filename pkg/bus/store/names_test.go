package store_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus/store"
)

// searched lists all users of a search, page by page.
func searched(t *testing.T, s *store.Store, of behalf.ProjectID, text string) []string {
	t.Helper()
	var all []string
	for after := uint64(0); ; {
		page := must[store.UserPage](t)(s.Users(t.Context(), of, text, after, 7))
		for _, u := range page.Users {
			if u.Project != of {
				t.Errorf("%s is of %s", u.External, u.Project)
			}
			all = append(all, string(u.External))
		}
		if after = page.Next; after == 0 {
			return all
		}
	}
}

// TestASearchFindsPartsOfIDs asks a store that holds the ids, one that has room for one project's only, and one that has
// room for none: all tell the same, and what has just changed.
func TestASearchFindsPartsOfIDs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	writer := l.store(t, store.Config{})
	stores := map[string]*store.Store{
		"with room": l.store(t, store.Config{}), "with little": l.store(t, store.Config{RememberNames: 45}), "with none": l.store(t, store.Config{RememberNames: 1}),
	}
	var ids []string
	for i := range 40 {
		id := fmt.Sprintf("Jane.%02d@Example.org", i)
		ids = append(ids, id)
		must[behalf.ExternalUser](t)(writer.EnsureUser(t.Context(), project, behalf.ExternalUserID(id)))
	}
	const other behalf.ProjectID = "proj_other"
	for _, id := range []string{"jane.07@elsewhere", "jörg", "JÖRG-2", "x"} {
		must[behalf.ExternalUser](t)(writer.EnsureUser(t.Context(), other, behalf.ExternalUserID(id)))
	}
	want := func(of behalf.ProjectID, text string, want ...string) {
		t.Helper()
		for name, s := range stores {
			if got := searched(t, s, of, text); !slices.Equal(got, want) {
				t.Errorf("%s: %q finds %q, want %q", name, text, got, want)
			}
		}
	}

	want(project, "jane", ids...)
	want(project, "e.07@EX", ids[7])
	want(other, "jö", "jörg", "JÖRG-2")
	want(other, "07@", "jane.07@elsewhere")
	want(project, "elsewhere")
	want("proj_nobody", "a")

	must[behalf.ExternalUser](t)(writer.ConfigureUser(t.Context(), project, behalf.ExternalUserID(ids[3]), map[string]json.RawMessage{"a": json.RawMessage("1")}))
	must[[]behalf.Account](t)(writer.DeleteUser(t.Context(), project, behalf.ExternalUserID(ids[5])))
	must[behalf.ExternalUser](t)(writer.EnsureUser(t.Context(), project, "late jane"))
	left := slices.Delete(slices.Clone(ids), 5, 6)
	left = append(slices.Delete(left, 3, 4), ids[3], "late jane")
	want(project, "jane", left...)

	for range 100 { // many changes of one
		must[behalf.ExternalUser](t)(writer.ConfigureUser(t.Context(), project, "late jane", map[string]json.RawMessage{"a": json.RawMessage("2")}))
	}
	want(project, "late", "late jane")
}
