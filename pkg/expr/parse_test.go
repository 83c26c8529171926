package expr_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/expr"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// What is not of the language is refused when it is parsed: where, what was found, what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	const (
		calculate = "expressions do not calculate, and have no regular expressions; use a code step for it"
		code      = "use a code step for it"
		plain     = "write it in plain decimal digits"
		alone     = "steps stands here without the name of a step"
		ofTrigger = "write steps.trigger.event or steps.trigger.context"
		notHere   = " is not part of the expressions here"
		noProto   = " cannot be read in an expression"
	)
	for text, want := range map[string]struct {
		column int
		what   string
		hint   string // the beginning of it
	}{
		// signs and words of JavaScript that are none of ours
		"{{steps.a + 1}}":          {11, `"+"` + notHere, "put texts side by side, as in {{a}} {{b}}; to add numbers use a code step"},
		"{{steps.a - 1}}":          {11, `"-"` + notHere, calculate},
		"{{-steps.a}}":             {3, `"-"` + notHere, calculate},
		"{{-1.5.toString()}}":      {7, `found "." where }} belongs`, ""},
		"{{+steps.a}}":             {3, `"+"` + notHere, "put texts"},
		"{{--steps.a}}":            {3, `"--"` + notHere, calculate},
		"{{steps.a * 2}}":          {11, `"*"` + notHere, calculate},
		"{{steps.a ** 2}}":         {11, `"**"` + notHere, calculate},
		"{{steps.a % 2}}":          {11, `"%"` + notHere, calculate},
		"{{/a/.test(steps.a)}}":    {3, `"/"` + notHere, calculate},
		"{{steps.a = 1}}":          {11, `"="` + notHere, "nothing can be assigned; to compare write =="},
		"{{steps.a ??= 1}}":        {11, `"??="` + notHere, "nothing can be assigned"},
		"{{steps.a++}}":            {10, `"++"` + notHere, calculate},
		"{{`a`}}":                  {3, "\"`\"" + notHere, "write the text around the braces"},
		"{{steps.a & 1}}":          {11, `"&"` + notHere, code},
		"{{~1}}":                   {3, `"~"` + notHere, code},
		"{{1 >>> 2}}":              {5, `">>>"` + notHere, code},
		"{{[...steps.a]}}":         {4, `"..."` + notHere, code},
		"{{1; 2}}":                 {4, `";"` + notHere, code},
		"{{#if steps.a}}":          {3, `"#"` + notHere, code},
		"{{x => 1}}":               {3, `there is no "x" in expressions`, "write steps.NAME…, a literal"},
		"{{steps.a => 1}}":         {11, `"=>"` + notHere, code},
		"{{new Date()}}":           {3, `"new"` + notHere, code},
		"{{this.a}}":               {3, `"this"` + notHere, code},
		"{{typeof steps.a}}":       {3, `"typeof"` + notHere, code},
		"{{function () {}}}":       {3, `"function"` + notHere, code},
		"{{await steps.a}}":        {3, `"await"` + notHere, code},
		"{{'a' in steps.a}}":       {7, `"in"` + notHere, code},
		"{{steps.a instanceof x}}": {11, `"instanceof"` + notHere, code},
		"{{return 1}}":             {3, `"return"` + notHere, code},
		// names
		"{{auths.slack.token}}":         {3, `there is no "auths" in expressions`, "give the step an account by `account: end_user`"},
		"{{env}}":                       {3, "env stands here without the name of an environment variable", "write env.NAME"},
		"{{env?.KEY}}":                  {3, "env stands here without the name of an environment variable", "write env.NAME"},
		"{{env[steps.a]}}":              {3, "env stands here without the name of an environment variable", "write env.NAME"},
		"{{process.env}}":               {3, "env stands here without the name of an environment variable", "write env.NAME"},
		"{{process}}":                   {3, "of process there is only env in expressions", "write env.NAME"},
		"{{process.exit()}}":            {3, "of process there is only env in expressions", "write env.NAME"},
		"{{env.__proto__}}":             {7, "__proto__" + noProto, code},
		"{{event.body}}":                {3, `there is no "event" in expressions`, ofTrigger},
		"{{$.context}}":                 {3, `there is no "$" in expressions`, ofTrigger},
		"{{trigger.event}}":             {3, `there is no "trigger" in expressions`, ofTrigger},
		"{{Date.now()}}":                {3, `there is no "Date" in expressions`, "write steps.NAME…, a literal, or one of the functions String() Number()"},
		"{{globalThis}}":                {3, `there is no "globalThis" in expressions`, "write steps.NAME…"},
		"{{NaN}}":                       {3, `there is no "NaN" in expressions`, "write steps.NAME…"},
		"{{String}}":                    {3, `there is no "String" in expressions`, "write steps.NAME…"},
		"{{JSON}}":                      {3, `there is no "JSON" in expressions`, "write steps.NAME…"},
		"{{JSON.rawJSON('1')}}":         {3, `there is no "JSON.rawJSON" in expressions`, "write steps.NAME…"},
		"{{Array.from('1')}}":           {3, `there is no "Array.from" in expressions`, "write steps.NAME…"},
		"{{Object.keys({})}}":           {3, `there is no "Object" in expressions`, "write steps.NAME…"},
		"{{steps.constructor}}":         {9, "constructor" + noProto, code},
		"{{steps.a.constructor}}":       {11, "constructor" + noProto, code},
		"{{steps.a['constructor']}}":    {11, "constructor" + noProto, code},
		`{{steps.a["__pr\u006fto__"]}}`: {11, "__proto__" + noProto, code},
		"{{steps['__proto__'].x}}":      {9, "__proto__" + noProto, code},
		"{{steps.a?.prototype}}":        {12, "prototype" + noProto, code},
		"{{{__proto__: 1}}}":            {4, "__proto__" + noProto, code},
		"{{steps.a.constructor('x')}}":  {11, "there is no function .constructor() in expressions", "the functions are"},
		"{{steps}}":                     {3, alone, "write steps.NAME, or steps.trigger.event"},
		"{{JSON.stringify(steps)}}":     {18, alone, "write steps.NAME"},
		"{{steps[steps.a]}}":            {3, alone, "write steps.NAME"},
		"{{steps[0]}}":                  {3, alone, "write steps.NAME"},
		"{{steps.}}":                    {3, alone, "write steps.NAME"},
		"{{steps?.}}":                   {3, alone, "write steps.NAME"},
		"{{steps.trigger.body}}":        {16, "steps.trigger has no .body", ofTrigger},
		"{{steps.trigger?.['x'].y}}":    {16, "steps.trigger has no ?.['x']", ofTrigger},
		// functions
		"{{steps.a.replace('a', 'b')}}": {11, "there is no function .replace() in expressions", `write .split("old").join("new"), or use a code step for it`},
		"{{steps.a.map(x)}}":            {11, "there is no function .map() in expressions", "the functions are String() "},
		"{{steps.a.hasOwnProperty(1)}}": {11, "there is no function .hasOwnProperty() in expressions", "the functions are"},
		"{{steps.a()}}":                 {10, "a call needs the name of a function before it", "the functions are"},
		"{{steps.a['trim']()}}":         {18, "a call needs the name of a function before it", "the functions are"},
		"{{steps.a.trim?.()}}":          {17, "a call needs the name of a function before it", "the functions are"},
		"{{(steps.a)(1)}}":              {12, "a call needs the name of a function before it", "the functions are"},
		"{{String()}}":                  {3, "String() takes 1 argument, not 0", ""},
		"{{JSON.stringify(1, null)}}":   {3, "JSON.stringify() takes 1 argument, not 2", ""},
		"{{steps.a.trim(1)}}":           {11, "trim() takes no argument, not 1", ""},
		"{{steps.a.slice(1, 2, 3)}}":    {11, "slice() takes from 0 to 2 arguments, not 3", ""},
		"{{String(1,)}}":                {12, `found ")" where a value belongs`, ""},
		// literals
		"{{0x1f}}":            {3, `"0x1f" is not a number that can be written here`, plain},
		"{{010}}":             {3, `"010" is not a number that can be written here`, plain},
		"{{10n}}":             {3, `"10n" is not a number that can be written here`, plain},
		"{{1_000}}":           {3, `"1_000" is not a number that can be written here`, plain},
		"{{1.}}":              {5, `found "}" where a name belongs`, ""},
		"{{.5}}":              {3, `found "." where a value belongs`, ""},
		"{{steps.a ?.5 : 1}}": {12, `found "." where a value belongs`, ""},
		`{{"a}}`:              {3, "the text that begins here does not end", `end it with " on the same line`},
		"{{'a\nb'}}":          {3, "the text that begins here does not end", "end it with ' on the same line"},
		`{{"a\q"}}`:           {5, "there is no such escape in a text", `write \n, \t`},
		`{{"\x4"}}`:           {4, "there is no such escape in a text", `write \n, \t`},
		`{{"\u{110000}"}}`:    {4, "there is no such escape in a text", `write \n, \t`},
		`{{"\u{d800}"}}`:      {4, "there is no such escape in a text", `write \n, \t`},
		`{{"\0"}}`:            {4, "there is no such escape in a text", `write \n, \t`},
		"{{{a: 1, a: 2}}}":    {10, "a is given twice", "keep one of them"},
		"{{{a}}}":             {5, `found "}" where : belongs`, ""},
		"{{{1: 2}}}":          {4, `found "1" where a name belongs`, ""},
		"{{[1, , 2]}}":        {7, `found "," where a value belongs`, ""},
		// shape
		"{{}}":                   {3, "there is nothing between the braces", "write a path, as {{steps.trigger.event.body.name}}"},
		"{{ \n }}":               {2, "there is nothing between the braces", "write a path"},
		"{{steps.a":              {10, "the expression does not end", "end it with }}"},
		"{{":                     {3, "the expression does not end", "end it with }}"},
		"{{steps.a}":             {10, `found "}" where }} belongs`, ""},
		"{{steps.a} }":           {10, `found "}" where }} belongs`, ""},
		"{{steps.a]}}":           {10, `found "]" where }} belongs`, ""},
		"{{steps.a b}}":          {11, `found "b" where }} belongs`, ""},
		"{{(steps.a}}":           {11, `found "}" where ) belongs`, ""},
		"{{steps.a[0}}":          {12, `found "}" where ] belongs`, ""},
		"{{steps.a ? 1}}":        {14, `found "}" where : belongs`, ""},
		"{{steps.a.}}":           {11, `found "}" where a name belongs`, ""},
		"{{steps.a.'b'}}":        {11, `found "'b'" where a name belongs`, ""},
		"{{steps.a ==}}":         {13, `found "}" where a value belongs`, ""},
		"{{steps.a ?? 1 || 2}}":  {16, "?? stands beside && or || without parentheses", "write (a ?? b) || c, or a ?? (b || c)"},
		"{{steps.a && 1 ?? 2}}":  {16, "?? stands beside && or || without parentheses", "write (a ?? b) || c"},
		"é😀 {{steps.a +}}":       {14, `"+"` + notHere, "put texts"},
		"one\ntwo {{steps.a +}}": {15, `"+"` + notHere, "put texts"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := expr.Parse(json.RawMessage(marshal(t, map[string]any{"a": map[string]string{"b c": text}})))
			var got expr.Mistakes
			if !errors.As(err, &got) || len(got) != 1 {
				t.Fatalf("got %v", err)
			}
			m := got[0]
			if m.Prop != `a["b c"]` || m.Column != want.column || m.What != want.what {
				t.Errorf("got line %d, column %d: %s; want column %d: %s", m.Line, m.Column, m.What, want.column, want.what)
			}
			if !strings.HasPrefix(m.Hint, want.hint) || want.hint == "" && m.Hint != "" {
				t.Errorf("the hint is %q, want %q…", m.Hint, want.hint)
			}
		})
	}
}

