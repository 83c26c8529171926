package step_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

const seenSteps = `{"trigger":{"event":{"body":{"user":"abc-123"}},"context":{"id":"evt_1","ts":"t"}},"slack":{"$return_value":{"ok":true}}}`

func TestAStepsOutcome(t *testing.T) {
	t.Parallel()
	slack := map[string]step.App{"slack": {Slug: "slack", Auth: map[string]secret.String{"oauth_access_token": secret.New("xoxb-1")}}}
	for name, c := range map[string]struct {
		source string
		props  string
		apps   map[string]step.App
		want   string // exports
		err    string // a part of the error's message; empty for none
	}{
		"the return value":                       {source: body(`return { a: 1 }`), want: `{"$return_value":{"a":1}}`},
		"no return value":                        {source: body(``), want: `{}`},
		"null is a value":                        {source: body(`return null`), want: `{"$return_value":null}`},
		"exports beside the return value":        {source: body(`$.export("x", [1, "é"]); $.export("$summary", "s"); return 2`), want: `{"x":[1,"é"],"$summary":"s","$return_value":2}`},
		"an export is written down at once":      {source: body(`const o = { n: 1 }; $.export("o", o); o.n = 2`), want: `{"o":{"n":1}}`},
		"the last export of a name counts":       {source: body(`$.export("x", 1); $.export("x", 2)`), want: `{"x":2}`},
		"exports stay when the step throws":      {source: body(`$.export("x", 1); throw new Error("no")`), want: `{"x":1}`, err: "no"},
		"a plain object":                         {source: `export default { run: async () => 1 }`, want: `{"$return_value":1}`},
		"a run that is not async":                {source: `export default { run: () => 1 }`, want: `{"$return_value":1}`},
		"steps as they were":                     {source: body(`return [steps.trigger.event.body.user, steps.trigger.context.ts, steps.slack.$return_value.ok]`), want: `{"$return_value":["abc-123","t",true]}`},
		"the context":                            {source: body(`return [$.context.id, $.context.run, $.context.attempt, typeof $.context.deadline]`), want: `{"$return_value":["evt_1",{"runs":1},1,"number"]}`},
		"builtins, bare and with node:":          {source: `import fs from "fs"; import { join } from "node:path"; export default { run: () => [typeof fs.readFileSync, join("a", "b")] }`, want: `{"$return_value":["function","a/b"]}`},
		"a builtin by import()":                  {source: body(`return (await import("os")).EOL`), want: `{"$return_value":"\n"}`},
		"an npm package":                         {source: `import _ from "lodash"; export default { run: () => 1 }`, want: `{}`, err: "npm packages come later"},
		"a package by import()":                  {source: body(`await import("lodash")`), want: `{}`, err: `cannot import "lodash"`},
		"another file":                           {source: `import _ from "./other.mjs"; export default { run: () => 1 }`, want: `{}`, err: "npm packages come later"},
		"code in a data: URL":                    {source: body(`await import("data:text/javascript,1")`), want: `{}`, err: "npm packages come later"},
		"no require, as in every module":         {source: body(`return [typeof require, typeof module, typeof fs, typeof crypto.subtle, typeof crypto.randomBytes]`), want: `{"$return_value":["undefined","undefined","undefined","object","undefined"]}`},
		"no environment":                         {source: body(`return Object.keys(process.env)`), want: `{"$return_value":[]}`},
		"no default export":                      {source: `export const x = 1`, want: `{}`, err: "export default defineComponent"},
		"a default export without run":           {source: `export default {}`, want: `{}`, err: "export default defineComponent"},
		"the identity helpers":                   {source: `export default defineAction(defineApp(defineSource({ run: () => 1 })))`, want: `{"$return_value":1}`},
		"an account":                             {source: `export default { props: { slack: { type: "app", app: "slack" } }, run() { return [this.slack.$auth, this.slack.app] } }`, apps: slack, want: `{"$return_value":[{"oauth_access_token":"xoxb-1"},"slack"]}`},
		"an account of another app":              {source: `export default { props: { slack: { type: "app", app: "github" } }, run() {} }`, apps: slack, want: `{}`, err: "prop slack is an account of github, but the workflow gives it one of slack"},
		"an account that nobody gave":            {source: `export default { props: { slack: { type: "app", app: "slack" } }, run() {} }`, want: `{}`, err: "prop slack is an account of slack"},
		"an account of no declared prop":         {source: `export default { run() { return this.slack.$auth.oauth_access_token } }`, apps: slack, want: `{"$return_value":"xoxb-1"}`},
		"an app with methods":                    {source: `const slack = defineApp({ type: "app", app: "slack", methods: { token() { return this.$auth.oauth_access_token } } }); export default { props: { slack }, run() { return this.slack.token() } }`, apps: slack, want: `{"$return_value":"xoxb-1"}`},
		"props, defaults and methods":            {source: `export default { props: { a: "string", b: { type: "integer", default: 7 }, c: { type: "string", optional: true } }, methods: { sum() { return this.a + this.b } }, run() { return [this.sum(), "c" in this] } }`, props: `{"a":"x"}`, want: `{"$return_value":["x7",false]}`},
		"a prop of no declaration":               {source: body(`return this.extra`), props: `{"extra":{"deep":[1]}}`, want: `{"$return_value":{"deep":[1]}}`},
		"a prop by propDefinition":               {source: `const app = { type: "app", app: "slack", propDefinitions: { text: { type: "string", default: "d" } } }; export default { props: { text: { propDefinition: [app, "text"] } }, run() { return this.text } }`, want: `{"$return_value":"d"}`},
		"a required prop that is missing":        {source: `export default { props: { channel: { type: "string" } }, run() {} }`, want: `{}`, err: "prop channel is required"},
		"a prop of a type to come":               {source: `export default { props: { db: "$.service.db" }, run() {} }`, want: `{}`, err: "prop db: the type $.service.db comes later"},
		"a prop called __proto__":                {source: body(`return 1`), props: `{"__proto__":{"x":1}}`, want: `{}`, err: "__proto__"},
		"this is fresh":                          {source: body(`this.n = (this.n ?? 0) + 1; return this.n`), want: `{"$return_value":1}`},
		"an export of a function":                {source: body(`$.export("f", () => 1)`), want: `{}`, err: `$.export("f") is not JSON: it is a function`},
		"an export of a circle":                  {source: body(`const o = {}; o.o = o; $.export("o", o)`), want: `{}`, err: `$.export("o") is not JSON: Converting circular structure`},
		"a return value of a bigint":             {source: body(`return 1n`), want: `{}`, err: "the return value is not JSON"},
		"an export without a name":               {source: body(`$.export("", 1)`), want: `{}`, err: "the name must be a string of 1 to 256 characters"},
		"an export under a name of ours":         {source: body(`$.export("$return_value", 1)`), want: `{}`, err: "names that begin with $ are Behalf's own"},
		"exports that are too large":             {source: body(`$.export("a", "x".repeat(7 << 20))`), want: `{}`, err: "larger than 6 MiB"},
		"exports as large as they may be":        {source: body(`$.export("a", "x".repeat((6 << 20) - 64)); return 1`), want: ``},
		"exports that are nested too deep":       {source: body(`let v = 1; for (let i = 0; i < 257; i++) v = [v]; return v`), want: ``, err: "nested deeper than 256"},
		"exports that are nested absurdly deep":  {source: body(`let v = 1; for (let i = 0; i < 1e6; i++) v = [v]; return v`), want: `{}`, err: "call stack"},
		"a thrown string":                        {source: body(`throw "not_in_channel"`), want: `{}`, err: "not_in_channel"},
		"a thrown object":                        {source: body(`throw { code: 42 }`), want: `{}`, err: "code: 42"},
		"a thrown nothing":                       {source: body(`throw undefined`), want: `{}`, err: "undefined"},
		"a thrown thing that cannot be read":     {source: body(`throw new Proxy({}, { get() { throw 1 } })`), want: `{}`, err: "cannot be read"},
		"an unhandled rejection":                 {source: body(`Promise.reject(new Error("nobody awaits me")); return 1`), want: ``, err: "nobody awaits me"},
		"a throw in a timer":                     {source: body(`setTimeout(() => { throw new Error("late") }, 1); await new Promise(() => {})`), want: `{}`, err: "late"},
		"process.exit":                           {source: body(`process.exit(3)`), want: ``, err: "the step's process ended: process.exit(3)"},
		"a signal":                               {source: body(`process.kill(process.pid, "SIGTERM"); await new Promise(() => {})`), want: ``, err: "the step's process ended: signal terminated"},
		"too much memory":                        {source: body(`const all = []; for (;;) all.push(new Array(1e5).fill({}))`), want: ``, err: "the step's process ended: out of memory"},
		"$.flow.delay":                           {source: body(`$.flow.delay(1000)`), want: `{}`, err: "$.flow.delay comes later"},
		"$.flow.suspend":                         {source: body(`$.flow.suspend()`), want: `{}`, err: "$.flow.suspend comes later"},
		"$.flow.rerun":                           {source: body(`$.flow.rerun(1)`), want: `{}`, err: "$.flow.rerun comes later"},
		"$.send":                                 {source: body(`$.send.http({})`), want: `{}`, err: "$.send.http comes later"},
		"$.service":                              {source: body(`$.service.db.get("x")`), want: `{}`, err: "$.service.db comes later"},
		"to print $ is no use of it":             {source: body(`console.log($)`), want: `{}`},
		"a body that is a promise":               {source: body(`$.respond({ body: Promise.resolve(1) })`), want: `{}`, err: "await it first"},
		"a body that is a number":                {source: body(`$.respond({ body: 1 })`), want: `{}`, err: "not a number"},
		"a status out of range":                  {source: body(`$.respond({ status: 42 })`), want: `{}`, err: "status must be 100 to 599"},
		"a header that is two":                   {source: body(`$.respond({ headers: { "x-a": "1\r\nx-b: 2" } })`), want: `{}`, err: `"x-a" is not a header`},
		"a stream at once":                       {source: `import { Readable } from "stream"; export default { async run({ $ }) { await $.respond({ immediate: true, body: Readable.from(["a"]) }) } }`, want: `{}`, err: "immediate"},
		"a syntax error":                         {source: "import fs from 'fs';\nexport default {\n  run( { return 1 }\n}", want: `{}`, err: "Unexpected"},
		"an import of a name that is not there":  {source: `import { nope } from "fs"; export default { run() {} }`, want: `{}`, err: "nope"},
		"a module that throws while it is read":  {source: `throw new TypeError("top"); export default {}`, want: `{}`, err: "top"},
		"an author who breaks our own tools":     {source: body(`Array.prototype.join = () => "x"; return 1`), want: ``, err: "broke the protocol"},
		"an author who forges a result":          {source: `import fs from "fs"; export default { run() { const b = Buffer.from("\0\0\0\x25" + '{"type":"result","id":1,"exports":[]}'); fs.writeSync(3, b) } }`, want: ``, err: "broke the protocol"},
		"an author who closes the channel":       {source: `import fs from "fs"; export default { async run() { fs.closeSync(3); await new Promise(() => {}) } }`, want: ``, err: "the step's process ended"},
		"an author who writes a frame too large": {source: `import fs from "fs"; export default { async run() { fs.writeSync(3, Buffer.from([255, 255, 255, 255])); await new Promise(() => {}) } }`, want: ``, err: "at most 8388608 are taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := call(t, c.source)
			in.Props, in.Apps, in.Steps = json.RawMessage(c.props), c.apps, json.RawMessage(seenSteps)
			out := do(t, in)
			checkErr(t, out.Err, c.err)
			if c.want != "" && !sameJSON(t, out.Exports, c.want) {
				t.Errorf("exports are %.200s, want %s", out.Exports, c.want)
			}
			if out.Cut {
				t.Error("it was cut")
			}
		})
	}
}

