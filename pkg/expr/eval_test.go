package expr_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/expr"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// document is the steps object of the tables below.
const document = `{
	"trigger": {
		"event": {"method": "POST", "body": {
			"user": "abc-123", "big": 9007199254740993, "huge": 123456789012345678901234567890, "price": 1.50, "none": null, "yes": true, "empty": "",
			"list": [1, "two", null, [3, [4]], {"k": "v"}], "html": "\u003cb\u003e \"q\" \u00e9\/", "smile": "a\ud83d\ude00b",
			"a b": {"c-d": "spaced"}, "k\u0065y": "escaped name", "dup": 1, "dup": 2, "street": " Straße \ufeff", "csv": "a,b,,c", "json": "{\"id\": 12345678901234567890}",
			"length": "own", "__proto__": "data"
		}},
		"context": {"id": "evt_1", "external_user_id": "abc-123"}
	},
	"one": {"$return_value": {"ok": true}, "n": 12, "text": "Hi"},
	"ünï": {"x": "letters"}
}`

// eval parses props and fills them in.
func eval(tb testing.TB, props, steps string) (string, error) {
	tb.Helper()
	template, err := expr.Parse(json.RawMessage(props))
	if err != nil {
		tb.Fatal(err)
	}
	filled, err := template.Eval(json.RawMessage(steps))
	return string(filled), err
}

func marshal(tb testing.TB, v any) string {
	tb.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(doc)
}

