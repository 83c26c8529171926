package refresh

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

type metrics struct {
	refreshes *prometheus.CounterVec
}

// The outcomes of a refresh, besides the states of an account.
const (
	outcomeOK         = "ok"
	outcomeLater      = "later"
	outcomeSuperseded = "superseded" // the account was connected again meanwhile
)

func newMetrics(reg prometheus.Registerer, env behalf.Environment) *metrics {
	f := promauto.With(reg) // nil: they work and go nowhere, which tests want
	return &metrics{refreshes: f.NewCounterVec(prometheus.CounterOpts{
		Namespace: "behalf", Subsystem: "credential", Name: "refreshes_total", Help: "Refreshes of credentials by app and outcome.",
		ConstLabels: prometheus.Labels{"environment": string(env)},
	}, []string{"app", "outcome"})}
}

// count has labels from the catalogue and a closed set, never of a user.
func (m *metrics) count(app behalf.AppSlug, outcome string) {
	m.refreshes.WithLabelValues(string(app), outcome).Inc()
}