func checkErr(t *testing.T, err *behalf.StepError, want string) {
	t.Helper()
	switch {
	case err == nil && want != "":
		t.Errorf("no error, want one with %q", want)
	case err != nil && want == "":
		t.Errorf("unexpected error %+v", err)
	case err != nil && !strings.Contains(err.Message, want):
		t.Errorf("error is %q, want one with %q", err.Message, want)
	}
}

func sameJSON(t *testing.T, got json.RawMessage, want string) bool {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("exports %.200q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(g)
	b, _ := json.Marshal(w)
	return string(a) == string(b)
}

func TestAStepsResponse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source string
		status int
		header string // the content type
		body   string
	}{
		"an object":             {body(`$.respond({ status: 201, body: { a: 1 } })`), 201, "application/json; charset=utf-8", `{"a":1}`},
		"a string":              {body(`$.respond({ body: "hé" })`), 200, "text/plain; charset=utf-8", "hé"},
		"a type of its own":     {body(`$.respond({ headers: { "Content-Type": "text/html" }, body: "<p>" })`), 200, "", "<p>"},
		"nothing":               {body(`$.respond({ status: 204 })`), 204, "", ""},
		"a Buffer":              {body(`$.respond({ body: Buffer.from([255, 0, 1]) })`), 200, "application/octet-stream", "\xff\x00\x01"},
		"a stream":              {`import { Readable } from "stream"; export default { async run({ $ }) { await $.respond({ body: Readable.from(["a", "b"]) }) } }`, 200, "application/octet-stream", "ab"},
		"a stream, not awaited": {`import { Readable } from "stream"; export default { async run({ $ }) { $.respond({ body: Readable.from(["a", "b"]) }) } }`, 200, "application/octet-stream", "ab"},
		"a web stream":          {body(`await $.respond({ body: new Blob(["web"]).stream() })`), 200, "application/octet-stream", "web"},
		"the first of two":      {body(`$.respond({ body: "1" }); $.respond({ body: "2" })`), 200, "text/plain; charset=utf-8", "1"},
		"before a throw":        {body(`$.respond({ body: "1" }); throw new Error("no")`), 200, "text/plain; charset=utf-8", "1"},
		"a status as a string":  {body(`$.respond({ status: "404", immediate: true })`), 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := do(t, call(t, c.source))
			if out.Response == nil {
				t.Fatalf("no response; error %+v", out.Err)
			}
			if got := *out.Response; got.Status != c.status || got.Headers["content-type"] != c.header || string(got.Body()) != c.body {
				t.Errorf("response is %+v", got)
			}
		})
	}
}

