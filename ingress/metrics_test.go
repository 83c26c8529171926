package ingress_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	w.registry = reg
	s := w.server()
	send := func(headers string) { serve(s, request(http.MethodPost, "", headers, "")) }
	send(oauth) // nobody answers
	w.answers(behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: "x"}})
	send(oauth)
	send("")
	send("Authorization: Bearer bad")
	send("x-pd-environment: staging")
	refuses(fault.Exhausted)(w)
	send(oauth)
	want := `
# HELP behalf_ingress_requests_total Requests by environment, workflow and outcome: ok, accepted, test_event, preflight, file, or the code of the failure.
# TYPE behalf_ingress_requests_total counter
behalf_ingress_requests_total{environment="none",outcome="environment_invalid",workflow="none"} 1
behalf_ingress_requests_total{environment="production",outcome="ok",workflow="p_1"} 1
behalf_ingress_requests_total{environment="production",outcome="queue_full",workflow="p_1"} 1
behalf_ingress_requests_total{environment="production",outcome="running",workflow="p_1"} 1
behalf_ingress_requests_total{environment="production",outcome="unauthenticated",workflow="p_1"} 2
# HELP behalf_ingress_auth_failures_total Requests that were not let in, by reason.
# TYPE behalf_ingress_auth_failures_total counter
behalf_ingress_auth_failures_total{reason="invalid"} 1
behalf_ingress_auth_failures_total{reason="no_bearer"} 1
# HELP behalf_ingress_backpressure_rejections_total Requests of which nothing was accepted and that may be sent again, by reason.
# TYPE behalf_ingress_backpressure_rejections_total counter
behalf_ingress_backpressure_rejections_total{reason="queue_full"} 1
# HELP behalf_ingress_sync_timeouts_total Callers whose wait was over before the result came.
# TYPE behalf_ingress_sync_timeouts_total counter
behalf_ingress_sync_timeouts_total{environment="development"} 0
behalf_ingress_sync_timeouts_total{environment="production"} 1
# HELP behalf_ingress_requests_in_flight Requests being served.
# TYPE behalf_ingress_requests_in_flight gauge
behalf_ingress_requests_in_flight 0
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "behalf_ingress_requests_total", "behalf_ingress_auth_failures_total",
		"behalf_ingress_backpressure_rejections_total", "behalf_ingress_sync_timeouts_total", "behalf_ingress_requests_in_flight")
	if err != nil {
		t.Error(err)
	}
}