// One expression alone gives its value with its type.
func TestWhole(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// paths
		"{{steps.trigger.event.body.user}}":              `"abc-123"`,
		"{{ steps . trigger\n.event.body.user }}":        `"abc-123"`,
		" \n{{steps.one.n}}\t ":                          `12`,
		`{{steps["one"]["n"]}}`:                          `12`,
		`{{steps['one'].n}}`:                             `12`,
		"{{steps.ünï.x}}":                                `"letters"`,
		"{{steps.one.$return_value}}":                    `{"ok":true}`,
		`{{steps.trigger.event.body["a b"]["c-d"]}}`:     `"spaced"`,
		"{{steps.trigger.event.body.key}}":               `"escaped name"`,
		"{{steps.trigger.event.body.dup}}":               `2`,
		"{{steps.trigger.event.body.length}}":            `"own"`,
		"{{steps.trigger.event.body.list[3][1][0]}}":     `4`,
		"{{steps.trigger.event.body.list[4].k}}":         `"v"`,
		"{{steps.trigger.event.body.list.length}}":       `5`,
		"{{steps.trigger.event.body.smile.length}}":      `4`,
		"{{steps.trigger.event.body.user[4]}}":           `"1"`,
		`{{steps.trigger.event.body.list["0"]}}`:         `1`,
		"{{steps.trigger.event.body.list[steps.one.m]}}": `undefined`,
		"{{steps.trigger.event.body.list[-1]}}":          `undefined`,
		"{{steps.trigger.event.body.list[1.5]}}":         `undefined`,
		"{{steps.trigger.event.body.list[99999999999]}}": `undefined`,
		"{{steps.trigger.event.body.list.first}}":        `undefined`,
		"{{steps.trigger.event.body.user.first}}":        `undefined`,
		"{{steps.one.n.first}}":                          `undefined`,
		"{{steps.one.toString}}":                         `undefined`,
		"{{steps.nope}}":                                 `undefined`,
		"{{steps.nope?.a.b.c}}":                          `undefined`,
		"{{steps?.nope?.[0].trim()}}":                    `undefined`,
		"{{steps.nope?.a[steps.nope.b]}}":                `undefined`,
		`{{steps.one[steps.trigger.event.body.none]}}`:   `undefined`,
		"{{steps.trigger.event.body.none}}":              `null`,
		"{{steps.trigger.event.body.list}}":              `[1,"two",null,[3,[4]],{"k":"v"}]`,
		"{{steps.trigger.event.body.html}}":              `"\u003cb\u003e \"q\" \u00e9\/"`,
		// numbers keep their text
		"{{steps.trigger.event.body.big}}":                      `9007199254740993`,
		"{{steps.trigger.event.body.price}}":                    `1.50`,
		"{{steps.nope ?? steps.trigger.event.body.huge}}":       `123456789012345678901234567890`,
		"{{[steps.trigger.event.body.price]}}":                  `[1.50]`,
		"{{JSON.parse(steps.trigger.event.body.json).id}}":      `12345678901234567890`,
		`{{String(steps.trigger.event.body.big)}}`:              `"9007199254740993"`,
		`{{Number("9007199254740993")}}`:                        `9007199254740993`,
		"{{steps.trigger.event.body.big === 9007199254740992}}": `false`,
		"{{12345678901234567890}}":                              `12345678901234567890`,
		"{{-0}}":                                                `-0`,
		"{{-1.5e-7}}":                                           `-1.5e-7`,
		// literals
		`{{"a\n\t\"\'\\\/\x41\u00e9\ud83d\ude00\u{1F600}"}}`: `"a\n\t\"'\\/Aé😀😀"`,
		`{{'it"s'}}`:                      `"it\"s"`,
		`{{"}}"}}`:                        `"}}"`,
		`{{"{{"}}`:                        `"{{"`,
		`{{"\ud83d"}}`:                    "\"\ufffd\"",
		"{{true}}":                        `true`,
		"{{null}}":                        `null`,
		"{{undefined}}":                   `undefined`,
		"{{[]}}":                          `[]`,
		"{{[1, 'a', undefined, [null]]}}": `[1,"a",null,[null]]`,
		`{{{}}}`:                          `{}`,
		`{{ {a: {b: 1}} }}`:               `{"a":{"b":1}}`,
		`{{{a: steps.one.n, "b c": undefined, if: 'x'}}}`: `{"a":12,"if":"x"}`,
		// operators
		"{{steps.one.n == '12'}}":                           `true`,
		"{{steps.one.n === '12'}}":                          `false`,
		"{{steps.nope == null}}":                            `true`,
		"{{steps.nope === null}}":                           `false`,
		"{{steps.nope !== undefined}}":                      `false`,
		"{{0 == ''}}":                                       `true`,
		"{{null == 0}}":                                     `false`,
		"{{true == 1}}":                                     `true`,
		"{{[1] == 1}}":                                      `true`,
		"{{[] == []}}":                                      `false`,
		"{{steps.one == steps.one}}":                        `true`,
		"{{Number('x') == Number('x')}}":                    `false`,
		"{{Number('x') != Number('x')}}":                    `true`,
		"{{1.0 === 1}}":                                     `true`,
		"{{-0 === 0}}":                                      `true`,
		"{{'10' < '9'}}":                                    `true`,
		"{{'10' < 9}}":                                      `false`,
		"{{'a' <= 'a'}}":                                    `true`,
		"{{null >= 0}}":                                     `true`,
		"{{undefined < 1}}":                                 `false`,
		"{{undefined >= 1}}":                                `false`,
		"{{'😀' < '\uffff'}}":                                `true`,
		"{{1 < 2 == true}}":                                 `true`,
		"{{'' || 0 || 'x'}}":                                `"x"`,
		"{{1 && 0 && steps.nope.x}}":                        `0`,
		"{{0 ?? 1}}":                                        `0`,
		"{{null ?? undefined ?? 3}}":                        `3`,
		"{{(null || undefined) ?? 3}}":                      `3`,
		"{{!steps.nope}}":                                   `true`,
		"{{!!steps.one.text}}":                              `true`,
		"{{!steps.one.n === false}}":                        `true`,
		"{{steps.nope ? 1 : steps.one ? 2 : 3}}":            `2`,
		"{{(steps.one.n > 10 && 'many') || 'few'}}":         `"many"`,
		"{{['a', 'Hi'].includes(steps.one.text)}}":          `true`,
		"{{steps.one.n > 10 ? steps.one.text : steps.x.y}}": `"Hi"`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, marshal(t, map[string]string{"p": text}), document)
			wanted := `{"p":` + want + `}`
			if want == "undefined" {
				wanted = "{}"
			}
			if err != nil || got != wanted {
				t.Errorf("got %s, %v; want %s", got, err, wanted)
			}
		})
	}
}

