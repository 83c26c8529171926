package step_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/secret"
)

// A run finds its own variables in process.env, and nothing of another run of the same process.
func TestProcessEnv(t *testing.T) {
	t.Parallel()
	const source = `
import { env } from "node:process";
import { readFileSync } from "node:fs";
const kept = process.env;
export default defineComponent({ async run() {
  const seen = { ...process.env }, before = process.pid;
  const real = readFileSync("/proc/self/environ", "latin1") + readFileSync("/proc/self/cmdline", "latin1");
  process.env.LEFT = "behind";
  await new Promise((done) => setTimeout(done, 1));
  return { seen, same: env.KEY === seen.KEY && kept.KEY === seen.KEY, leaks: seen.KEY !== undefined && real.includes(seen.KEY), known: "KEY" in process.env };
} });`
	for n, env := range []map[string]secret.String{
		{"KEY": secret.New("first-key"), "other_1": secret.New("line\nbreak \"quoted\" ü")},
		nil,
		{"KEY": secret.New("third-key")},
		{},
	} {
		c := call(t, source)
		c.Env = env
		out := do(t, c)
		checkErr(t, out.Err, "")
		want := map[int]string{
			0: `{"KEY":"first-key","other_1":"line\nbreak \"quoted\" ü"}`, 1: `{}`, 2: `{"KEY":"third-key"}`, 3: `{}`,
		}[n]
		if !sameJSON(t, out.Exports, fmt.Sprintf(`{"$return_value":{"seen":%s,"same":true,"leaks":false,"known":%t}}`, want, strings.Contains(want, "KEY"))) {
			t.Errorf("run %d: %s", n, out.Exports)
		}
	}
}

// An author who freezes the environment keeps the run, and no later run meets it.
func TestAFrozenEnvironmentReachesNoLaterRun(t *testing.T) {
	t.Parallel()
	c := call(t, body(`const seen = { ...process.env }; Object.freeze(process.env); return seen`))
	for _, key := range []string{"one-key", "two-key"} {
		c.Env = map[string]secret.String{"KEY": secret.New(key)}
		out := do(t, c)
		checkErr(t, out.Err, "")
		if !sameJSON(t, out.Exports, `{"$return_value":{"KEY":"`+key+`"}}`) {
			t.Errorf("got %s", out.Exports)
		}
	}
}

// What a run leaves to run later has no variables any more.
func TestVariablesEndWithTheirRun(t *testing.T) {
	t.Parallel()
	c := call(t, `
let late;
export default defineComponent({ async run() {
  const earlier = await late;
  const { promise, resolve } = Promise.withResolvers();
  late = promise;
  setTimeout(() => resolve(process.env.KEY ?? "nothing"), 50);
  return earlier ?? "first";
} });`)
	c.Env = map[string]secret.String{"KEY": secret.New("a-key")}
	if out := do(t, c); !sameJSON(t, out.Exports, `{"$return_value":"first"}`) {
		t.Errorf("got %s", out.Exports)
	}
}
