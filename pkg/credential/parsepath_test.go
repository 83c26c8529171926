package credential_test

import (
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// everyKindOfPath is one path of each kind, and of users whose ids are hard to spell.
func everyKindOfPath(env behalf.Environment) map[credential.Path]credential.Kind {
	all := map[credential.Path]credential.Kind{
		credential.SigningKeyPath(env):                                        credential.KindSigningKey,
		credential.OAuthAppPath(env, "proj_a", "oa_1"):                        credential.KindOAuthApp,
		credential.VariablePath(env, "proj_a", "STRIPE_KEY"):                  credential.KindVariable,
		credential.VariablePath(env, "proj_a", "_oauth"):                      credential.KindVariable,
		{Environment: env, Project: "proj_a", App: "slack", Account: "apn_1"}: credential.KindAccount,
	}
	for _, user := range []behalf.ExternalUserID{
		"a", "ab", "abc", "abcd", "abcde", "_own", "_env", "_oauth", "_keys", "a/b", "..", "\u00fc", "a\u2028b",
		behalf.ExternalUserID(strings.Repeat("𝄞", 250)),
	} {
		all[credential.Path{Environment: env, Project: "proj_a", User: user, App: "slack", Account: "apn_1"}] = credential.KindAccount
	}
	return all
}

func TestEveryKeyIsReadAsThePathThatSpeltIt(t *testing.T) {
	t.Parallel()
	for _, env := range behalf.Environments() {
		for want, kind := range everyKindOfPath(env) {
			key, err := want.Key()
			if err != nil {
				t.Fatal(err)
			}
			got, err := credential.ParsePath(env, key)
			if err != nil || got != want || got.Kind() != kind {
				t.Errorf("%s is read as %s, %s: %v", key, got, got.Kind(), err)
			}
		}
	}
}

func TestWhatNoPathSpellsIsRefused(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "/", "_keys", "_keys/", "_keys/signing/", "_keys/another", "proj_a", "proj_a/_own/slack", "proj_a/_own/slack/apn_1/", "/proj_a/_own/slack/apn_1",
		"proj_a/_own//apn_1", "proj_a//slack/apn_1", "proj_a/_own/slack/1", "proj_a/_own/../apn_1", "_own/_own/slack/apn_1",
		"proj_a/c5h/slack/apn_1", // four letters are 20 bits, of which 16 are a user
		"proj_a/C5H66/slack/apn_1", "proj_a/c5h66===/slack/apn_1", "proj_a/zz/slack/apn_1", "proj_a/vv/slack/apn_1", "proj_a/c4\n/slack/apn_1",
		"proj_a/_oauth/", "proj_a/_oauth/1", "proj_a/_oauth/oa_1/x", "proj_a/x/_oauth/oa_1", "/_oauth/oa_1", "proj_a/_env/", "proj_a/_env/a-b", "proj_a/_env/BEHALF_X", "proj_a/_env/A/B", "x/_env/A",
		"proj_a/_new/x",
	} {
		if p, err := credential.ParsePath(behalf.Production, key); !fault.Is(err, fault.Invalid) || p != (credential.Path{}) {
			t.Errorf("%q is read as %s: %v", key, p, err)
		}
	}
	if _, err := credential.ParsePath("staging", "proj_a/_own/slack/apn_1"); !fault.Is(err, fault.Invalid) {
		t.Errorf("another environment: %v", err)
	}
}

// Whatever is read is spelt the same again, so no two keys are one path.
func FuzzParsePath(f *testing.F) {
	for p := range everyKindOfPath(behalf.Development) {
		key, err := p.Key()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key)
	}
	f.Add("proj_a/c5h/slack/apn_1")
	f.Fuzz(func(t *testing.T, key string) {
		p, err := credential.ParsePath(behalf.Development, key)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || p != (credential.Path{}) {
				t.Errorf("neither read nor refused: %v", err)
			}
			return
		}
		if again, err := p.Key(); err != nil || again != key {
			t.Errorf("%q is spelt %q: %v", key, again, err)
		}
	})
}

// Every path that has a key is found again by it.
func FuzzPathKey(f *testing.F) {
	f.Add("proj_a", "abc-123", "slack", "apn_1")
	f.Add("proj_a", "", "slack", "apn_1")
	f.Fuzz(func(t *testing.T, project, user, app, account string) {
		p := credential.Path{
			Environment: behalf.Production, Project: behalf.ProjectID(project), User: behalf.ExternalUserID(user),
			App: behalf.AppSlug(app), Account: behalf.AccountID(account),
		}
		key, err := p.Key()
		if err != nil {
			return
		}
		if got, err := credential.ParsePath(behalf.Production, key); err != nil || got != p {
			t.Errorf("%q is read as %s: %v", key, got, err)
		}
	})
}
