package ingress

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

func TestWorkflowsBeyondTheCapShareALabel(t *testing.T) {
	t.Parallel()
	m := newMetrics(prometheus.NewRegistry())
	for i := range maxWorkflows + 500 {
		for range 2 {
			m.request(requestKey{behalf.Production, behalf.WorkflowID(fmt.Sprintf("p_%d", i)), outcomeOK}).Inc()
		}
	}
	if n := testutil.CollectAndCount(m.requests); n != maxWorkflows+1 {
		t.Errorf("%d series", n)
	}
	if n := testutil.ToFloat64(m.requests.WithLabelValues("production", otherWorkflow, outcomeOK)); n != 1000 {
		t.Errorf("%v requests of other workflows", n)
	}
	if len(m.counters) != maxWorkflows {
		t.Errorf("%d counters are kept", len(m.counters))
	}
}