// The functions have JavaScript's meaning.
func TestFunctions(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		`String(null)`: `"null"`, `String(undefined)`: `"undefined"`, `String(true)`: `"true"`, `String({})`: `"[object Object]"`,
		`String([1, null, [2, "x"]])`: `"1,,2,x"`, `String(1e21)`: `"1e+21"`, `String(1e3)`: `"1000"`, `String(-0)`: `"0"`, `String(1.50)`: `"1.5"`,
		`String(0.0000001)`: `"1e-7"`, `String(Number("x"))`: `"NaN"`, `String(Number("-Infinity"))`: `"-Infinity"`,
		`Number("")`: `0`, `Number(" 12 ")`: `12`, `Number("007")`: `7`, `Number("1.50")`: `1.5`, `Number(".5")`: `0.5`, `Number("5.")`: `5`, `Number("+1")`: `1`,
		`Number("0x1F")`: `31`, `Number("0b11")`: `3`, `Number("0o17")`: `15`, `Number("0xg")`: `null`, `Number("0b2")`: `null`, `Number("1_000")`: `null`, `Number("inf")`: `null`,
		`Number("0x")`: `null`, `Number("-0x1")`: `null`, `Number("-")`: `null`, `Number(".")`: `null`, `Number("1e999")`: `null`, `Number(true)`: `1`, `Number(null)`: `0`,
		`Number(undefined)`: `null`, `Number([])`: `0`, `Number([7])`: `7`, `Number({})`: `null`, `Number(1.50)`: `1.50`,
		`Boolean("")`: `false`, `Boolean("0")`: `true`, `Boolean(0)`: `false`, `Boolean(0.0)`: `false`, `Boolean(Number("x"))`: `false`, `Boolean([])`: `true`, `Boolean(null)`: `false`,
		`Boolean(steps.trigger.event.body.empty)`: `false`, `Boolean(steps.one.text)`: `true`,
		`Array.isArray([])`: `true`, `Array.isArray({})`: `false`, `Array.isArray(steps.trigger.event.body.list)`: `true`,
		`JSON.stringify({a: [1, undefined], b: undefined})`: `"{\"a\":[1,null]}"`, `JSON.stringify("é\n\u2028")`: "\"\\\"é\\\\n\u2028\\\"\"",
		`JSON.stringify(steps.trigger.event.body.html)`: `"\"<b> \\\"q\\\" é/\""`, `JSON.stringify(undefined)`: `undefined`, `JSON.stringify(Number("x"))`: `"null"`,
		`JSON.stringify([1.50, -0, 12345678901234567890])`: `"[1.5,0,12345678901234567890]"`, `JSON.stringify("\x01\b\f\r")`: `"\"\\u0001\\b\\f\\r\""`,
		`JSON.parse("[1, {\"a\": null}]")`: `[1,{"a":null}]`, `JSON.parse(" 5 ")`: `5`, `JSON.parse("\"x\"")`: `"x"`, `JSON.parse(null)`: `null`, `JSON.parse(true)`: `true`,
		`encodeURIComponent("a b/é😀'(~)")`: `"a%20b%2F%C3%A9%F0%9F%98%80'(~)"`, `encodeURIComponent(1)`: `"1"`,
		`steps.trigger.event.body.street.trim()`: `"Straße"`, `steps.trigger.event.body.street.trim().toUpperCase()`: `"STRASSE"`, `"ÀB".toLowerCase()`: `"àb"`,
		`"abc".startsWith("ab")`: `true`, `"abc".startsWith("b")`: `false`, `"a1".endsWith(1)`: `true`, `"xnull".includes(null)`: `true`,
		`steps.trigger.event.body.csv.split(",")`: `["a","b","","c"]`, `"".split(",")`: `[""]`, `"".split("")`: `[]`, `"a😀".split("")`: `["a","😀"]`,
		`"a,b".split(undefined)`: `["a,b"]`, `"a1b".split(1)`: `["a","b"]`, `"a-b-c".split("-").join("+")`: `"a+b+c"`,
		`[1, 2].includes(2)`: `true`, `[1, 2].includes("2")`: `false`, `[Number("x")].includes(Number("y"))`: `true`, `[].includes(undefined)`: `false`,
		`steps.trigger.event.body.list.includes("two")`: `true`, `[undefined].includes(undefined)`: `true`,
		`"abcdef".slice(2)`: `"cdef"`, `"abcdef".slice(-2)`: `"ef"`, `"abcdef".slice(1, -1)`: `"bcde"`, `"abcdef".slice(4, 2)`: `""`, `"abc".slice()`: `"abc"`,
		`"abc".slice("1", "x")`: `""`, `"abc".slice(undefined, 2)`: `"ab"`, `"abc".slice(-99, 99)`: `"abc"`, `"abc".slice(1e99)`: `""`, `"a😀b".slice(0, 3)`: `"a😀"`,
		`"a😀b".slice(0, 2)`: "\"a\ufffd\"", `"a😀b".slice(2)`: "\"\ufffdb\"", `[1, 2, 3].slice(1)`: `[2,3]`, `steps.trigger.event.body.list.slice(0, 2)`: `[1,"two"]`,
		`[1, 2, 3].at(-1)`: `3`, `[1].at(1)`: `undefined`, `[1].at(-2)`: `undefined`, `"abc".at(-1)`: `"c"`, `"abc".at(5)`: `undefined`, `[1, 2].at("1")`: `2`, `[7].at(undefined)`: `7`,
		`[1, null, undefined, "a"].join()`: `"1,,,a"`, `[1, 2].join("")`: `"12"`, `[].join("x")`: `""`, `[1, 2].join(null)`: `"1null2"`, `steps.trigger.event.body.list.slice(0, 4).join(" ")`: `"1 two  3,4"`,
		`(1.50).toString()`: `"1.5"`, `true.toString()`: `"true"`, `[1, 2].toString()`: `"1,2"`, `steps.one.toString()`: `"[object Object]"`,
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, marshal(t, []string{"{{" + call + "}}"}), document)
			wanted := "[" + want + "]"
			if want == "undefined" {
				wanted = "[null]"
			}
			if err != nil || got != wanted {
				t.Errorf("got %s, %v; want %s", got, err, wanted)
			}
		})
	}
}

