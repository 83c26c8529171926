package vault

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/fault"
)

type metrics struct {
	requests *prometheus.HistogramVec
	logins   *prometheus.CounterVec
	ends     prometheus.Gauge
	circuit  prometheus.Gauge
	works    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg) // nil: they work and go nowhere, which tests want
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Namespace: "behalf", Subsystem: "vault", Name: name, Help: help})
	}
	m := &metrics{
		requests: f.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "behalf", Subsystem: "vault", Name: "request_duration_seconds", Help: "Time of requests to Vault, by operation and outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"op", "outcome"}),
		logins: f.NewCounterVec(prometheus.CounterOpts{
			Namespace: "behalf", Subsystem: "vault", Name: "logins_total", Help: "Logins to Vault, by outcome.",
		}, []string{"outcome"}),
		ends:    gauge("token_expiry_timestamp_seconds", "When our token ends unless it is renewed. 0 where it does not."),
		circuit: gauge("circuit_open", "1 while requests are kept back because Vault fails."),
		works:   gauge("up", "1 while Vault works for us."),
	}
	for _, outcome := range []string{"ok", "failed"} {
		m.logins.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) request(op string, err error, took time.Duration) {
	outcome := "ok"
	if err != nil {
		outcome = fault.KindOf(err).String()
	}
	m.requests.WithLabelValues(op, outcome).Observe(took.Seconds())
}

func (m *metrics) login(err error) {
	if err != nil {
		m.logins.WithLabelValues("failed").Inc()
		return
	}
	m.logins.WithLabelValues("ok").Inc()
}

func (m *metrics) lives(seconds int) {
	if seconds == 0 {
		m.ends.Set(0)
		return
	}
	m.ends.Set(float64(time.Now().Add(time.Duration(seconds) * time.Second).Unix()))
}

func (m *metrics) closed(is bool) { m.circuit.Set(one(is)) }

func (m *metrics) up(is bool) { m.works.Set(one(is)) }

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
