package step_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

// A module global is what ported code sets; a run that awaits is where another user's run would change it.
const globalSetter = `
let token; // of the run in flight, if there is just one
export default defineComponent({
  props: { slack: { type: "app", app: "slack" } },
  async run({ steps, $ }) {
    token = this.slack.$auth.oauth_access_token;
    globalThis.last = token;
    console.log(token);
    await new Promise((r) => setTimeout(r, steps.trigger.event.body.pause));
    return { mine: token, global: globalThis.last, expected: steps.trigger.event.body.token };
  },
});`

func TestTwoUsersInterleavedNeverSeeEachOther(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for user := range 2 {
		for lane := range 4 {
			all.Go(func() {
				for n := range 25 {
					oneUsersRun(t, fmt.Sprintf("xoxb-user%d-lane%d-run%d", user, lane, n), n%3)
				}
			})
		}
	}
	all.Wait()
}

func oneUsersRun(t *testing.T, token string, pause int) {
	t.Helper()
	c := call(t, globalSetter)
	c.Apps = map[string]step.App{"slack": {Slug: "slack", Auth: map[string]secret.String{"oauth_access_token": secret.New(token)}}}
	c.Steps = json.RawMessage(fmt.Sprintf(`{"trigger":{"event":{"body":{"token":%q,"pause":%d}}}}`, token, pause))
	out := do(t, c)
	var got struct {
		Value struct {
			Mine     string `json:"mine"`
			Global   string `json:"global"`
			Expected string `json:"expected"`
		} `json:"$return_value"`
	}
	if err := json.Unmarshal(out.Exports, &got); err != nil {
		t.Errorf("%v, error %+v", err, out.Err)
		return
	}
	if v := got.Value; v.Mine != token || v.Global != token || v.Expected != token {
		t.Errorf("the run of %s saw %+v", token, v)
	}
	if len(out.Logs) != 1 || out.Logs[0].Text != token {
		t.Errorf("the run of %s has the logs %+v", token, out.Logs)
	}
}

// What a run leaves behind in its process speaks to no later run: not in its logs, its exports or its error.
func TestLeftoversOfARunDoNotReachTheNext(t *testing.T) {
	t.Parallel()
	for name, leftover := range map[string]string{
		"a timer that prints":    `setInterval(() => { console.log("leak"); process.stdout.write("leak") }, 1).unref()`,
		"a late export":          `setTimeout(() => { $.export("leak", 1); $.respond({ body: "leak" }); $.flow.exit("leak") }, 10)`,
		"a late throw":           `setTimeout(() => { throw new Error("leak") }, 10)`,
		"a late rejection":       `setTimeout(() => { Promise.reject(new Error("leak")) }, 10)`,
		"a late process.exit":    `setTimeout(() => { process.exit(1) }, 10)`,
		"a late string":          `setTimeout(() => { throw "leak" }, 10)`,
		"all the time it throws": `setInterval(() => { throw new Error("leak") }, 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaver := call(t, body(leftover+"; return 1"))
			leaver.Version = behalf.ContentVersionID([]byte(t.Name()))
			if out := do(t, leaver); out.Err != nil {
				t.Fatalf("%+v", out.Err)
			}
			for range 2 {
				next := call(t, body(`console.log("mine"); await new Promise((r) => setTimeout(r, 40)); return "mine"`))
				next.Version = leaver.Version
				out := do(t, next)
				if out.Err != nil || !sameJSON(t, out.Exports, `{"$return_value":"mine"}`) || out.Response != nil || out.Exit != nil {
					t.Errorf("exports %s, error %+v, response %v", out.Exports, out.Err, out.Response)
				}
				if len(out.Logs) != 1 || out.Logs[0].Text != "mine" {
					t.Errorf("logs %+v", out.Logs)
				}
			}
		})
	}
}

// A warm guest answers without a new start.
func TestAWarmGuestIsUsedAgain(t *testing.T) { //nolint:paralleltest // beside others it might lose its guest to them
	c := call(t, "let n = 0;\nexport default { run: () => ++n }")
	for n := 1; n <= 3; n++ {
		if out := do(t, c); !sameJSON(t, out.Exports, fmt.Sprintf(`{"$return_value":%d}`, n)) || out.Duration <= 0 || out.Duration > 10*time.Second {
			t.Errorf("run %d: %s after %v, %+v", n, out.Exports, out.Duration, out.Err)
		}
	}
}

func TestSecretsAreRevealedIntoTheFrameAlone(t *testing.T) {
	t.Parallel()
	c := call(t, "")
	c.Apps = map[string]step.App{"slack": {Slug: "slack", Auth: map[string]secret.String{"token": secret.New("xoxb-canary")}}}
	if printed := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(printed, "canary") {
		t.Error("a printed call shows its secret")
	}
}