// With text around it, or another expression, everything becomes text.
func TestMixed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Hello {{steps.trigger.event.body.user}}!":                  "Hello abc-123!",
		"{{steps.one.n}}{{steps.one.text}}":                         "12Hi",
		"{{steps.one.n}} {{steps.one.n}}":                           "12 12",
		"-{{steps.nope}}{{steps.trigger.event.body.none}}-":         "--",
		"is {{steps.trigger.event.body.yes}}":                       "is true",
		"id {{steps.trigger.event.body.huge}}":                      "id 123456789012345678901234567890",
		"{{steps.trigger.event.body.price}} EUR":                    "1.5 EUR",
		"is {{steps.trigger.event.body.html}}":                      `is <b> "q" é/`,
		"{{steps.trigger.event.body.list}}.":                        `[1,"two",null,[3,[4]],{"k":"v"}].`,
		"is {{{a: steps.trigger.event.body.html}}}":                 `is {"a":"<b> \"q\" é/"}`,
		"is {{Number('x')}}":                                        "is NaN",
		"}} {{1}} } { {{'{{'}}":                                     "}} 1 } { {{",
		"line\n{{steps.one.text}}\t\"quoted\"\\":                    "line\nHi\t\"quoted\"\\",
		`SSOut/{{steps.trigger.event.body.street.trim()}}`:          "SSOut/Straße",
		"{{steps.trigger.event.body.smile.slice(1, 3)}} \U0001f600": "😀 😀",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, marshal(t, []string{text}), document)
			if wanted := []string{}; err != nil || json.Unmarshal([]byte(got), &wanted) != nil || wanted[0] != want {
				t.Errorf("got %s, %v; want %q", got, err, want)
			}
		})
	}
}

