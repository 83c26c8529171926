//go:build integration

package test

import (
	"fmt"
	"strings"
)

// flow is a workflow file with one HTTP trigger and the given steps, each run by the file of its name.
func flow(auth, respond, extra string, steps ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: A test\ntriggers:\n  - { type: http, auth: %s, respond: %s }\nsteps:\n", auth, respond)
	for _, s := range steps {
		name, accounts, _ := strings.Cut(s, " ")
		fmt.Fprintf(&b, "  - { name: %s, run: %s.mjs%s }\n", name, name, accounts)
	}
	return b.String() + extra
}

// calling is a step that calls the vendor for the event of its request, holds the run for a while, and answers.
func calling(hold int, answer string) string {
	return fmt.Sprintf(`export default defineComponent({ async run({ steps, $ }) {
  const event = steps.trigger.event.body.event;
  const res = await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event }), headers: {
    "content-type": "application/json", "idempotency-key": $.context.idempotency_key } });
  await res.text();
  await new Promise((done) => setTimeout(done, %d));
  %s
} });
`, hold, answer)
}

// respond answers with the event of the request.
const respond = `$.respond({ status: 200, body: { event } });`

// oneStep is a workflow whose one step calls the vendor.
func oneStep(mode string, hold int) map[string]string {
	answer := ""
	if mode == "custom" {
		answer = respond
	}
	return map[string]string{"workflow.yaml": flow("oauth", mode, "", "only"), "only.mjs": calling(hold, answer)}
}

func event(name string) string { return fmt.Sprintf(`{"event":%q}`, name) }
