package action_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// A service that refuses the token is asked once more with another, and not a third time.
func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	const props = `{"channel": "#general", "text": "Hello"}`
	refuses := says(http.StatusUnauthorized, `{"ok":false,"error":"token_expired `+canary+`"}`)
	takes := says(http.StatusOK, `{"ok":true,"channel":"C1","echo":"renewed-canary-7f3a91c2"}`)
	renewed := func(context.Context, string) (map[string]secret.String, error) {
		return map[string]secret.String{"oauth_access_token": secret.New("renewed-canary-7f3a91c2")}, nil
	}
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		renew   func(context.Context, string) (map[string]secret.String, error)
		calls   int
		ok      bool
	}{
		"and taken":                  {[]http.HandlerFunc{refuses, takes}, renewed, 2, true},
		"and refused again":          {[]http.HandlerFunc{refuses, refuses, takes}, renewed, 2, false},
		"where there is no other":    {[]http.HandlerFunc{refuses, takes}, noOther, 1, false},
		"where nobody can renew it":  {[]http.HandlerFunc{refuses, takes}, nil, 1, false},
		"but not for another status": {[]http.HandlerFunc{says(http.StatusForbidden, `{}`), takes}, renewed, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, c.answers...)
			call := v.call(v.action(t, "slack-send-message@1"), props)
			asked := 0
			if c.renew != nil {
				call.Renew = func(ctx context.Context, prop string) (map[string]secret.String, error) {
					asked++
					if prop != "slack" {
						t.Errorf("the prop is %q", prop)
					}
					return c.renew(ctx, prop)
				}
			}
			outcome := run(t, v.action(t, "slack-send-message@1"), call)
			got := v.requests()
			if len(got) != c.calls || (outcome.Err == nil) != c.ok || asked > 1 {
				t.Fatalf("%d calls, renewed %d times: %+v", len(got), asked, outcome.Err)
			}
			for i, r := range got {
				want := "Bearer " + []string{canary, "renewed-canary-7f3a91c2"}[i]
				if r.header.Get("Authorization") != want || r.body != got[0].body {
					t.Errorf("call %d has %q and %s", i, r.header.Get("Authorization"), r.body)
				}
			}
		})
	}
}

func noOther(context.Context, string) (map[string]secret.String, error) {
	return nil, fault.New(fault.Invalid, "test", "there is no other")
}
