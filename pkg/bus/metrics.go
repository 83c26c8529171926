package bus

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

type metrics struct {
	pending   prometheus.Gauge
	oldest    prometheus.Gauge
	dead      prometheus.Gauge
	timers    prometheus.Gauge
	redeliver *prometheus.CounterVec
	stalls    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, env behalf.Environment, conn *Conn) *metrics {
	f := promauto.With(reg) // nil: they work and go nowhere, which tests want
	constant := prometheus.Labels{"environment": string(env)}
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "behalf", Name: name, Help: help, ConstLabels: constant}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	f.NewGaugeFunc(prometheus.GaugeOpts(opts("nats_connected", "1 while a NATS server is connected.")), func() float64 {
		if conn.Connected() {
			return 1
		}
		return 0
	})
	f.NewCounterFunc(prometheus.CounterOpts(opts("nats_reconnects_total", "Times a NATS server was found again.")), func() float64 {
		return float64(conn.Reconnects())
	})
	f.NewCounterFunc(prometheus.CounterOpts(opts("nats_permission_violations_total", "Refusals for want of permission.")), func() float64 {
		return float64(conn.Violations())
	})
	return &metrics{
		pending: gauge("queue_pending_events", "Events accepted and not finished."),
		oldest:  gauge("queue_oldest_event_age_seconds", "Age of the oldest unfinished event."),
		dead:    gauge("dead_letters", "Events in the dead letters."),
		timers:  gauge("timers_pending", "Runs that wait for a timer, and fired timers not yet finished."),
		redeliver: f.NewCounterVec(prometheus.CounterOpts(opts("queue_redeliveries_total", "Deliveries that may have been handled before, by cause.")),
			[]string{"cause"}),
		stalls: f.NewCounter(prometheus.CounterOpts(opts("queue_stalled_pulls_total", "Pulls that the watchdog made anew."))),
	}
}