func TestAStepThatEndsTheRun(t *testing.T) {
	t.Parallel()
	returned := do(t, call(t, body(`return $.flow.exit("enough"); $.export("x", 1)`)))
	if returned.Exit == nil || returned.Exit.Reason != "enough" || returned.Err != nil || string(returned.Exports) != "{}" {
		t.Errorf("returned: %+v", returned)
	}
	called := do(t, call(t, body(`$.flow.exit(); $.export("x", 1); return 2`)))
	if called.Exit == nil || called.Exit.Reason != "" || !sameJSON(t, called.Exports, `{"x":1,"$return_value":2}`) {
		t.Errorf("called: %+v, exports %s", called.Exit, called.Exports)
	}
}

func TestErrorsShowTheAuthorsLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, name, line string }{
		"a throw":        {body(`    await 1;` + "\n" + `    throw new RangeError("no")`), "RangeError", "summary.mjs:4:11)"},
		"from a builtin": {"import { readFileSync } from 'fs';\nexport default { run() {\n  readFileSync('/nope') } }", "Error", "summary.mjs:3:3)"},
		"a syntax error": {"import fs from 'fs';\nexport default {\n  run( { return 1 }\n}", "SyntaxError", "summary.mjs:3\n  run( { return 1 }\n"},
		"its cause":      {body(`throw new Error("outer", { cause: new TypeError("inner") })`), "Error", "Caused by: TypeError: inner"},
		"in a module":    {"\nnull.x; export default {}", "TypeError", "summary.mjs:2:6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := call(t, c.source)
			out := do(t, in)
			if out.Err == nil || out.Err.Name != c.name || !strings.Contains(out.Err.Stack, c.line) {
				t.Fatalf("error is %+v, want %s and %q in its stack", out.Err, c.name, c.line)
			}
			if strings.Contains(out.Err.Stack, "node:") || strings.Contains(out.Err.Stack, "behalf-guest") {
				t.Errorf("the stack shows what is not the author's:\n%s", out.Err.Stack)
			}
			if !strings.Contains(c.line, "Caused") && !strings.Contains(out.Err.Stack, "behalf:///"+string(in.Version)+"/"+in.Step.Source.File) {
				t.Errorf("the stack does not name the version:\n%s", out.Err.Stack)
			}
		})
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	before := time.Now().Add(-time.Second)
	out := do(t, call(t, body(`console.log("one", { a: 1 }); console.error("two\nlines"); process.stdout.write("three"); process.stderr.write(Buffer.from("four")); console.table([1]);`)))
	var got []string
	for _, l := range out.Logs {
		if l.At.Before(before) || l.At.After(time.Now().Add(time.Second)) {
			t.Errorf("line at %v", l.At)
		}
		got = append(got, l.Stream+" "+l.Text)
	}
	want := []string{"stdout one { a: 1 }", "stderr two\nlines", "stdout three", "stderr four"}
	if len(got) != 5 || strings.Join(got[:4], "|") != strings.Join(want, "|") || !strings.Contains(got[4], "┌") {
		t.Errorf("logs are %q", got)
	}
}

