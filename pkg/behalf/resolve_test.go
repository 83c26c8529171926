package behalf_test

import (
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	account := func(id behalf.AccountID, app behalf.AppSlug, user behalf.ExternalUserID, made int) behalf.Account {
		return behalf.Account{ID: id, Project: "proj_a", App: app, User: user, CreatedAt: day(made)}
	}
	sick := func(a behalf.Account) behalf.Account { a.State = behalf.AccountNeedsReauth; return a }
	own := func(id behalf.AccountID, name string) behalf.Account {
		a := account(id, "slack", "", 1)
		a.Name = name
		return a
	}
	foreign := account("apn_foreign", "slack", "abc", 9)
	foreign.Project = "proj_b"
	user := map[string]behalf.AccountRef{"slack": {App: "slack"}}
	mains := map[string]behalf.AccountRef{"slack": {App: "slack", Own: "main"}}

	for name, c := range map[string]struct {
		user     behalf.ExternalUserID
		named    map[behalf.AppSlug]behalf.AccountID
		refs     map[string]behalf.AccountRef
		accounts []behalf.Account
		want     behalf.AccountID
		code     behalf.Code
	}{
		"the only one":                           {user: "abc", refs: user, accounts: []behalf.Account{account("apn_1", "slack", "abc", 1)}, want: "apn_1"},
		"the newest":                             {user: "abc", refs: user, accounts: []behalf.Account{account("apn_2", "slack", "abc", 2), account("apn_1", "slack", "abc", 1)}, want: "apn_2"},
		"the newest healthy one":                 {user: "abc", refs: user, accounts: []behalf.Account{account("apn_1", "slack", "abc", 1), sick(account("apn_2", "slack", "abc", 2))}, want: "apn_1"},
		"healthy before newer, whichever first":  {user: "abc", refs: user, accounts: []behalf.Account{sick(account("apn_2", "slack", "abc", 2)), account("apn_1", "slack", "abc", 1)}, want: "apn_1"},
		"none is healthy":                        {user: "abc", refs: user, accounts: []behalf.Account{sick(account("apn_1", "slack", "abc", 1))}, code: "account_needs_reauth"},
		"the named one":                          {user: "abc", named: map[behalf.AppSlug]behalf.AccountID{"slack": "apn_1"}, refs: user, accounts: []behalf.Account{account("apn_1", "slack", "abc", 1), account("apn_2", "slack", "abc", 2)}, want: "apn_1"},
		"the named one is another user's":        {user: "abc", named: map[behalf.AppSlug]behalf.AccountID{"slack": "apn_1"}, refs: user, accounts: []behalf.Account{account("apn_1", "slack", "xyz", 1), account("apn_2", "slack", "abc", 2)}, code: "account_required"},
		"the named one is the project's own":     {user: "abc", named: map[behalf.AppSlug]behalf.AccountID{"slack": "apn_1"}, refs: user, accounts: []behalf.Account{own("apn_1", "main")}, code: "account_required"},
		"the named one is sick, another is not":  {user: "abc", named: map[behalf.AppSlug]behalf.AccountID{"slack": "apn_1"}, refs: user, accounts: []behalf.Account{sick(account("apn_1", "slack", "abc", 1)), account("apn_2", "slack", "abc", 2)}, code: "account_needs_reauth"},
		"a name for another app changes nothing": {user: "abc", named: map[behalf.AppSlug]behalf.AccountID{"github": "apn_9"}, refs: user, accounts: []behalf.Account{account("apn_1", "slack", "abc", 1)}, want: "apn_1"},
		"another user's":                         {user: "abc", refs: user, accounts: []behalf.Account{account("apn_1", "slack", "xyz", 1)}, code: "account_required"},
		"another app's":                          {user: "abc", refs: user, accounts: []behalf.Account{account("apn_1", "github", "abc", 1)}, code: "account_required"},
		"another project's":                      {user: "abc", refs: user, accounts: []behalf.Account{foreign}, code: "account_required"},
		"the project's own is no user's":         {user: "abc", refs: user, accounts: []behalf.Account{own("apn_1", "main")}, code: "account_required"},
		"nobody came":                            {refs: user, accounts: []behalf.Account{own("apn_1", "main")}, code: "external_user_required"},
		"own by name":                            {refs: mains, accounts: []behalf.Account{own("apn_1", "other"), own("apn_2", "main")}, want: "apn_2"},
		"own, whatever the event names":          {user: "abc", named: map[behalf.AppSlug]behalf.AccountID{"slack": "apn_9"}, refs: mains, accounts: []behalf.Account{own("apn_2", "main"), account("apn_9", "slack", "abc", 9)}, want: "apn_2"},
		"own is not there":                       {user: "abc", refs: mains, accounts: []behalf.Account{own("apn_1", "other"), account("apn_2", "slack", "abc", 2)}, code: "account_required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version := behalf.Version{Steps: []behalf.Step{{Name: "first"}, {Name: "send", Accounts: c.refs}}}
			event := behalf.Event{Project: "proj_a", Environment: "development", User: c.user, Origin: behalf.Origin{Accounts: c.named}}
			bindings, failure := behalf.Resolve(version, event, c.accounts)
			switch {
			case c.code == "" && (failure != nil || bindings["send"]["slack"].ID != c.want || len(bindings) != 1):
				t.Fatalf("bindings %v, failure %v", bindings, failure)
			case c.code != "" && (failure == nil || failure.Code != c.code || failure.Step != "send" || bindings != nil):
				t.Fatalf("bindings %v, failure %+v", bindings, failure)
			}
		})
	}
}

// What is missing first, in the order of the steps and then of the props, is the failure.
func TestResolveInOrder(t *testing.T) {
	t.Parallel()
	version := behalf.Version{Steps: []behalf.Step{
		{Name: "one", Accounts: map[string]behalf.AccountRef{"b": {App: "github"}, "a": {App: "slack"}}},
		{Name: "two", Accounts: map[string]behalf.AccountRef{"a": {App: "linear"}}},
	}}
	for range 20 {
		_, failure := behalf.Resolve(version, behalf.Event{User: "abc"}, nil)
		if failure == nil || failure.Step != "one" || failure.Message != behalf.FailAccountRequired("slack", "abc", "").Message {
			t.Fatalf("%+v", failure)
		}
	}
	needs := version.Needs()
	if len(needs) != 3 || needs[0].App != "slack" || needs[1].App != "github" || needs[2] != (behalf.Need{Step: "two", App: "linear"}) {
		t.Fatalf("%+v", needs)
	}
}
