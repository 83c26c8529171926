package ingress

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The outcomes that are no code of a failure.
const (
	outcomeOK        = "ok"
	outcomeAccepted  = "accepted"
	outcomePreflight = "preflight"
	outcomeFile      = "file"
	outcomeGone      = "client_gone"
	outcomeAborted   = "aborted"
)

const (
	// maxWorkflows is how many workflows have a label of their own.
	maxWorkflows  = 1000
	otherWorkflow = "other"
	noWorkflow    = "none"
)

// metrics are what an operator learns of the ingress. Vectors are asked once for each set of labels: asking costs more
// than counting.
type metrics struct {
	requests     *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	published    *prometheus.HistogramVec
	waited       *prometheus.HistogramVec
	timeouts     *prometheus.CounterVec
	authFailures *prometheus.CounterVec
	backpressure *prometheus.CounterVec
	inFlight     prometheus.Gauge
	unplaced     prometheus.Observer

	mu       sync.RWMutex
	counters map[requestKey]prometheus.Counter
	labelled map[behalf.WorkflowID]struct{}
}

// environmentMetrics are the metrics of one environment, asked for once.
type environmentMetrics struct {
	duration  prometheus.Observer
	waited    prometheus.Observer
	timeouts  prometheus.Counter
	published [publishUnknown + 1]prometheus.Observer
}

type requestKey struct {
	environment behalf.Environment
	workflow    behalf.WorkflowID
	outcome     string
}

// newMetrics registers the metrics. A nil registerer makes metrics that go nowhere.
func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		requests:     f.NewCounterVec(counter("requests_total", "Requests by environment, workflow and outcome: ok, accepted, test_event, preflight, file, or the code of the failure."), []string{"environment", "workflow", "outcome"}),
		duration:     f.NewHistogramVec(histogram("request_duration_seconds", "Time from the first byte of a request to the end of its answer."), []string{"environment"}),
		published:    f.NewHistogramVec(histogram("publish_duration_seconds", "Time to store an event, by outcome."), []string{"environment", "outcome"}),
		waited:       f.NewHistogramVec(histogram("sync_wait_duration_seconds", "Time that callers waited for a result after their event was stored."), []string{"environment"}),
		timeouts:     f.NewCounterVec(counter("sync_timeouts_total", "Callers whose wait was over before the result came."), []string{"environment"}),
		authFailures: f.NewCounterVec(counter("auth_failures_total", "Requests that were not let in, by reason."), []string{"reason"}),
		backpressure: f.NewCounterVec(counter("backpressure_rejections_total", "Requests of which nothing was accepted and that may be sent again, by reason."), []string{"reason"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "behalf", Subsystem: "ingress", Name: "requests_in_flight", Help: "Requests being served.",
		}),
		counters: map[requestKey]prometheus.Counter{},
		labelled: map[behalf.WorkflowID]struct{}{},
	}
	m.unplaced = m.duration.WithLabelValues(noWorkflow)
	return m
}

func counter(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: "behalf", Subsystem: "ingress", Name: name, Help: help}
}

func histogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: "behalf", Subsystem: "ingress", Name: name, Help: help,
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}
}

func (m *metrics) of(env behalf.Environment) environmentMetrics {
	name := string(env)
	e := environmentMetrics{
		duration: m.duration.WithLabelValues(name), waited: m.waited.WithLabelValues(name), timeouts: m.timeouts.WithLabelValues(name),
	}
	e.published[publishStored] = m.published.WithLabelValues(name, "stored")
	e.published[publishRefused] = m.published.WithLabelValues(name, "refused")
	e.published[publishUnknown] = m.published.WithLabelValues(name, "unknown")
	return e
}

// request is the counter of one outcome of one workflow.
func (m *metrics) request(key requestKey) prometheus.Counter {
	m.mu.RLock()
	known, ok := m.counters[key]
	m.mu.RUnlock()
	if ok {
		return known
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newRequest(key)
}

func (m *metrics) newRequest(key requestKey) prometheus.Counter {
	workflow := m.label(key.workflow)
	made := m.requests.WithLabelValues(label(string(key.environment)), workflow, key.outcome)
	if workflow != otherWorkflow { // else the map would grow without bound
		m.counters[key] = made
	}
	return made
}

// label is the workflow's own label while there are few, then other.
func (m *metrics) label(workflow behalf.WorkflowID) string {
	if workflow == "" {
		return noWorkflow
	}
	if _, ok := m.labelled[workflow]; ok {
		return string(workflow)
	}
	if len(m.labelled) >= maxWorkflows {
		return otherWorkflow
	}
	m.labelled[workflow] = struct{}{}
	return string(workflow)
}

func label(s string) string {
	if s == "" {
		return noWorkflow
	}
	return s
}