// Lists and objects are walked, keys are not evaluated, what is undefined is left out.
func TestProps(t *testing.T) {
	t.Parallel()
	for props, want := range map[string]string{
		`{"a": {"b": ["x", "{{steps.one.n}}", {"c": "{{steps.one.text}}"}]}, "d": 1.0}`: `{"a":{"b":["x",12,{"c":"Hi"}]},"d":1.0}`,
		`{"{{steps.one.n}}": "{{steps.one.n}}"}`:                                        `{"{{steps.one.n}}":12}`,
		`{"a": "{{steps.x}}", "b": "{{steps.one.n}}"}`:                                  `{"b":12}`,
		`{"a": "{{steps.one.n}}", "b": "{{steps.x}}"}`:                                  `{"a":12}`,
		`{"a": "{{steps.x}}"}`:                                                          `{}`,
		`{"a": {"b": "{{steps.x}}"}}`:                                                   `{"a":{}}`,
		`["{{steps.x}}", "{{steps.x}}"]`:                                                `[null,null]`,
		`"{{steps.x}}"`:                                                                 `null`,
		` "{{steps.one.n}}" `:                                                           `12`,
		`{"a": "\u007b{steps.one.n}}", "b": "1 \u003c {{1 \u003c 2}}"}`:                 `{"a":12,"b":"1 < true"}`,
		`{"big": 9007199254740993, "a": "{{1}}"}`:                                       `{"big":9007199254740993,"a":1}`,
		`{"a": "no { expression }} in it", "b": [{}]}`:                                  `{"a": "no { expression }} in it", "b": [{}]}`,
		``: ``,
	} {
		t.Run(props, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, props, document)
			if err != nil || got != want {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
		})
	}
}

// What goes wrong is told with the path as it was written, and without any value.
func TestFailures(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{{ steps.nope.a }}":                         "steps.nope is undefined, so steps.nope.a cannot be read; hint: write ?. where it may be missing",
		"a {{steps.trigger.event.body.none.x.y}}":    "steps.trigger.event.body.none is null, so steps.trigger.event.body.none.x cannot be read; hint: write ?. where it may be missing",
		`{{steps.one["no such"][0]}}`:                `steps.one["no such"] is undefined, so steps.one["no such"][0] cannot be read; hint: write ?. where it may be missing`,
		"{{(steps.nope?.a).b}}":                      "(steps.nope?.a) is undefined, so (steps.nope?.a).b cannot be read; hint: write ?. where it may be missing",
		"{{steps.one\n  .x\n  .y}}":                  "steps.one .x is undefined, so steps.one .x .y cannot be read; hint: write ?. where it may be missing",
		"{{steps.one.x.trim()}}":                     "steps.one.x is undefined, so steps.one.x.trim() cannot be read; hint: write ?. where it may be missing",
		"{{steps.one.n.trim()}}":                     "steps.one.n is a number, which has no .trim()",
		"{{steps.one.trim()}}":                       "steps.one is an object, which has no .trim()",
		"{{steps.one.text.join()}}":                  "steps.one.text is a text, which has no .join()",
		"{{true.includes(1)}}":                       "true is a boolean, which has no .includes()",
		"{{[].split(1)}}":                            "[] is a list, which has no .split()",
		"{{JSON.parse(steps.one.text)}}":             "JSON.parse(steps.one.text): the text is not JSON",
		"{{JSON.parse(steps.nope)}}":                 "JSON.parse(steps.nope): the text is not JSON",
		"{{JSON.parse('')}}":                         "JSON.parse(''): the text is not JSON",
		"{{'a' < steps.x.y}}":                        "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{[steps.x.y]}}":                            "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{steps.one[steps.x.y]}}":                   "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{steps.x.y ? 1 : 2}}":                      "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{steps.x.y || 2}}":                         "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{String(steps.x.y)}}":                      "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{!steps.x.y}}":                             "steps.x is undefined, so steps.x.y cannot be read; hint: write ?. where it may be missing",
		"{{'" + strings.Repeat("a", 100) + "'.a.b}}": "'" + strings.Repeat("a", 79) + "… is undefined, so '" + strings.Repeat("a", 79) + "… cannot be read; hint: write ?. where it may be missing",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, marshal(t, map[string]any{"a": []string{text}}), document)
			if got != "" || fault.Safe(err) != "prop a[0]: "+want || fault.KindOf(err) != fault.StepFailed {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
		})
	}
}

