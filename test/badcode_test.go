//go:build integration

package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// TestBadCode runs code that behaves as badly as an author's can: each run ends by its own time with its own answer, the
// worker lives, no child of it stays, and the next run of a good workflow is none the worse.
func TestBadCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker := w.worker("--slots", "4")
	good := w.deploy("good", map[string]string{"workflow.yaml": flow("oauth", "custom", "", "only"), "only.mjs": code(`$.respond({ status: 200, body: "fine" });`)})
	failed, timeout := string(behalf.CodeStepFailed), string(behalf.CodeRunTimeout)
	const spawn = `const { spawn } = await import("node:child_process");`
	rows := map[string]struct {
		code   string
		status int
		word   string // of the answer's code, or of its body
	}{
		"an infinite loop":                {`for (;;) {}`, 400, timeout},
		"a promise that never ends":       {`await new Promise(() => setInterval(() => {}, 1000));`, 400, timeout},
		"an endless chain of promises":    {`for (;;) await null;`, 400, timeout},
		"a fork":                          {spawn + `const c = spawn(process.execPath, ["-e", "0"]); await new Promise((done) => c.on("exit", done)); $.respond({ status: 200, body: "forked" });`, 200, "forked"},
		"a child that outlives it":        {spawn + `spawn("sleep", ["4177"], { stdio: "ignore" }); throw new Error("left one");`, 400, failed},
		"a daemon":                        {spawn + `spawn("sleep", ["4178"], { detached: true, stdio: "ignore" }).unref(); process.exit(3);`, 400, failed},
		"1 GiB of stderr":                 {`const mb = "e".repeat(1 << 20); for (let i = 0; i < 1024; i++) { console.error(mb); if (i % 64 == 0) await null; } $.respond({ status: 200, body: "said" });`, 200, "said"},
		"an end with nothing":             {`process.exit(0);`, 400, ""},
		"no export and no answer":         {`return;`, 400, string(behalf.CodeNoResponse)},
		"huge exports":                    {`return { a: "x".repeat(7 << 20) };`, 400, failed},
		"exports that are no JSON":        {`const a = {}; a.a = a; return a;`, 400, failed},
		"exports of a BigInt":             {`return { a: 10n };`, 400, failed},
		"exports that throw":              {`return { get a() { throw new Error("gotcha"); } };`, 400, failed},
		"closed descriptors":              {`const fs = await import("node:fs"); for (const fd of [0, 1, 2, 3]) try { fs.closeSync(fd); } catch {} $.respond({ status: 200, body: "closed" });`, 400, ""},
		"another's frame on descriptor 3": {`const fs = await import("node:fs"); try { fs.writeSync(3, "\x00\x00\x00\x02{}"); } catch (e) { throw e; } await new Promise((done) => setTimeout(done, 200)); $.respond({ status: 200, body: "lied" });`, 400, ""},
		"SIGKILL of itself":               {`process.kill(process.pid, "SIGKILL"); await new Promise(() => setInterval(() => {}, 1000));`, 400, failed},
		"an abort":                        {`process.abort();`, 400, failed},
		"all the memory":                  {`const all = []; for (;;) all.push(new Array(1 << 20).fill(all.length));`, 400, ""},
		"a stack without end":             {`const f = () => f() + 1; f();`, 400, failed},
		"standard input that is read":     {`const fs = await import("node:fs"); $.respond({ status: 200, body: String(fs.readFileSync(0).length) });`, 200, "0"},
		"another time zone":               {`process.env.TZ = "Asia/Kathmandu"; process.env.LC_ALL = "tr_TR.UTF-8"; $.respond({ status: 200, body: "I".toLowerCase() });`, 200, "i"},
		"64 KiB of environment":           {`process.env.BIG = "x".repeat(65 << 10); ` + spawn + `const c = spawn("true"); await new Promise((done) => { c.on("exit", done); c.on("error", done); }); $.respond({ status: 200, body: "big" });`, 200, "big"},
		"a broken prototype":              {`Object.prototype.toJSON = () => "pwned"; Array.prototype.push = () => { throw 1; }; JSON.stringify = () => "pwned"; throw new Error("mine");`, 400, ""},
		"a throw of nothing":              {`throw undefined;`, 400, failed},
		"a hundred threads":               {`const { Worker } = await import("node:worker_threads"); for (let i = 0; i < 100; i++) new Worker("for (;;) ;", { eval: true }); await new Promise(() => {});`, 400, ""},
		"an error later":                  {`setTimeout(() => { throw new Error("later"); }, 10); await new Promise((done) => setTimeout(done, 500)); $.respond({ status: 200, body: "no" });`, 400, failed},
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, 2)
	for name, r := range rows {
		d := w.deploy(strings.NewReplacer(" ", "-", ",", "").Replace(name), map[string]string{
			"workflow.yaml": flow("oauth", "custom", "settings: { timeout: 5s }\n", "only"), "only.mjs": code(r.code),
		})
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			a := w.post(d.PathURL, "{}", as("abc-123"))
			if a.status != r.status || !strings.Contains(a.code()+a.body, r.word) || a.run() == "" {
				t.Errorf("%s: %v, want %d %s", name, a, r.status, r.word)
			}
		})
	}
	all.Wait()
	if a := w.post(good.PathURL, "{}"); a.status != http.StatusOK || a.body != "fine" {
		t.Errorf("a good workflow afterwards: %v", a)
	}
	eventually(t, asLongAsItTakes, "a child of a run that is over still lives", func() bool { return !lives(t, "sleep 4177") && !lives(t, "sleep 4178") })
	w.idle()
	select {
	case <-worker.ended:
		t.Errorf("the worker ended:\n%s", worker.tail())
	default:
	}
	if strings.Contains(worker.output(), "panic") {
		t.Errorf("the worker panicked:\n%s", worker.tail())
	}
	if n := w.dead(); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// lives says whether a process with this command line runs.
func lives(t *testing.T, command string) bool {
	t.Helper()
	for _, path := range must(filepath.Glob("/proc/[0-9]*/cmdline"))(t) {
		line, err := os.ReadFile(path)
		if err == nil && strings.Trim(strings.ReplaceAll(string(line), "\x00", " "), " ") == command {
			return true
		}
	}
	return false
}

func code(body string) string {
	return "export default defineComponent({ async run({ steps, $ }) {\n" + body + "\n} });\n"
}
