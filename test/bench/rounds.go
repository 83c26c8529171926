package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
	"github.com/behalf-dev/behalf/test/bench/proctree"
)

// settle is how long after a load what it set off may still use CPU, such as the copying into the history.
const settle = 200 * time.Millisecond

// loads are the loads of a bench: each number of clients on each system, in each round.
type loads struct {
	rounds           int
	clients          []int
	warmup, duration time.Duration
}

// sample is one load on one system.
type sample struct {
	System  string       `json:"system"`
	Clients int          `json:"clients"`
	Round   int          `json:"round"`
	Load    figures.Load `json:"load"`
	CPU     perPart      `json:"cpu_seconds_per_1000_runs"`
	RSS     perPart      `json:"rss_mib"`
}

// perPart splits a figure into that of our own processes and that of their children, Node.
type perPart struct {
	Own      float64 `json:"own"`
	Children float64 `json:"children"`
}

func (p perPart) sum() float64 { return p.Own + p.Children }

// run loads the systems in turn, first the one, then the other at the beginning of a round, so that neither has the
// quieter place.
func (l loads) run(ctx context.Context, g *generator, systems []system) ([]sample, error) {
	var samples []sample
	for round := range l.rounds {
		order := slices.Clone(systems)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, clients := range l.clients {
			for _, s := range order {
				taken, err := g.take(ctx, s, "-clients", strconv.Itoa(clients), "-warmup", l.warmup.String(), "-duration", l.duration.String())
				if err != nil {
					return nil, fmt.Errorf("%s, %d clients: %w", s.name, clients, err)
				}
				taken.Clients, taken.Round = clients, round+1
				fmt.Println(taken)
				samples = append(samples, taken)
			}
		}
	}
	return samples, nil
}

// String is a line to follow the bench by.
func (s sample) String() string {
	line := fmt.Sprintf("round %d, %2d clients, %-6s: %6.0f/s, p50 %6.2f ms, p99 %6.2f ms, cpu %.3f+%.3f s per 1000",
		s.Round, s.Clients, s.System, s.Load.Rate, s.Load.P50, s.Load.P99, s.CPU.Own, s.CPU.Children)
	if s.Load.Errors.Sum() > 0 {
		line += fmt.Sprintf(", %d ERRORS: %s", s.Load.Errors.Sum(), s.Load.Errors.First)
	}
	return line
}

// generator starts the load program, once for each load.
type generator struct {
	yard    *yard
	program string
}

func newGenerator(ctx context.Context, y *yard) (*generator, error) {
	program, err := y.build(ctx, "load", "./test/bench/load")
	return &generator{y, program}, err
}

// take puts a load on a system and reads what its processes used meanwhile.
func (g *generator) take(ctx context.Context, s system, args ...string) (sample, error) {
	headers, err := g.headers(s)
	if err != nil {
		return sample{}, err
	}
	before, err := proctree.Of(procFS, s.pids)
	if err != nil {
		return sample{}, err
	}
	out, err := output(ctx, nil, g.program, append(args, "-url", s.target.url, "-header-file", headers, "-body", s.target.body)...)
	if err != nil {
		return sample{}, err
	}
	var seen figures.Load
	if err := json.Unmarshal(out, &seen); err != nil {
		return sample{}, err
	}
	if seen.Measured == 0 {
		return sample{}, fmt.Errorf("not one right answer: %s", cmp.Or(seen.Errors.First, "none within the time"))
	}
	if err := pause(ctx, settle); err != nil {
		return sample{}, err
	}
	after, err := proctree.Of(procFS, s.pids)
	if err != nil {
		return sample{}, err
	}
	return newSample(s.name, seen, before, after), nil
}

func newSample(name string, seen figures.Load, before, after proctree.Usage) sample {
	const mib = 1 << 20
	s := sample{System: name, Load: seen, RSS: perPart{float64(after.Own.RSS) / mib, float64(after.Children.RSS) / mib}}
	if seen.Total > 0 {
		thousands := float64(seen.Total) / 1000
		s.CPU.Own = (after.Own.CPU - before.Own.CPU).Seconds() / thousands
		s.CPU.Children = (after.Children.CPU - before.Children.CPU).Seconds() / thousands
	}
	return s
}

// headers writes the headers into a file that only we can read: arguments are everybody's to see.
func (g *generator) headers(s system) (string, error) {
	file := filepath.Join(g.yard.dir, s.name+".headers")
	return file, os.WriteFile(file, []byte(strings.Join(s.target.headers, "\n")), 0o600)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