// Only what an expression reads of the document has to be JSON, and what is not is our own failure.
func TestBrokenDocuments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ steps, want string }{
		"broken where nobody looks": {`{"a": {"x": 1}, "b": {"y": [1,,nope]}}`, `[1]`},
		"broken beside it":          {`{"a": {"x": 1, "y": nope}}`, `[1]`},
		"no object":                 {`[1]`, ``},
		"nothing":                   {``, ``},
		"no end":                    {`{"a": {"x": 1}`, ``},
		"more after the end":        {`{"a": {"x": 1}} {}`, ``},
		"no colon":                  {`{"a" {"x": 1}}`, ``},
		"no value":                  {`{"a": {"x": }}`, ``},
		"no comma":                  {`{"a": {"x": 1 "y": 2}}`, ``},
		"a comma too many":          {`{"a": {"x": 1,}}`, ``},
		"a name without quotes":     {`{"a": {x: 1}}`, ``},
		"a word":                    {`{"a": {"x": nope}}`, ``},
		"half a number":             {`{"a": {"x": 1.}}`, ``},
		"a text without an end":     {`{"a": {"x": "}}`, ``},
		"a list that is none":       {`{"a": {"x": [1 2]}}`, ``},
		"an escape that is none":    {`{"a": {"x": "\q"}}`, ``},
		"brackets that cross":       {`{"a": {"x": [{]}}}`, ``},
		"only an opening":           {`{`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, `["{{steps.a.x}}"]`, c.steps)
			if c.want == "" && (got != "" || fault.KindOf(err) != fault.Internal) || c.want != got {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	template, err := expr.Parse(json.RawMessage(`{"b": "{{steps.b.x ?? steps['a b']}} {{steps.trigger.event}}", "a": ["{{[{x: steps?.['c']}, steps.b[steps.d]]}}"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(template.Steps(), "|"); got != "a b|b|c|d|trigger" {
		t.Errorf("got %s", got)
	}
}

// Props without an expression cost nothing.
func TestNoExpression(t *testing.T) {
	t.Parallel()
	props := json.RawMessage(`{"a": [1, {"b": "x"}]}`)
	template, err := expr.Parse(props)
	if err != nil || template.Steps() != nil {
		t.Fatal(err, template.Steps())
	}
	got, err := template.Eval(nil)
	if err != nil || &got[0] != &props[0] {
		t.Errorf("got a copy, or %v", err)
	}
}

// A template may be shared. The race detector has more to say.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	template, err := expr.Parse(json.RawMessage(`["{{steps.trigger.event.body.list.slice(1).join(steps.one.text)}}", "{{steps.one}} {{[1, {a: steps.one}]}}"]`))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				got, err := template.Eval(json.RawMessage(document))
				if err != nil || !strings.HasPrefix(string(got), `["twoHiHi3,4Hi[object Object]",`) {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}
