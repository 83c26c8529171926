package behalf_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestParseScopes(t *testing.T) {
	t.Parallel()
	for said, want := range map[string][]behalf.Scope{
		"":                                      nil,
		"invoke":                                {"invoke"},
		"manage invoke":                         {"invoke", "manage"},
		" invoke\tconnect  invoke ":             {"connect", "invoke"},
		"*":                                     {"connect", "invoke", "manage"},
		"connect:*":                             {"connect"},
		"connect:accounts:read connect:proxy":   {"connect"},
		"connect:workflow:invoke":               {"invoke"},
		"connect:workflow:invoke connect:users": {"connect", "invoke"},
	} {
		got, err := behalf.ParseScopes(said)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v", said, got, err)
		}
	}
	for _, said := range []string{"admin", "Invoke", "invoke,connect", "connects", "invoke root", "**"} {
		if got, err := behalf.ParseScopes(said); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is %v, %v", said, got, err)
		}
	}
}

func TestMay(t *testing.T) {
	t.Parallel()
	who := behalf.Identity{Scopes: []behalf.Scope{"invoke"}, Environments: []behalf.Environment{"development"}}
	if err := who.May(behalf.ScopeInvoke, behalf.Development); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"manage":     who.May(behalf.ScopeManage, behalf.Development),
		"production": who.May(behalf.ScopeInvoke, behalf.Production),
		"connect":    behalf.Identity{}.May(behalf.ScopeConnect, behalf.Production),
	} {
		if !fault.Is(err, fault.Forbidden) || !strings.Contains(fault.Safe(err), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 65)
	for what, c := range map[string]struct {
		parse     func(string) error
		good, bad []string
	}{
		"environment": {
			func(s string) error { _, err := behalf.ParseEnvironment(s); return err },
			[]string{"development", "production"},
			[]string{"", "Production", "staging", "production ", "dev", "production.x"},
		},
		"app": {
			func(s string) error { _, err := behalf.ParseAppSlug(s); return err },
			[]string{"slack", "google_sheets", "a-1", "1password"},
			[]string{"", "Slack", "-a", "_a", "a.b", "a b", "a/b", long, "é"},
		},
		"step": {
			func(s string) error { _, err := behalf.ParseStepName(s); return err },
			[]string{"a", "_a", "send_2", "A", "__proto__"},
			[]string{"", "2a", "a-b", "a.b", "a b", "trigger", long, "é"},
		},
		"account": {
			func(s string) error { _, err := behalf.ParseAccountRef("slack", s); return err },
			[]string{"end_user", "own/main", "own/A-1_b"},
			[]string{"", "own/", "own/a b", "own/a/b", "apn_123", "END_USER", "own/" + long},
		},
	} {
		for _, s := range c.good {
			if err := c.parse(s); err != nil {
				t.Errorf("%s refuses %q: %v", what, s, err)
			}
		}
		for _, s := range c.bad {
			if err := c.parse(s); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s takes %q: %v", what, s, err)
			}
		}
	}
}

func TestResponseBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "héllo", "\xff\x00\xfe", "\U0001F600"} {
		r := behalf.NewResponse(200, nil, []byte(body))
		if string(r.Body()) != body || (r.Binary == nil) != utf8.ValidString(body) {
			t.Errorf("%q comes back as %q", body, r.Body())
		}
	}
}

func TestFinished(t *testing.T) {
	t.Parallel()
	for state, want := range map[behalf.RunState]bool{
		behalf.StateRunning: false, behalf.StateWaiting: false, behalf.StateOK: true, behalf.StateFailed: true, behalf.StateCanceled: true, "": false,
	} {
		if state.Finished() != want {
			t.Errorf("%q is finished: %v", state, state.Finished())
		}
	}
}
