package action_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func standardApps(tb testing.TB) app.Catalog {
	tb.Helper()
	apps, err := app.Load(configs.Apps())
	if err != nil {
		tb.Fatal(err)
	}
	return apps
}

func standard(tb testing.TB) action.Catalog {
	tb.Helper()
	actions, err := action.Standard(standardApps(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return actions
}

func find(tb testing.TB, actions action.Catalog, ref string) *action.Action {
	tb.Helper()
	a, err := actions.Find(ref)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func TestEveryFileIsAnAction(t *testing.T) {
	t.Parallel()
	var refs []string
	for _, a := range standard(t).List() {
		refs = append(refs, a.Ref())
		if a.Name == "" || a.Description == "" || a.Docs == "" || a.Repeat == "" || a.App != "" && a.App != "openai" && len(a.Scopes) == 0 {
			t.Errorf("%s lacks something: %+v", a.Ref(), a)
		}
	}
	want := []string{
		"github-create-issue@1", "google_sheets-add-row@1", "http-request@1", "hubspot-add-contact-to-list@1", "openai-chat@1",
		"return-http-response@1", "slack-send-message@1",
	}
	entries, err := fs.ReadDir(configs.Actions(), ".")
	if err != nil || len(entries) != len(want) || !slices.Equal(refs, want) {
		t.Errorf("%d files make %v, %v", len(entries), refs, err)
	}
}

// What an action needs must be among what its app asks for, or nobody's account can ever do it.
func TestTheScopesOfAnActionAreAskedFor(t *testing.T) {
	t.Parallel()
	apps := standardApps(t)
	for _, a := range standard(t).List() {
		of, _ := apps.App(a.App)
		for _, scope := range a.Scopes {
			if !slices.Contains(of.Auth.Scopes, scope) {
				t.Errorf("%s needs %s, and %s asks for %v", a.Ref(), scope, a.App, of.Auth.Scopes)
			}
		}
	}
}

func TestFindSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	actions := standard(t)
	for uses, want := range map[string]string{
		"slack-send-message":        "an action is named with its major version: write slack-send-message@1",
		"slack-send-message@0.0.12": "an action is named with its major version: write slack-send-message@1",
		"slack-send-message@9":      "there is no version 9 of slack-send-message; write slack-send-message@1",
		"slack-send@1": `there is no action "slack-send"; there are github-create-issue, google_sheets-add-row, http-request, ` +
			"hubspot-add-contact-to-list, openai-chat, return-http-response, slack-send-message",
	} {
		if _, err := actions.Find(uses); err == nil || fault.Safe(err) != want {
			t.Errorf("%s: %v", uses, err)
		}
	}
}

func TestEveryMistakeOfEveryFileIsToldAtOnce(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"README.md": {Data: []byte("not an action")},
		"a@1.yaml": {Data: []byte(`key: A b
version: 0
name: 1
docs: http://x
app: nobody
extra: 1
`)},
		"b@1.yaml": {Data: []byte(`key: b
version: 1
name: B
description: B
docs: https://b.example
repeat: B
app: postgresql
any_app: true
props:
  one: { type: text, description: 1st, pattern: "(" }
  two: { type: integer, description: "", default: x, required: true, aliases: [one, answer] }
  run: { type: any, description: x }
lookups:
  - { name: one, url: nowhere, unless_integer: six }
request:
  method: "{nothing}"
  url: "{one}/x"
  body: ["{two", { $if: seven, a: "{one|eight.x}" }]
answer: { as: xml, exports: [cookies], summary: "{answer.ok} {nine}" }
errors: {}
`)},
		"c@1.yaml": {Data: []byte(`key: c
version: 2
name: C
description: C
docs: https://c.example
repeat: C
props: { one: { type: string, description: x } }
respond: { status: 200 }
errors: { message: [] }
`)},
		"d@1.yaml": {Data: []byte("key: d\nversion: 1\nname: D\ndescription: D\ndocs: https://d.example\nrepeat: D\n")},
	}
	_, err := action.Load(files, standardApps(t))
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	want := `a@1.yaml:1: a key must be lower-case words with - between them; hint: write key: slack-send-message
a@1.yaml:1: description is missing; hint: write description: and what it does
a@1.yaml:1: repeat is missing; hint: write repeat: and what a second call does
a@1.yaml:1: an action has either a request or a respond; hint: write request: { method: …, url: … }
a@1.yaml:2: version must be from 1 to 1000
a@1.yaml:3: name must be a text, not a number
a@1.yaml:4: this is no https URL; hint: write https://…
a@1.yaml:5: there is no app nobody; hint: write a file for it in configs/apps
a@1.yaml:6: there is no field "extra" here; hint: write answer, any_app, app, description, docs, errors, key, lookups, name, props, repeat, request, respond, scopes or version
b@1.yaml:7: postgresql has no HTTP API
b@1.yaml:9: nothing uses the prop two; hint: write {two} where it goes
b@1.yaml:9: nothing uses the prop run; hint: write {run} where it goes
b@1.yaml:10: there is no such type of a prop; hint: write any, array, boolean, integer, number, object, string or string[]
b@1.yaml:10: this is no pattern; hint: write a regular expression of Go's regexp
b@1.yaml:11: the default must be a whole number, not a text
b@1.yaml:11: a prop with a default is not required; hint: leave one of them out
b@1.yaml:11: a prop cannot be called one here; hint: write another name: a letter, then letters, digits and _, and each name once
b@1.yaml:11: a prop cannot be called answer here; hint: write another name: a letter, then letters, digits and _, and each name once
b@1.yaml:12: a prop cannot be called run here; hint: write another name: a letter, then letters, digits and _, and each name once
b@1.yaml:14: this is no path below the app's address; hint: write url: /path
b@1.yaml:14: nothing is called "six" here; hint: write $idempotency_key, $run, one, run or two
b@1.yaml:14: there is something called one already; hint: give it another name
b@1.yaml:16: nothing is called "nothing" here; hint: write $idempotency_key, $run, one, run or two
b@1.yaml:17: this is no path below the app's address; hint: write url: /path
b@1.yaml:18: there is a { without its }; hint: write {name} for a prop, or for what a lookup answered
b@1.yaml:18: nothing is called "eight" here; hint: write $idempotency_key, $run, one, run or two
b@1.yaml:18: nothing is called "seven" here; hint: write $idempotency_key, $run, one, run or two
b@1.yaml:19: this word is not known here; hint: write as: json or as: any
b@1.yaml:19: there is no cookies to export; hint: write exports: [status, headers]
b@1.yaml:19: nothing is called "nine" here; hint: write $idempotency_key, $run, answer, one, run or two
b@1.yaml:20: errors.message is missing; hint: write message: and the places of it in an answer
c@1.yaml:1: the file is not called after its key and version; hint: rename it to c@2.yaml
c@1.yaml:7: nothing uses the prop one; hint: write {one} where it goes
c@1.yaml:8: respond.headers is missing; hint: write status: "{status}", headers: "{headers}" and body: "{body}"
c@1.yaml:8: respond.body is missing; hint: write status: "{status}", headers: "{headers}" and body: "{body}"
c@1.yaml:9: errors is for a request; hint: leave it out
d@1.yaml:1: an action has either a request or a respond; hint: write request: { method: …, url: … }`
	if err.Error() != want {
		t.Errorf("got\n%v", err)
	}
}

type brokenFS struct{ fstest.MapFS }

func (brokenFS) ReadFile(string) ([]byte, error) { return nil, errors.New("disk on fire") }

func TestAFolderThatCannotBeReadIsUnavailable(t *testing.T) {
	t.Parallel()
	if _, err := action.Load(brokenFS{fstest.MapFS{"a@1.yaml": {}}}, standardApps(t)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}
