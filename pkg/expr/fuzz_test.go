package expr_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/expr"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// seeds are expressions of every sort, good and bad.
func seeds() []string {
	return []string{
		"steps.trigger.event.body.user", `steps["a b"]?.['c'][0].length`, "steps.a ?? steps.b?.c ?? 'none'", "!steps.a.b && (1 <= 2 || null)",
		"steps.a.x ? [1, 'b', {c: -1.5e3}] : undefined", `"\u00e9\x41\n😀".slice(-2, 1).at(0)`, "steps.a.list.join(', ').toUpperCase()", "[steps.a].includes(steps.a)",
		"JSON.parse(steps.a.json).id === Number('12345678901234567890')", "JSON.stringify({a: steps.a})", "encodeURIComponent(String(steps.a.list)).split('%').toString()",
		"steps.a.list[steps.a.n] == '2'", "Boolean(steps.a.e.trim().startsWith(''))", "Array.isArray(steps.a.list.slice(1))", "'{{' < '}}'", "{a: {}}",
		"steps.a + 1", "new Date()", "process.env.X", "steps.a.constructor", "`${1}`", "steps", "'", "((((", "1.", "x => x", "a ?? b || c", "steps.a.map(x)", "", "\x00\u2028",
	}
}

// Whatever somebody writes, it is refused with a place in it, or it is a template that evaluates to JSON.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(`{"p": ` + marshal(f, "{{"+seed+"}}") + `, "q": [` + marshal(f, "a {{ "+seed+" }} {{1}} b") + `]}`)
	}
	f.Add(`{"a": "\u007b\u007bsteps.a}}", "a": [], "b": 1e999}`)
	f.Add(strings.Repeat("[", 300) + strings.Repeat("]", 300))
	f.Fuzz(func(t *testing.T, props string) {
		template, err := expr.Parse(json.RawMessage(props))
		if err != nil {
			checkMistakes(t, props, err)
			return
		}
		if names := template.Steps(); !slices.IsSorted(names) || slices.Contains(names, "constructor") {
			t.Errorf("the steps are %q", names)
		}
		filled, err := template.Eval(json.RawMessage(`{}`))
		checkResult(t, filled, err, props != "")
		if !strings.Contains(props, `{{`) && !strings.Contains(strings.ToLower(props), `\u007b`) && string(filled) != props {
			t.Errorf("%q without an expression became %q", props, filled)
		}
	})
}

func checkMistakes(t *testing.T, props string, err error) {
	t.Helper()
	var mistakes expr.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) == 0 || fault.KindOf(err) != fault.Invalid || !utf8.ValidString(fault.Safe(err)) {
		t.Fatalf("the error is %#v", err)
	}
	for _, m := range mistakes {
		if m.What == "" || m.Line < 0 || m.Column < 0 || m.Line > len(props) || m.Column > len(props)+1 {
			t.Errorf("a mistake is %#v", m)
		}
	}
}

func checkResult(t *testing.T, filled []byte, err error, some bool) {
	t.Helper()
	switch {
	case err != nil && !fault.Is(err, fault.StepFailed):
		t.Errorf("the error is of kind %v: %v", fault.KindOf(err), err)
	case err == nil && some && (!json.Valid(filled) || len(filled) > expr.MaxProps):
		t.Errorf("the result of %d bytes is no JSON: %.200q", len(filled), filled)
	}
}

// Whatever the document is, the result is JSON within its limit, and a path reads what encoding/json would.
func FuzzEval(f *testing.F) {
	for _, seed := range seeds() {
		f.Add("{{"+seed+"}}", `{"trigger": {"event": {"body": {"user": "u"}}}, "a": {"list": [1, "2", null, [3]], "n": 1, "e": "", "json": "{\"id\": 12345678901234567890}", "x": true, "b": 1.50}}`)
		f.Add("a {{"+seed+"}}\n{{steps.a}}", `{"a": {"\u0061b": "\ud83d\ude00 \ud83d", "e": " \u00a0x", "n": -0}, "a b": {"c": ["xy"]}, "a": {"b": {}}}`)
	}
	f.Add("{{steps.a.b}}", `{"a": [1,,}`)
	f.Fuzz(func(t *testing.T, text, steps string) {
		doc := json.RawMessage(steps)
		var object map[string]any
		valid := json.Unmarshal(doc, &object) == nil && object != nil
		checkPath(t, doc, object, valid)
		template, err := expr.Parse(json.RawMessage(marshal(t, []string{text})))
		if err != nil {
			return
		}
		filled, err := template.Eval(doc)
		if valid || !fault.Is(err, fault.Internal) {
			checkResult(t, filled, err, true)
		}
		again, secondErr := template.Eval(doc)
		if string(again) != string(filled) || (err == nil) != (secondErr == nil) {
			t.Errorf("%q, then %q: %v, then %v", filled, again, err, secondErr)
		}
	})
}

// checkPath compares steps.a?.b with what encoding/json finds there.
func checkPath(t *testing.T, doc json.RawMessage, object map[string]any, valid bool) {
	t.Helper()
	template, err := expr.Parse(json.RawMessage(`["{{steps.a?.b}}"]`))
	if err != nil {
		t.Fatal(err)
	}
	filled, err := template.Eval(doc)
	if !valid || err != nil && fault.Is(err, fault.StepFailed) { // too large
		return
	}
	var got, want []any
	inner, _ := object["a"].(map[string]any)
	if json.Unmarshal(filled, &got) != nil || json.Unmarshal([]byte(marshal(t, []any{inner["b"]})), &want) != nil || marshal(t, got) != marshal(t, want) {
		t.Errorf("got %s, %v; want %v", filled, err, want)
	}
}
