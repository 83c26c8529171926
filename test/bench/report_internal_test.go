package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
	"github.com/behalf-dev/behalf/test/bench/proctree"
)

// bothAt32 makes one round at 32 clients: the bare pipeline does 4,000/s with 0.2 s, Behalf what is said.
func bothAt32(round int, rate, cpu float64) []sample {
	return []sample{
		{System: bareName, Clients: 32, Round: round, Load: figures.Load{Rate: 4000, P50: 8, P99: 16}, CPU: perPart{0.15, 0.05}},
		{System: behalfName, Clients: 32, Round: round, Load: figures.Load{Rate: rate, P50: 9, P99: 20}, CPU: perPart{cpu, 0}},
	}
}

func reportOf(samples ...[]sample) report {
	var all []sample
	for _, s := range samples {
		all = append(all, s...)
	}
	o := options{loads: loads{rounds: len(samples), clients: []int{32}}}
	return newReport(o, []system{{name: bareName}, {name: behalfName}}, all)
}

func TestReportJudgesMediansOfRatios(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		rates, cpus [3]float64
		within      bool
		words       []string
	}{
		"within all goals":               {[3]float64{3200, 3300, 3400}, [3]float64{0.26, 0.27, 0.28}, true, []string{"PASS", "PASS"}},
		"one bad round does not matter":  {[3]float64{3200, 100, 3400}, [3]float64{0.26, 9, 0.27}, true, []string{"PASS", "PASS"}},
		"a goal missed is still allowed": {[3]float64{2900, 2900, 2900}, [3]float64{0.26, 0.26, 0.26}, true, []string{"GOAL", "PASS"}},
		"too slow":                       {[3]float64{2700, 2700, 2700}, [3]float64{0.26, 0.26, 0.26}, false, []string{"FAIL", "PASS"}},
		"too much CPU":                   {[3]float64{3200, 3200, 3200}, [3]float64{0.30, 0.30, 0.30}, false, []string{"PASS", "FAIL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := reportOf(bothAt32(1, tt.rates[0], tt.cpus[0]), bothAt32(2, tt.rates[1], tt.cpus[1]), bothAt32(3, tt.rates[2], tt.cpus[2]))

			if r.Within != tt.within {
				t.Errorf("within is %t, want %t", r.Within, tt.within)
			}
			var words []string
			for _, c := range r.Ratios {
				if c.Verdict != "" {
					words = append(words, string(c.Verdict))
				}
			}
			if got, want := strings.Join(words, " "), strings.Join(tt.words, " "); got != want {
				t.Errorf("verdicts of rate and cpu: %s, want %s", got, want)
			}
		})
	}
}

func TestReportPairsRoundsWhateverTheOrder(t *testing.T) {
	t.Parallel()
	second := bothAt32(2, 2000, 0.2)
	second[0].Load.Rate = 2000 // the machine was slow for both
	second[0], second[1] = second[1], second[0]

	r := reportOf(second, bothAt32(1, 4000, 0.2))

	if got := r.Ratios[0]; got.Name != "rate" || got.Ratio != 1 {
		t.Errorf("got %+v, want a rate of 1", got)
	}
}

func TestReportFailsOnAWrongAnswer(t *testing.T) {
	t.Parallel()
	round := bothAt32(1, 4000, 0.2)
	round[1].Load.Errors.Echo = 1

	r := reportOf(round)

	if r.Within {
		t.Error("a wrong answer is let pass")
	}
	if !strings.Contains(r.text(), "FAIL: 1 requests were not answered rightly") {
		t.Errorf("printed:\n%s", r.text())
	}
}

func TestGoalsAreThoseOfTheDesign(t *testing.T) {
	t.Parallel()
	want := map[int]map[string]figures.Goal{
		1:  {"p50": {Name: "p50", Want: 1.5, Limit: 1.6}},
		32: {"rate": {Name: "rate", Want: 0.75, Limit: 0.70}, "cpu": {Name: "cpu", Want: 1.4, Limit: 1.45}},
		8:  {},
	}
	for clients, goals := range want {
		for _, m := range metrics(clients) {
			if m.goal != goals[m.name] {
				t.Errorf("%s at %d clients: %+v, want %+v", m.name, clients, m.goal, goals[m.name])
			}
		}
	}
}

func TestSampleSharesCPUOutOverAllRuns(t *testing.T) {
	t.Parallel()
	before := proctree.Usage{Own: proctree.Sum{CPU: 10 * time.Second}, Children: proctree.Sum{CPU: 2 * time.Second}}
	after := proctree.Usage{
		Own:      proctree.Sum{CPU: 13 * time.Second, RSS: 30 << 20},
		Children: proctree.Sum{CPU: 2500 * time.Millisecond, RSS: 110 << 20},
	}

	s := newSample(bareName, figures.Load{Total: 20_000, Measured: 15_000}, before, after)

	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	near("own", s.CPU.Own, 0.15)
	near("children", s.CPU.Children, 0.025)
	near("all", s.CPU.sum(), 0.175)
	near("rss", s.RSS.sum(), 140)
}

func TestSoakJudges(t *testing.T) {
	t.Parallel()
	s := soak{cap: 20, most: 5}
	for name, tt := range map[string]struct {
		own   []float64 // MiB at 10, 20, … events
		wrong int
		flat  bool
	}{
		"flat once full":            {[]float64{20, 40, 60, 70, 70, 70, 70}, 0, true},
		"growing on":                {[]float64{20, 30, 40, 50, 60, 70, 80}, 0, false},
		"falling":                   {[]float64{20, 30, 60, 70, 69, 68, 67}, 0, true},
		"flat, but a wrong answer":  {[]float64{70, 70, 70, 70, 70, 70, 70}, 1, false},
		"too short to say anything": {[]float64{70, 70, 70, 70}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen series
			for i, mib := range tt.own {
				seen.add(float64(10*(i+1)), perPart{Own: mib, Children: 100})
			}
			if err := s.judge(seen, tt.wrong); (err == nil) != tt.flat {
				t.Errorf("got %v, want flat %t", err, tt.flat)
			}
		})
	}
}
