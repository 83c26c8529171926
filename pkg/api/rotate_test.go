package api_test

import (
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func rotateOf(endpoint string) string { return "/v1/endpoints/" + endpoint + "/token" }

func TestRotateToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
	production := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one"), "X-Pd-Environment", "production"))
	id := behalf.EndpointID(first["endpoint_id"])
	before := w.dev.endpoints[id]
	w.dev.writes()
	got := deployed(t, w.call(ours, "POST", rotateOf(string(id)), ""))
	after := w.dev.endpoints[id]
	if !auth.Matches(secret.New(got["trigger_token"]), after.TokenHash) || auth.Matches(secret.New(first["trigger_token"]), after.TokenHash) {
		t.Errorf("told %v, stored %s", got, after.TokenHash)
	}
	if got["environment"] != "development" || got["endpoint_id"] != string(id) || got["workflow_id"] != first["workflow_id"] {
		t.Errorf("got %v", got)
	}
	before.TokenHash = after.TokenHash
	if writes := w.dev.writes(); len(writes) != 1 || writes[0] != "PutEndpoint" || before.Version != after.Version || before.Trigger.Auth != after.Trigger.Auth {
		t.Errorf("it wrote %v: %+v", writes, after)
	}
	if e := w.prod.endpoints[id]; !auth.Matches(secret.New(production["trigger_token"]), e.TokenHash) {
		t.Error("the other environment's token changed too")
	}
	if strings.Contains(w.log.String(), got["trigger_token"]) {
		t.Error("the token is in the log")
	}
	// A later deploy keeps it.
	if again := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "two"))); again["trigger_token"] != "" || w.dev.endpoints[id].TokenHash != after.TokenHash {
		t.Errorf("a deploy makes it %v", again)
	}
}

func TestRotateTokenWhereThereIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))["endpoint_id"]
	w.dev.writes()
	a := w.call(ours, "POST", rotateOf(open), "")
	flat(t, a, 400, "invalid")
	if !strings.Contains(a.body, "auth: oauth") {
		t.Errorf("it does not say what is wrong: %s", a.body)
	}
	flat(t, w.call(ours, "POST", rotateOf(open), "", "X-Pd-Environment", "production"), 404, "not_found")
	unknown := w.call(ours, "POST", rotateOf("enabc"), "")
	theirs := w.call(other, "POST", rotateOf(open), "")
	flat(t, unknown, 404, "not_found")
	if theirs.status != unknown.status || theirs.body != unknown.body {
		t.Errorf("another project's endpoint looks like %d %s", theirs.status, theirs.body)
	}
	flat(t, w.call(ours, "POST", rotateOf("not-an-id"), ""), 404, "not_found")
	flat(t, w.call(ours, "POST", rotateOf(open)+"?x=1", ""), 400, "invalid")
	if writes := w.dev.writes(); len(writes) > 0 {
		t.Errorf("it wrote %v", writes)
	}
}

// Whoever rotates at once with a deploy loses nothing: each sees the other's state and goes on from it.
func TestRotateTokenRacesADeploy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))["endpoint_id"]
	token, done := w.token(ours), make(chan answer, 1)
	go func() {
		done <- w.call("", "POST", "/v1/deploy", bundle("token", "two"), "Authorization", "Bearer "+token)
	}()
	rotated := deployed(t, w.call("", "POST", rotateOf(id), "", "Authorization", "Bearer "+token))
	second := deployed(t, <-done)
	e := w.dev.endpoints[behalf.EndpointID(id)]
	if !auth.Matches(secret.New(rotated["trigger_token"]), e.TokenHash) || string(e.Version) != second["version"] {
		t.Errorf("%+v", e)
	}
}
