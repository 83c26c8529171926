package credential_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/credential/credentialtest"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	credentialtest.Exercise(t, func(*testing.T) credential.Store { return credentialtest.NewMemory() })
}

func TestWhatUsersGiveIsReadOrRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in, want, refused string
	}{
		"an OAuth token":           {in: `{"oauth_access_token":"a","oauth_refresh_token":"r","expires_at":"2030-01-02T03:04:05+01:00","scopes":["x","y"],"oauth_app_id":"oa_1"}`, want: "map[oauth_access_token:a] r 2030-01-02T02:04:05Z [x y] oa_1"},
		"Unix seconds and a line":  {in: `{"oauth_access_token":"a","expires_at":1893456000,"scopes":" x  y "}`, want: "map[oauth_access_token:a]  2030-01-01T00:00:00Z [x y] "},
		"the app's own fields":     {in: "  {\"api_key\":\"k\",\"subdomain\":\"\"}\n", want: "map[api_key:k subdomain:]  0001-01-01T00:00:00Z [] "},
		"nothing":                  {in: ``, refused: "must be one JSON object"},
		"an empty object":          {in: `{}`, refused: "needs oauth_access_token"},
		"only a refresh token":     {in: `{"oauth_refresh_token":"r"}`, refused: "needs oauth_access_token"},
		"a bare string":            {in: `"xoxb-canary"`, refused: "must be one JSON object"},
		"a list":                   {in: `["xoxb-canary"]`, refused: "must be one JSON object"},
		"null":                     {in: `null`, refused: "must be one JSON object"},
		"half an object":           {in: `{"oauth_access_token":"xoxb-canary"`, refused: "must be one JSON object"},
		"a raw token":              {in: `xoxb-canary`, refused: "must be one JSON object"},
		"something behind":         {in: `{"a":"xoxb-canary"} xoxb-canary`, refused: "behind the JSON object"},
		"a field twice":            {in: `{"a":"xoxb-canary","a":"xoxb-canary"}`, refused: "twice"},
		"a number":                 {in: `{"api_key":123456789}`, refused: "api_key must be a string"},
		"a null":                   {in: `{"api_key":null}`, refused: "api_key must be a string"},
		"an object inside":         {in: `{"api_key":{"x":"xoxb-canary"}}`, refused: "api_key must be a string"},
		"an empty token":           {in: `{"oauth_access_token":""}`, refused: "oauth_access_token is empty"},
		"milliseconds":             {in: `{"a":"b","expires_at":1893456000000}`, refused: "whole seconds"},
		"half a second":            {in: `{"a":"b","expires_at":1.5}`, refused: "whole seconds"},
		"a date alone":             {in: `{"a":"b","expires_at":"2030-01-01"}`, refused: "RFC 3339"},
		"no date":                  {in: `{"a":"b","expires_at":null}`, refused: "RFC 3339"},
		"scopes of numbers":        {in: `{"a":"b","scopes":[1]}`, refused: "scopes must be"},
		"the token in the name":    {in: `{"xoxb-canary secret":"b"}`, refused: "name of a field"},
		"not UTF-8":                {in: "{\"a\":\"\xff\"}", refused: "UTF-8"},
		"too much":                 {in: `{"a":"` + strings.Repeat("x", credential.MaxSize) + `"}`, refused: "64 KiB"},
		"another case of a letter": {in: `{"OAuth_Access_Token":"a"}`, want: "map[OAuth_Access_Token:a]  0001-01-01T00:00:00Z [] "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := credential.Read(strings.NewReader(c.in))
			if c.refused != "" {
				if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Safe(err), c.refused) || strings.Contains(fmt.Sprintf("%+v", err), "xoxb-canary") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text := revealed(got); text != c.want {
				t.Errorf("got  %s\nwant %s", text, c.want)
			}
		})
	}
}

func revealed(c credential.Credential) string {
	fields := map[string]string{}
	for name, value := range c.Fields {
		fields[name] = value.Reveal()
	}
	return fmt.Sprint(fields, " ", c.RefreshToken.Reveal(), " ", c.ExpiresAt.Format(time.RFC3339), " ", c.Scopes, " ", c.OAuthApp)
}

