package refresh

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

type metrics struct {
	refreshes *prometheus.CounterVec
	kept      *prometheus.CounterVec
	accounts  *prometheus.GaugeVec
	overdue   prometheus.Gauge
	keeping   prometheus.Gauge
}

// The outcomes of a refresh, besides the states of an account.
const (
	outcomeOK         = "ok"
	outcomeLater      = "later"
	outcomeSuperseded = "superseded" // the account was connected again meanwhile
)

// The outcomes of an account's turn in the background.
const (
	keptOK    = "ok"
	keptLater = "later" // it is tried again
	keptNot   = "not"   // there was nothing to refresh, or somebody else was quicker
	keptEnded = "ended" // it must be connected again, or has no credential
)

func newMetrics(reg prometheus.Registerer, env behalf.Environment) *metrics {
	f := promauto.With(reg) // nil: they work and go nowhere, which tests want
	labels := prometheus.Labels{"environment": string(env)}
	counter := func(name, help string, names ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Namespace: "behalf", Subsystem: "credential", Name: name, Help: help, ConstLabels: labels}, names)
	}
	gauge := func(name, help string, names ...string) *prometheus.GaugeVec {
		return f.NewGaugeVec(prometheus.GaugeOpts{Namespace: "behalf", Subsystem: "credential", Name: name, Help: help, ConstLabels: labels}, names)
	}
	return &metrics{
		refreshes: counter("refreshes_total", "Refreshes of credentials by app and outcome.", "app", "outcome"),
		kept:      counter("background_refreshes_total", "Turns of accounts that nobody uses, by app and outcome.", "app", "outcome"),
		accounts:  gauge("accounts", "Accounts by state, as the worker that keeps them read them last, within the hour.", "state"),
		overdue:   gauge("overdue_accounts", "Accounts whose next refresh is overdue, at the worker that keeps them.").WithLabelValues(),
		keeping:   gauge("keeping", "1 at the one worker that refreshes accounts that nobody uses.").WithLabelValues(),
	}
}

// count has labels from the catalogue and a closed set, never of a user.
func (m *metrics) count(app behalf.AppSlug, outcome string) {
	m.refreshes.WithLabelValues(string(app), outcome).Inc()
}
