package behalf_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestWhereABrowserMayBeSent(t *testing.T) {
	t.Parallel()
	for uri, good := range map[string]struct{ here, away bool }{
		"https://app.example.com/done?x=1":     {true, true},
		"https://app.example.com:8443/":        {true, true},
		"https://[2001:db8::1]/done":           {true, true},
		"http://127.0.0.1:3000/done":           {true, false},
		"http://localhost/done":                {true, false},
		"http://[::1]:3000/":                   {true, false},
		"http://app.example.com/done":          {},
		"http://localhost.example.com/":        {},
		"http://127.0.0.1.example.com/":        {},
		"http://2130706433/":                   {},
		"//evil.example/":                      {},
		"/done":                                {},
		"app.example.com/done":                 {},
		"javascript:alert(1)":                  {},
		"data:text/html,x":                     {},
		"https:evil.example":                   {},
		"https:///evil.example":                {},
		"https://":                             {},
		"https://user@evil.example/":           {},
		"https://app.example.com@evil.com/":    {},
		`https://app.example.com\@evil.com/`:   {},
		`https:\\evil.example`:                 {},
		"https://app.example.com/#x":           {},
		"https://app.example.com/#":            {},
		"https://app.example.com:/":            {},
		"https://app.example.com:0/":           {},
		"https://app.example.com:99999/":       {},
		"https://app.example.com /":            {},
		"https://app.example.com/\r\nx: y":     {},
		" https://app.example.com/":            {},
		"https://*.example.com/":               {},
		"https://a.example;script-src/":        {},
		"https://bücher.example/":              {},
		"https://" + strings.Repeat("a", 2048): {},
	} {
		for loopback, want := range map[bool]bool{true: good.here, false: good.away} {
			for _, r := range []behalf.Return{{SuccessURI: uri}, {ErrorURI: uri}, {WebhookURI: uri}} {
				if _, err := r.Checked(loopback); (err == nil) != want || err != nil && !fault.Is(err, fault.Invalid) {
					t.Errorf("%q with loopback %v: %v", uri, loopback, err)
				}
			}
		}
	}
}

func TestOriginsAreWrittenAsBrowsersDo(t *testing.T) {
	t.Parallel()
	got, err := behalf.Return{Origins: []string{"https://App.Example.com/", "https://a.example:443", "https://a.example:8443", "http://localhost:80"}}.Checked(true)
	want := []string{"https://app.example.com", "https://a.example", "https://a.example:8443", "http://localhost"}
	if err != nil || !slices.Equal(got.Origins, want) {
		t.Errorf("%v, %v", got.Origins, err)
	}
	for _, bad := range []string{"*", "null", "", "https://*", "https://a.example/path", "https://a.example?x", "https://a.example?", "https://a.example 'unsafe-inline'", "'self'", "a.example"} {
		if _, err := (behalf.Return{Origins: []string{bad}}).Checked(true); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := (behalf.Return{Origins: slices.Repeat([]string{"https://a.example"}, 21)}).Checked(true); err == nil {
		t.Error("21 origins are taken")
	}
}

func TestAConnectTokenIsGoodUntilItIsClaimedOrEnds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	token := behalf.ConnectToken{ExpiresAt: now.Add(time.Minute)}
	if !token.Good(now) || token.Good(now.Add(time.Minute)) {
		t.Error("it does not end when it says")
	}
	for _, state := range []behalf.TokenState{behalf.TokenClaimed, behalf.TokenUsed} {
		token.Use.State = state
		if token.Good(now) {
			t.Errorf("it is good though it is %s", state)
		}
	}
}

func TestAConnectTokenStandsForItsUserUntilItIsUsedOrEnds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	token := behalf.ConnectToken{ExpiresAt: now.Add(time.Minute)}
	if !token.Stands(now) || token.Stands(now.Add(time.Minute)) {
		t.Error("it does not end when it says")
	}
	for state, want := range map[behalf.TokenState]bool{behalf.TokenClaimed: true, behalf.TokenUsed: false} {
		token.Use.State = state
		if token.Stands(now) != want {
			t.Errorf("%s: it stands is not %v", state, want)
		}
	}
}
