package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
)

// metric is a figure of a sample that is compared, with the goal of its ratio where the design sets one.
type metric struct {
	name    string
	clients int
	of      func(sample) float64
	goal    figures.Goal
}

func rate(s sample) float64 { return s.Load.Rate }
func p50(s sample) float64  { return s.Load.P50 }
func p99(s sample) float64  { return s.Load.P99 }
func cpu(s sample) float64  { return s.CPU.sum() }
func rss(s sample) float64  { return s.RSS.sum() }

// metrics lists what is compared for a number of clients. Three of them have goals: "p50 at one client ≤ 1.5×, rate at
// 32 clients ≥ 0.75×, CPU per run ≤ 1.4× of the bare pipeline; never above 1.6×, below 0.70×, above 1.45×". CPU is
// judged at 32 clients, where it is work and not the waking of idle cores.
func metrics(clients int) []metric {
	all := []metric{
		{name: "rate", of: rate}, {name: "p50", of: p50}, {name: "p99", of: p99}, {name: "cpu", of: cpu}, {name: "rss", of: rss},
	}
	for i := range all {
		all[i].clients = clients
		switch m := &all[i]; {
		case m.name == "p50" && clients == 1:
			m.goal = figures.Goal{Name: m.name, Want: 1.5, Limit: 1.6}
		case m.name == "rate" && clients == 32:
			m.goal = figures.Goal{Name: m.name, Want: 0.75, Limit: 0.70}
		case m.name == "cpu" && clients == 32:
			m.goal = figures.Goal{Name: m.name, Want: 1.4, Limit: 1.45}
		}
	}
	return all
}

// report is all that was measured, and what it comes to.
type report struct {
	At     time.Time `json:"at"`
	Split  bool      `json:"split"`
	Rounds int       `json:"rounds"`
	// Medians are over all rounds, for each system and number of clients.
	Medians []medians `json:"medians"`
	// Ratios are medians of the ratios of each round. There are none where one system was measured alone.
	Ratios []ratio `json:"ratios,omitempty"`
	// Errors counts requests that were not answered rightly.
	Errors int `json:"errors"`
	// Within says that no ratio is beyond its limit and no answer was wrong.
	Within  bool     `json:"within"`
	Samples []sample `json:"samples"`
}

type medians struct {
	System  string  `json:"system"`
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	CPU     perPart `json:"cpu_seconds_per_1000_runs"`
	RSS     perPart `json:"rss_mib"`
}

type ratio struct {
	Name    string  `json:"name"`
	Clients int     `json:"clients"`
	Ratio   float64 `json:"ratio"`
	// Goal, Limit and Verdict are of those ratios that have a goal.
	Goal    float64         `json:"goal,omitempty"`
	Limit   float64         `json:"limit,omitempty"`
	Verdict figures.Verdict `json:"verdict,omitempty"`

	sign string
}

func newReport(o options, systems []system, samples []sample) report {
	r := report{At: time.Now().UTC().Truncate(time.Second), Split: o.split, Rounds: o.loads.rounds, Within: true, Samples: samples}
	for _, s := range samples {
		r.Errors += s.Load.Errors.Sum()
	}
	r.Within = r.Errors == 0
	for _, clients := range o.loads.clients {
		for _, s := range systems {
			r.Medians = append(r.Medians, mediansOf(s.name, clients, samples))
		}
		if len(systems) == 2 {
			r.compare(metrics(clients))
		}
	}
	return r
}

func (r *report) compare(all []metric) {
	for _, m := range all {
		ours, theirs := values(r.Samples, behalfName, m.clients, m.of), values(r.Samples, bareName, m.clients, m.of)
		c := ratio{Name: m.name, Clients: m.clients, Ratio: figures.MedianRatio(ours, theirs)}
		if m.goal.Name != "" {
			c.Goal, c.Limit, c.sign = m.goal.Want, m.goal.Limit, m.goal.Sign()
			c.Verdict = m.goal.Of(c.Ratio)
			r.Within = r.Within && c.Verdict != figures.Fail
		}
		r.Ratios = append(r.Ratios, c)
	}
}

// values are a figure of one system and number of clients, by round, whatever the order it was measured in.
func values(samples []sample, name string, clients int, of func(sample) float64) []float64 {
	samples = slices.SortedStableFunc(slices.Values(samples), func(a, b sample) int { return cmp.Compare(a.Round, b.Round) })
	var all []float64
	for _, s := range samples {
		if s.System == name && s.Clients == clients {
			all = append(all, of(s))
		}
	}
	return all
}

func mediansOf(name string, clients int, samples []sample) medians {
	median := func(of func(sample) float64) float64 { return figures.Median(values(samples, name, clients, of)) }
	return medians{
		System: name, Clients: clients,
		Rate: median(rate), P50: median(p50), P99: median(p99),
		CPU: perPart{median(func(s sample) float64 { return s.CPU.Own }), median(func(s sample) float64 { return s.CPU.Children })},
		RSS: perPart{median(func(s sample) float64 { return s.RSS.Own }), median(func(s sample) float64 { return s.RSS.Children })},
	}
}

// text is the report to read.
func (r report) text() string {
	how := "one process each"
	if r.Split {
		how = "split, beside a nats-server each"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, medians of %d rounds; CPU in seconds per 1000 runs and RSS in MiB, ours + Node's\n\n", how, r.Rounds)
	lines := []string{"clients\tsystem\trate/s\tp50 ms\tp99 ms\tcpu\trss"}
	for _, m := range r.Medians {
		lines = append(lines, fmt.Sprintf("%d\t%s\t%.0f\t%.2f\t%.2f\t%.3f + %.3f\t%.0f + %.0f",
			m.Clients, m.System, m.Rate, m.P50, m.P99, m.CPU.Own, m.CPU.Children, m.RSS.Own, m.RSS.Children))
	}
	b.WriteString(table(lines))
	if len(r.Ratios) > 0 {
		b.WriteString("\nbehalf to bare, medians of the ratios of each round (PASS within the goal, GOAL missed but within the limit, FAIL beyond it)\n\n")
		b.WriteString(table(r.ratioLines()))
	}
	if r.Errors > 0 {
		fmt.Fprintf(&b, "\nFAIL: %d requests were not answered rightly\n", r.Errors)
	}
	return b.String()
}

func (r report) ratioLines() []string {
	lines := []string{"clients\tratio\t\tgoal\tlimit\t"}
	for _, c := range r.Ratios {
		goal, limit := "", ""
		if c.Verdict != "" {
			goal, limit = fmt.Sprintf("%s %.2f", c.sign, c.Goal), fmt.Sprintf("%s %.2f", c.sign, c.Limit)
		}
		lines = append(lines, fmt.Sprintf("%d\t%s\t%.2f\t%s\t%s\t%s", c.Clients, c.Name, c.Ratio, goal, limit, c.Verdict))
	}
	return lines
}

// table sets the cells of the lines, separated by tabs, below one another.
func table(lines []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range lines {
		_, _ = w.Write([]byte(line + "\t\n")) // a strings.Builder takes everything
	}
	_ = w.Flush()
	return b.String()
}
