package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"strconv"

	"github.com/behalf-dev/behalf/test/bench/figures"
)

// soak runs many events through one system and watches its memory. The journal is capped, so once it is full, memory
// must not grow with the number of events.
type soak struct {
	events  int
	every   int
	cap     int
	clients int
	// most is the slope, in MiB per 100,000 events, above which memory is not called flat. A journal without a cap
	// grows by about 22.
	most float64
}

func (s *soak) flags(flags *flag.FlagSet) {
	flags.IntVar(&s.events, "soak", 0, "instead of a bench, run so many events and watch the memory")
	flags.IntVar(&s.every, "soak-every", 10_000, "events between two looks at the memory")
	flags.IntVar(&s.cap, "soak-cap", 50_000, "the cap of RUNS")
	flags.IntVar(&s.clients, "soak-clients", 32, "clients meanwhile")
	flags.Float64Var(&s.most, "soak-slope", 5, "MiB per 100,000 events that still count as flat")
}

// devArgs are what a soak asks of behalf dev.
func (s *soak) devArgs() []string {
	if s.events == 0 {
		return nil
	}
	return []string{"--runs-max-msgs", strconv.Itoa(s.cap)}
}

// series is memory over events.
type series struct {
	events, own, all []float64
}

func (s *soak) run(ctx context.Context, g *generator, sys system) error {
	var seen series
	wrong := 0
	for done := 0; done < s.events; done += s.every {
		taken, err := g.take(ctx, sys, "-clients", strconv.Itoa(s.clients), "-requests", strconv.Itoa(min(s.every, s.events-done)))
		if err != nil {
			return err
		}
		wrong += taken.Load.Errors.Sum()
		seen.add(float64(min(done+s.every, s.events)), taken.RSS)
		fmt.Printf("%7d events: rss %.1f MiB, with Node %.1f MiB; %.0f/s, cpu %.3f+%.3f s per 1000, errors %d %s\n",
			min(done+s.every, s.events), taken.RSS.Own, taken.RSS.sum(), taken.Load.Rate, taken.CPU.Own, taken.CPU.Children,
			taken.Load.Errors.Sum(), taken.Load.Errors.First)
	}
	return s.judge(seen, wrong)
}

// judge prints the slopes. The one that counts begins at twice the cap: until then caches and the journal fill.
func (s *soak) judge(seen series, wrong int) error {
	full := seen.from(2 * float64(s.cap))
	fmt.Printf("\nslope in MiB per 100,000 events: %+.2f from the start (with Node %+.2f), %+.2f once past %d events (with Node %+.2f)\n",
		per100k(seen.events, seen.own), per100k(seen.events, seen.all), per100k(full.events, full.own), 2*s.cap, per100k(full.events, full.all))
	if wrong > 0 {
		fmt.Printf("FAIL: %d requests were not answered rightly\n", wrong)
		return errBeyond
	}
	// Of fewer than two points the slope is not a number, which is not flat either.
	if slope := per100k(full.events, full.own); math.IsNaN(slope) || slope > s.most {
		fmt.Printf("FAIL: flat is at most %+.2f\n", s.most)
		return errBeyond
	}
	fmt.Printf("PASS: flat is at most %+.2f\n", s.most)
	return nil
}

func (s *series) add(events float64, rss perPart) {
	s.events, s.own, s.all = append(s.events, events), append(s.own, rss.Own), append(s.all, rss.sum())
}

func (s *series) from(events float64) series {
	for i, n := range s.events {
		if n >= events {
			return series{s.events[i:], s.own[i:], s.all[i:]}
		}
	}
	return series{}
}

func per100k(events, mib []float64) float64 { return figures.Slope(events, mib) * 100_000 }
