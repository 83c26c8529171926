package connect

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

type metrics struct{ tries *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{tries: f.NewCounterVec(prometheus.CounterOpts{
		Namespace: "behalf", Subsystem: "connect", Name: "tries_total", Help: "Tries of users to connect an account, by app and outcome.",
	}, []string{"app", "outcome"})}
}

func (m *metrics) count(app behalf.AppSlug, outcome string) {
	m.tries.WithLabelValues(string(app), outcome).Inc()
}