func TestLogsAreCutAndSaySo(t *testing.T) {
	t.Parallel()
	out := do(t, call(t, body(`for (let i = 0; i < 100000; i++) console.log("x".repeat(100)); return 1`)))
	size := 0
	for _, l := range out.Logs {
		size += len(l.Text)
	}
	if last := out.Logs[len(out.Logs)-1].Text; size > 256<<10 || size < 150<<10 || !strings.Contains(last, "cut here") || out.Err != nil {
		t.Errorf("%d bytes kept, the last line is %q, error %v", size, last, out.Err)
	}
}

func TestADeadlineCutsAStepAndKeepsItsLogs(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"it waits":      body(`console.log("here"); await new Promise(() => {})`),
		"it loops":      body(`console.log("here"); await new Promise((r) => setTimeout(r, 150)); for (;;);`),
		"it floods":     body(`for (;;) console.log("here " + "x".repeat(1000))`),
		"it swallows":   body(`console.log("here"); process.on("SIGTERM", () => {}); process.on("SIGINT", () => {}); await new Promise(() => {})`),
		"it stops":      body(`console.log("here"); await new Promise((r) => setTimeout(r, 150)); process.kill(process.pid, "SIGSTOP")`),
		"top level one": `console.log("here"); await new Promise(() => {}); export default { run() {} }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := call(t, source)
			out := within(t, 4*time.Second, in)
			if !out.Cut || out.Err != nil || len(out.Logs) == 0 || !strings.HasPrefix(out.Logs[0].Text, "here") {
				t.Errorf("cut %v, error %v, %d lines", out.Cut, out.Err, len(out.Logs))
			}
			if next := do(t, call(t, body(`return 1`))); next.Err != nil || len(next.Logs) > 0 {
				t.Errorf("the next run has error %+v and %d lines", next.Err, len(next.Logs))
			}
		})
	}
}