func TestACredentialPrintsAsStars(t *testing.T) {
	t.Parallel()
	c, err := credential.Parse([]byte(`{"oauth_access_token":"xoxb-canary","oauth_refresh_token":"xoxb-canary"}`))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(map[string]any{"c": c})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", c, c, c, doc); strings.Contains(text, "canary") {
		t.Error(text)
	}
	if len(c.Secrets()) != 2 {
		t.Errorf("%d secrets for the redactor", len(c.Secrets()))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"oauth_access_token":"a","expires_at":1,"scopes":"x"}`))
	f.Add([]byte(`{"a":"b"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := credential.Parse(data)
		if (err == nil) == fault.Is(err, fault.Invalid) || err == nil && len(c.Fields) == 0 {
			t.Errorf("neither read nor refused: %v", err)
		}
	})
}

func anyPath(t *rapid.T, name string) credential.Path {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "_own", "_keys", "signing", "_keys/signing", "a", "a/b", "b", "proj_a", "proj_a/x", "slack", "apn_a", "apn_b", "A", "..",
	}))
	if rapid.IntRange(0, 9).Draw(t, name+" reserved") == 0 {
		return credential.SigningKeyPath(behalf.Environment(rapid.SampledFrom([]string{"development", "production"}).Draw(t, name)))
	}
	return credential.Path{
		Environment: behalf.Environment(rapid.SampledFrom([]string{"development", "production"}).Draw(t, name+" environment")),
		Project:     behalf.ProjectID(rapid.OneOf(rapid.StringMatching(`proj_[ab]{1,2}`), text).Draw(t, name+" project")),
		User:        behalf.ExternalUserID(text.Draw(t, name+" user")),
		App:         behalf.AppSlug(rapid.OneOf(rapid.StringMatching(`[ab]{1,2}`), text).Draw(t, name+" app")),
		Account:     behalf.AccountID(rapid.OneOf(rapid.StringMatching(`apn_[ab]{1,2}`), text).Draw(t, name+" account")),
	}
}

func TestNoTwoPathsMeetAndNoneIsReserved(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyPath(t, "a"), anyPath(t, "b")
		keyA, errA := a.Key()
		keyB, errB := b.Key()
		if errA != nil || errB != nil {
			return
		}
		if a.Environment == b.Environment && (keyA == keyB) != (a == b) {
			t.Fatalf("%#v and %#v: %s and %s", a, b, keyA, keyB)
		}
		if strings.HasPrefix(keyA, "_") && a != credential.SigningKeyPath(a.Environment) {
			t.Fatalf("%#v is at a reserved place: %s", a, keyA)
		}
		if strings.EqualFold(keyA, keyB) && a.User != b.User {
			t.Fatalf("the users of %#v and %#v differ only by the case of letters", a, b)
		}
		for segment := range strings.SplitSeq(keyA, "/") {
			if segment == "" || segment == "." || segment == ".." || strings.ContainsAny(segment, "%\\ \t\n\x00*>") {
				t.Fatalf("%q has a segment that a path must not have", keyA)
			}
		}
	})
}

func ExampleParse() {
	c, err := credential.Parse([]byte(`{"oauth_access_token": "xoxb-1", "scopes": "chat:write users:read"}`))
	fmt.Println(c.AccessToken(), c.Scopes, err)

	_, err = credential.Parse([]byte(`{"oauth_access_token": 17}`))
	fmt.Println(fault.Safe(err))
	// Output:
	// *** [chat:write users:read] <nil>
	// the credential cannot be read: oauth_access_token must be a string
}

func ExamplePath_Key() {
	p := credential.Path{Environment: behalf.Development, Project: "proj_acme", User: "abc-123", App: "slack", Account: "apn_1"}
	fmt.Println(p.Key())
	p.User = ""
	fmt.Println(p.Key())
	// Output:
	// proj_acme/c5h66b9h68pg/slack/apn_1 <nil>
	// proj_acme/_own/slack/apn_1 <nil>
}
