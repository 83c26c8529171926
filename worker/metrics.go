package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/bus"
)

// Outcomes of runs that are no code of a failure.
const (
	outcomeOK       = "ok"
	outcomeWaiting  = "waiting"
	outcomeCanceled = "canceled"
)

type metrics struct {
	runs     *prometheus.CounterVec
	duration prometheus.Histogram
	steps    *prometheus.CounterVec
	stepTime *prometheus.HistogramVec
	busy     prometheus.Gauge
	dead     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, env behalf.Environment, slots int) *metrics {
	f := promauto.With(reg) // nil: they work and go nowhere, which tests want
	constant := prometheus.Labels{"environment": string(env)}
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: "behalf", Name: name, Help: help, ConstLabels: constant}, labels)
	}
	f.NewGauge(prometheus.GaugeOpts{Namespace: "behalf", Name: "worker_slots", Help: "Runs that may execute at once.", ConstLabels: constant}).Set(float64(slots))
	m := &metrics{
		runs: counter("runs_total", "Attempts of runs by outcome: ok, waiting, canceled, or the code of the failure.", "outcome"),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "behalf", Name: "run_duration_seconds", Help: "Time from taking an event to its durable result.", ConstLabels: constant, Buckets: buckets,
		}),
		steps: counter("steps_total", "Steps by runtime and outcome.", "runtime", "outcome"),
		stepTime: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "behalf", Name: "step_duration_seconds", Help: "Time in a step.", ConstLabels: constant, Buckets: buckets,
		}, []string{"runtime"}),
		busy: f.NewGauge(prometheus.GaugeOpts{Namespace: "behalf", Name: "worker_slots_busy", Help: "Runs that execute right now.", ConstLabels: constant}),
		dead: counter("dead_letters_total", "Events sent to the dead letters, by reason.", "reason"),
	}
	return m.zero()
}

// step counts a step and tells its outcome.
func (m *metrics) step(s behalf.Step, o behalf.Outcome, took time.Duration) string {
	runtime := "action"
	if s.Source != nil {
		runtime = string(s.Source.Runtime)
	}
	outcome := "ok"
	switch {
	case o.Cut:
		outcome = "timeout"
	case o.Err != nil:
		outcome = "failed"
	}
	m.steps.WithLabelValues(runtime, outcome).Inc()
	m.stepTime.WithLabelValues(runtime).Observe(took.Seconds())
	return outcome
}

// zero shows the counters that alerts are made of before anything has happened.
func (m *metrics) zero() *metrics {
	for _, outcome := range []string{outcomeOK, outcomeWaiting, outcomeCanceled, string(behalf.CodeStepFailed), string(behalf.CodeRunTimeout), string(behalf.CodePlatformError), string(behalf.CodeVersionUnavailable)} {
		m.runs.WithLabelValues(outcome)
	}
	for _, reason := range []bus.Reason{bus.ReasonWorkerLost, bus.ReasonMalformed, bus.ReasonVersion, bus.ReasonJournalEvicted, bus.ReasonPlatform} {
		m.dead.WithLabelValues(string(reason))
	}
	return m
}
