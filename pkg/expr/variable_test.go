package expr_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/behalf-dev/behalf/pkg/expr"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	known := func(name string) (string, bool) {
		text, ok := map[string]string{"KEY": `a "quoted" key`, "LIST": `[1,2]`, "EMPTY": ""}[name]
		return text, ok
	}
	for props, want := range map[string]string{
		`{"a":"{{env.KEY}}"}`:                               `{"a":"a \"quoted\" key"}`,
		`{"a":"{{process.env.KEY}}"}`:                       `{"a":"a \"quoted\" key"}`,
		`{"a":"{{env['KEY']}}"}`:                            `{"a":"a \"quoted\" key"}`,
		`{"a":"Bearer {{env.KEY}}!"}`:                       `{"a":"Bearer a \"quoted\" key!"}`,
		`{"a":"{{JSON.parse(env.LIST)}}"}`:                  `{"a":[1,2]}`,
		`{"a":"{{env.EMPTY}}","b":"{{env.EMPTY || 'or'}}"}`: `{"a":"","b":"or"}`,
		`{"a":"{{env.NONE}}","b":"{{env.NONE ?? 'or'}}"}`:   `{"b":"or"}`,
		`{"a":"{{steps.trigger.event.env}}"}`:               `{"a":"of the event"}`,
		`{"a":"{{env.KEY.length}}"}`:                        `{"a":14}`,
		`{"env.KEY":"env.KEY"}`:                             `{"env.KEY":"env.KEY"}`,
	} {
		template, err := expr.Parse(json.RawMessage(props))
		if err != nil {
			t.Errorf("%s: %v", props, err)
			continue
		}
		got, err := template.EvalWith(json.RawMessage(`{"trigger":{"event":{"env":"of the event"}}}`), known)
		if err != nil || string(got) != want {
			t.Errorf("%s is %s, %v", props, got, err)
		}
	}
}

func TestTheVariablesOfATemplate(t *testing.T) {
	t.Parallel()
	template, err := expr.Parse(json.RawMessage(`{"a":"{{env.B}} {{process.env.A}}","b":["{{env.B ? env.C : steps.env.D}}"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := template.Variables(); !reflect.DeepEqual(got, []string{"A", "B", "C"}) {
		t.Errorf("variables: %q", got)
	}
	if got := template.Steps(); !reflect.DeepEqual(got, []string{"env"}) {
		t.Errorf("steps: %q", got)
	}
	if got, err := template.Eval(json.RawMessage(`{"env":{}}`)); err != nil || string(got) != `{"a":" ","b":[null]}` {
		t.Errorf("without any it is %s, %v", got, err)
	}
}