// Every expression with a mistake is told, in the order of the props, and good ones beside it are no mistakes.
func TestMistakes(t *testing.T) {
	t.Parallel()
	_, err := expr.Parse(json.RawMessage(`{
		"z": "{{steps.a}} {{this}} {{steps.b.c}} {{1 + 1}}",
		"a": [{"b": "fine"}, {"b": "one\n{{'}} {{new x}}"}, "{{auths}}"]
	}`))
	const want = `prop z, column 15: "this" is not part of the expressions here; hint: use a code step for it
prop z, column 40: "+" is not part of the expressions here; hint: put texts side by side, as in {{a}} {{b}}; to add numbers use a code step
prop a[1].b, line 2, column 3: the text that begins here does not end; hint: end it with ' on the same line
prop a[1].b, line 2, column 9: "new" is not part of the expressions here; hint: use a code step for it
prop a[2], column 3: there is no "auths" in expressions; hint: give the step an account by ` + "`account: end_user`, or a code step by `accounts:`"
	if fault.KindOf(err) != fault.Invalid || fault.Safe(err) != want {
		t.Errorf("kind %v:\n%s", fault.KindOf(err), fault.Safe(err))
	}
	_, err = expr.Parse(json.RawMessage(`"` + strings.Repeat("{{x}}", 60) + `"`))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 51 || lines[50] != "and perhaps more" || !strings.HasPrefix(lines[1], "column 8: ") {
		t.Errorf("%d lines, %s", len(lines), lines[len(lines)-1])
	}
	for props, want := range map[string]string{`{`: "the props are not JSON", `{"a": {{steps.a}}}`: "the props are not JSON"} {
		if _, err := expr.Parse(json.RawMessage(props)); fault.Safe(err) != want {
			t.Errorf("%s: %v", props, err)
		}
	}
}

