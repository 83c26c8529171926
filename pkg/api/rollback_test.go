package api_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func TestRollback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []map[string]string
	for _, code := range []string{"one", "two", "three"} {
		all = append(all, deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", code))))
	}
	w.dev.writes()
	rollback := of(all[0]["workflow_id"], "rollback")
	serves := func(got, want map[string]string) {
		t.Helper()
		e := w.dev.endpoints[behalf.EndpointID(want["endpoint_id"])]
		if fmt.Sprint(got) != fmt.Sprint(want) || string(e.Version) != want["version"] {
			t.Errorf("answer %v, want %v; %s serves", got, want, e.Version)
		}
	}
	serves(deployed(t, w.call(ours, "POST", rollback, "")), all[1])
	if writes := w.dev.writes(); !slices.Equal(writes, []string{"PutWorkflow", "PutEndpoint"}) {
		t.Errorf("writes %v", writes)
	}
	serves(deployed(t, w.call(ours, "POST", rollback, "")), all[0])
	flat(t, w.call(ours, "POST", rollback, ""), 404, "not_found") // nothing served before
	serves(deployed(t, w.call(ours, "POST", rollback, `{"version":"`+all[2]["version"]+`"}`)), all[2])
	w.dev.writes()
	serves(deployed(t, w.call(ours, "POST", rollback, `{"version":"`+all[2]["version"]+`"}`)), all[2])
	if writes := w.dev.writes(); len(writes) > 0 {
		t.Errorf("what serves already was written again: %v", writes)
	}
	if a := w.call(ours, "GET", "/v1/workflows/"+all[0]["workflow_id"], ""); a.field(t, "served.0") != all[2]["version"] || a.field(t, "served.2") != all[0]["version"] {
		t.Errorf("%s", a.body)
	}
	if done := w.prod.writes(); len(done) > 0 {
		t.Errorf("production was changed: %v", done)
	}
}

// A version that the other environment alone has seen does not serve by a rollback.
func TestRollbackRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "one")))
	second := deployed(t, w.call(ours, "POST", "/v1/deploy", strings.Replace(bundle("oauth", "one"), `"notify"`, `"second"`, 1)))
	deployed(t, w.call(ours, "POST", of(one["workflow_id"], "promote"), ""))
	two := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "two")))
	w.prod.writes()
	w.dev.writes()
	rollback := of(one["workflow_id"], "rollback")
	production := []string{"X-Pd-Environment", "production"}
	for name, c := range map[string]struct {
		a      answer
		status int
		code   string
	}{
		"no earlier version":               {w.call(ours, "POST", rollback, "", production...), 404, "not_found"},
		"a version of development alone":   {w.call(ours, "POST", rollback, `{"version":"`+two["version"]+`"}`, production...), 404, "not_found"},
		"another workflow's version":       {w.call(ours, "POST", rollback, `{"version":"`+second["version"]+`"}`), 404, "not_found"},
		"what is no version id":            {w.call(ours, "POST", rollback, `{"version":"one"}`), 400, "invalid"},
		"an unknown workflow":              {w.call(ours, "POST", of("p_abc", "rollback"), ""), 404, "not_found"},
		"what is no workflow id":           {w.call(ours, "POST", of("notify", "rollback"), ""), 404, "not_found"},
		"another project's workflow":       {w.call(other, "POST", rollback, ""), 404, "not_found"},
		"who may not act in production":    {w.call(developer, "POST", rollback, "", production...), 403, "forbidden"},
		"who may invoke and connect alone": {w.call(backend, "POST", rollback, ""), 403, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flat(t, c.a, c.status, c.code)
		})
	}
	if done := slices.Concat(w.prod.writes(), w.dev.writes()); len(done) > 0 {
		t.Errorf("something was changed: %v", done)
	}
}

// TestRollbackIsMended breaks a rollback at each write. The same again must not go back twice.
func TestRollbackIsMended(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Version", "Workflow", "PutWorkflow", "Endpoint", "PutEndpoint"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var all []map[string]string
			for _, code := range []string{"one", "two", "three"} {
				all = append(all, deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", code))))
			}
			rollback := of(all[0]["workflow_id"], "rollback")
			w.dev.fail(method, fault.Wrap(fault.Unavailable, "store", errors.New("away")))
			flat(t, w.call(ours, "POST", rollback, ""), 503, "unavailable")
			w.dev.fail(method, nil)
			body := ""
			if method == "PutEndpoint" { // the record was written, the endpoint was not
				flat(t, w.call(ours, "POST", rollback, ""), 409, "conflict")
				body = `{"version":"` + all[1]["version"] + `"}`
			}
			got := deployed(t, w.call(ours, "POST", rollback, body))
			if e := w.dev.endpoints[behalf.EndpointID(all[0]["endpoint_id"])]; got["version"] != all[1]["version"] || string(e.Version) != all[1]["version"] {
				t.Errorf("%v, endpoint %+v", got, e)
			}
		})
	}
}

// A trigger's token lasts over a rollback, and where the earlier version has one and the later had none it is new.
func TestRollbackKeepsTheTriggerToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "one")))
	deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("token", "two")))
	rollback := of(first["workflow_id"], "rollback")
	back := deployed(t, w.call(ours, "POST", rollback, ""))
	hash := w.dev.endpoints[behalf.EndpointID(first["endpoint_id"])].TokenHash
	if back["trigger_token"] != "" || !auth.Matches(secret.New(first["trigger_token"]), hash) {
		t.Error("the token did not last")
	}
	deployed(t, w.call(ours, "POST", "/v1/deploy", bundle("oauth", "two")))
	back = deployed(t, w.call(ours, "POST", rollback, ""))
	hash = w.dev.endpoints[behalf.EndpointID(first["endpoint_id"])].TokenHash
	if back["version"] != first["version"] || !auth.Matches(secret.New(back["trigger_token"]), hash) {
		t.Errorf("%v", back)
	}
}
