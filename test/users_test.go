//go:build integration

package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/subject"
)

// remembering is a step that leaves its user's token in a global of its module, waits, and looks whether it is still
// there. It tells the vendor for whom it runs, with the token that it was given.
const remembering = `let owner;
export default defineComponent({ props: { practice: { type: "app", app: "practice" } }, async run({ steps, $ }) {
  const token = this.practice.$auth.oauth_access_token;
  owner = token;
  await new Promise((done) => setTimeout(done, 2 + Math.random() * 20));
  const crossed = owner !== token;
  const user = steps.trigger.context.external_user_id;
  await fetch("VENDOR/call", { method: "POST", body: JSON.stringify({ event: user }), headers: {
    authorization: "Bearer " + token, "idempotency-key": $.context.idempotency_key } });
  $.respond({ body: { crossed, user } });
} });
`

func remember(mode string) map[string]string {
	return map[string]string{"workflow.yaml": flow("oauth", mode, "", "only , accounts: { practice: end_user }"), "only.mjs": remembering}
}

// Runs of two users, interleaved on the same guests, never see each other's token.
func TestTwoUsers(t *testing.T) {
	t.Parallel()
	const runs, clients = 200, 16
	w := newWorld(t)
	w.worker("--slots", "4")
	d := w.deploy("remember", remember("custom"))
	users := []string{"abc-123", "xyz-9"}
	for _, user := range users {
		w.account(development, user, "token-of-"+user)
	}
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for i := c; i < runs; i += clients {
				user := users[i%2]
				a := w.persist(d.PathURL, `{}`, as(user))
				if a.status != http.StatusOK || a.body != fmt.Sprintf(`{"crossed":false,"user":%q}`, user) {
					t.Errorf("as %s: %v", user, a)
				}
			}
		})
	}
	running.Wait()
	crossed := 0
	for _, c := range w.vendor.all() {
		if c.Token != "token-of-"+c.Event {
			crossed++
			t.Errorf("the vendor was called for %s with %s", c.Event, c.Token)
		}
	}
	t.Logf("%d interleaved runs of two users on 4 guests at most: %d calls of the vendor, %d crossings", runs, len(w.vendor.all()), crossed)
}

// The same user is somebody else in the other environment, of whom nothing is known.
func TestEnvironmentsAreApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("--slots", "2")
	w.workerOf(program(t, behalfProgram), production, nil, "--slots", "2")
	files := remember("custom")
	d := w.deployTo(development, "remember", files)
	p := w.deployTo(production, "remember", files)
	w.account(development, "abc-123", "token-in-development")

	first := w.post(d.PathURL, `{}`, as("abc-123"))
	if first.status != http.StatusOK {
		t.Fatal(first)
	}
	if a := w.post(p.PathURL, `{}`, as("abc-123"), in(production)); a.code() != string(behalf.CodeUserNotFound) {
		t.Errorf("production knows a user of development: %v", a)
	}
	if a := w.result(first.run(), in(production)); a.status != http.StatusNotFound {
		t.Errorf("production knows a run of development: %v", a)
	}
	for _, args := range [][]string{{"runs", "show", first.run()}, {"users", "show", "abc-123"}} {
		if out, _, code := w.run("", append(args, "--env", "production")...); code == 0 {
			t.Errorf("production knows %v: %s", args, out)
		}
	}
	if out := w.mustRun("", "accounts", "list", "--user", "abc-123", "--env", "production", "--json"); strings.TrimSpace(out) != "" {
		t.Errorf("production knows accounts of development: %s", out)
	}

	w.account(production, "abc-123", "token-in-production")
	for env, d := range map[behalf.Environment]deployed{development: d, production: p} {
		before := len(w.vendor.all())
		if a := w.post(d.PathURL, `{}`, as("abc-123"), in(env)); a.status != http.StatusOK {
			t.Errorf("%s: %v", env, a)
		}
		if calls := w.vendor.all(); len(calls) != before+1 || calls[before].Token != "token-in-"+string(env) {
			t.Errorf("%s: %v", env, calls[before:])
		}
	}
	// The credentials of one environment open nothing of the other.
	nc, js := w.nats.connect(t, development)
	for _, stream := range []string{subject.Events(production), subject.Runs(production), "KV_" + subject.Sealed(production)} {
		if _, err := js.Stream(t.Context(), stream); err == nil {
			t.Errorf("development reads %s", stream)
		}
	}
	if err := nc.Publish("evt.production.shared.x.y", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if n := w.waiting(production); n != 0 {
		t.Errorf("development publishes into production: %d", n)
	}
}