// A limit is an error that names it.
func TestLimits(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return `["{{'` + strings.Repeat("x", n-2) + `'}}"]` }
	nested := func(open, shut string, n int) string {
		return `["{{` + strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) + `}}"]`
	}
	lists := func(n int) string {
		return strings.Repeat("[", n) + `"{{1}}"` + strings.Repeat("]", n)
	}
	for name, c := range map[string]struct{ props, want string }{
		"a long expression":       {long(expr.MaxExpression), ""},
		"too long an expression":  {long(expr.MaxExpression + 1), "the expression is longer than 4096 bytes"},
		"too many tokens":         {`["{{[` + strings.Repeat("1,", 2100) + `1]}}"]`, "the expression is longer than 4096 bytes"},
		"no end, and long":        {`["{{steps.a` + strings.Repeat(" ", 5000) + `"]`, "the expression is longer than 4096 bytes"},
		"deep parentheses":        {nested("(", ")", expr.MaxNesting-1), ""},
		"too deep parentheses":    {nested("(", ")", expr.MaxNesting), "the expression nests more than 64 deep"},
		"far too deep lists":      {nested("[", "]", 2000), "the expression nests more than 64 deep"},
		"too many nots":           {nested("!", "", expr.MaxNesting), "the expression nests more than 64 deep"},
		"far too deep conditions": {nested("1?", ":1", 1000), "the expression nests more than 64 deep"},
		"far too deep calls":      {nested("String(", ")", 500), "the expression nests more than 64 deep"},
		"far too deep objects":    {nested("{a:", "}", 500), "the expression nests more than 64 deep"},
		"far too deep brackets":   {nested("steps.a[", "]", 400), "the expression nests more than 64 deep"},
		"a long row of signs":     {`["{{1` + strings.Repeat("&&1", 1300) + `}}"]`, ""},
		"a long path":             {`["{{steps.a` + strings.Repeat("?.a", 1300) + `}}"]`, ""},
		"deep props":              {lists(expr.MaxDepth), ""},
		"too deep props":          {lists(expr.MaxDepth + 1), "the props nest more than 256 deep"},
		"props of 64 KiB":         {`"` + strings.Repeat("x", expr.MaxProps-2) + `"`, ""},
		"props of more":           {`"` + strings.Repeat("x", expr.MaxProps-1) + `"`, "the props are larger than 64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template, err := expr.Parse(json.RawMessage(c.props))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if err == nil {
				if _, err = template.Eval(json.RawMessage(`{}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Results, lists and work are bounded too.
func TestLimitsOfEvaluation(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return `{"a": {"t": "` + strings.Repeat("x", n) + `"}}` }
	const large = "the props are larger than 64 KiB after evaluation; hint: let a code step read large values from steps itself"
	for name, c := range map[string]struct{ props, steps, want string }{
		"a large result":           {`["{{steps.a.t}}"]`, text(expr.MaxProps - 4), ""},
		"too large a result":       {`["{{steps.a.t}}"]`, text(expr.MaxProps - 3), large},
		"too large a value":        {`["{{steps.a.t}}"]`, text(1 << 20), "prop [0]: " + large},
		"too large a text":         {`["a{{steps.a.t}}"]`, text(1 << 20), "prop [0]: " + large},
		"too large in all":         {`{"a": "{{steps.a.t}}", "b": "{{steps.a.t}}"}`, text(40_000), "prop b: " + large},
		"too large by escapes":     {`["a{{steps.a.t}}"]`, `{"a": {"t": "` + strings.Repeat(`\u0001`, 12_000) + `"}}`, "prop [0]: " + large},
		"white space is not":       {`["{{steps.a.t}}"]`, `{"a": {"t": [` + strings.Repeat(" ", expr.MaxProps) + `1]}}`, ""},
		"many items":               {`["{{steps.a.t.split('').length}}"]`, text(expr.MaxItems), ""},
		"too many items":           {`["{{steps.a.t.split('').length}}"]`, text(expr.MaxItems + 1), "prop [0]: steps.a.t.split(''): the list has 100001 items, more than 100000; hint: use a code step"},
		"too large a slice":        {`["{{steps.a.slice().length}}"]`, `{"a": [` + strings.Repeat("1,", expr.MaxItems) + `1]}`, "prop [0]: steps.a.slice(): the list has 100001 items, more than 100000; hint: use a code step"},
		"a deep list as a text":    {`["{{steps.a.join()}}"]`, `{"a": ` + strings.Repeat("[", 256) + strings.Repeat("]", 256) + "}", ""},
		"too deep a list":          {`["{{steps.a.join()}}"]`, `{"a": ` + strings.Repeat("[", 257) + strings.Repeat("]", 257) + "}", "prop [0]: steps.a.join(): a list in it nests more than 256 deep"},
		"far too deep a list":      {`["{{String(steps.a)}}"]`, `{"a": ` + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + "}", "prop [0]: String(steps.a): the expressions of these props read and make too much, more than 64 MiB; hint: use a code step"},
		"a large document":         {`["{{steps.a.t.length}} {{steps.a.u}}"]`, text(4 << 20), ""},
		"too much work":            {`["` + strings.Repeat("{{steps.a.t.length}}", 2000) + `"]`, text(1 << 20), "prop [0]: the expressions of these props read and make too much, more than 64 MiB; hint: use a code step"},
		"too much by one":          {`["{{steps.a.t` + strings.Repeat(".split('').join('xxx')", 20) + `}}"]`, text(90_000), "items, more than 100000"},
		"too much in a deep value": {`["{{steps` + strings.Repeat(".a", 1000) + `}}"]`, strings.Repeat(`{"a":`, 1001) + `"` + strings.Repeat("x", 5<<20) + `"` + strings.Repeat("}", 1001), "too much"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := eval(t, c.props, c.steps)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(fault.Safe(err), c.want) || fault.Is(err, fault.Internal) {
				t.Errorf("got %.80s, %.300v; want %s", got, err, c.want)
			}
		})
	}
}

// Props that somebody sends to be deployed cost at most so much, whatever they hold.
func TestHostilePropsAreCheap(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"openings":    "{{",
		"nothing":     "{{}}",
		"names":       "{{a}}",
		"expressions": "{{1}}",
		"quotes":      "{{'",
		"both quotes": `{{'{{"`,
		"brackets":    "{{[}}",
		"signs":       "+-",
		"calls":       "{{String(",
		"lines":       "\n{{a",
		"spaces":      "{{      }}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			props := marshal(t, "{{"+strings.Repeat(text, (expr.MaxProps-100)/len(marshal(t, text))))
			start := time.Now()
			template, err := expr.Parse(json.RawMessage(props))
			if err == nil {
				_, err = template.Eval(json.RawMessage(`{}`))
			}
			if took := time.Since(start); took > 10*time.Second { // some 10 to 300 ms; the bound is for a loaded machine
				t.Errorf("took %v, %.100v", took, err)
			}
		})
	}
}

// The table of the package comment is the list of the functions.
func TestTableOfFunctions(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "expr.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, line := range regexp.MustCompile(`(?m)^\t(?:[a-z]\.)?([A-Za-z.]+)\(`).FindAllStringSubmatch(file.Doc.Text(), -1) {
		told = append(told, line[1])
	}
	_, err = expr.Parse(json.RawMessage(`"{{x}}"`))
	for _, name := range told {
		if !strings.Contains(err.Error(), name+"()") {
			t.Errorf("%s is told, and not there", name)
		}
	}
	if there := strings.Count(err.Error(), "()"); there != len(told) {
		t.Errorf("%d functions are there, %d are told: %v", there, len(told), told)
	}
}
