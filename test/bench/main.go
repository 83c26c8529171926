// Command bench measures Behalf beside the bare pipeline, alternately in one go, and prints the ratios against their
// goals. With -split both run as several processes beside a nats-server, with -soak it watches Behalf's memory, and
// with -accounts it compares what the lists of accounts cost among many and among few.
//
// It never measures one system alone and calls it a result: on a shared machine only ratios of the same round say
// something. It exits with 1 where a ratio is beyond its limit, or an answer was wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errBeyond = errors.New("beyond a limit, see above")

// options is what the command line says.
type options struct {
	split   bool
	only    string
	json    string
	keep    bool
	loads   loads
	soak    soak
	lists   accounts
	node    string
	behalf  behalfOptions
	outside outside
}

// behalfOptions is how to start Behalf.
type behalfOptions struct {
	binary    string
	workflows string
	// devArgs and workerArgs are handed over as they are, split at spaces.
	devArgs, workerArgs string
}

func parse(args []string) (options, error) {
	o := options{node: os.Getenv("BEHALF_NODE")}
	var clients string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.split, "split", false, "run both systems as several processes beside a nats-server")
	flags.StringVar(&o.only, "only", "", "bare or behalf: measure one, and print no ratios")
	flags.StringVar(&o.json, "json", "", "write all figures to this file")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with data and logs")
	flags.IntVar(&o.loads.rounds, "rounds", 5, "rounds of all loads")
	flags.DurationVar(&o.loads.duration, "duration", 3*time.Second, "measured time of one load")
	flags.DurationVar(&o.loads.warmup, "warmup", 500*time.Millisecond, "before it, not measured")
	flags.StringVar(&clients, "clients", "1,32", "numbers of clients")
	flags.StringVar(&o.behalf.binary, "behalf", "bin/behalf", "Behalf's binary")
	flags.StringVar(&o.behalf.workflows, "workflows", "test/bench/workflows", "the folder of the bench's workflow")
	flags.StringVar(&o.behalf.devArgs, "dev-args", "", "more arguments for behalf dev")
	flags.StringVar(&o.behalf.workerArgs, "worker-args", "--unsafe-no-sandbox", "more arguments for behalf worker")
	o.soak.flags(flags)
	o.lists.flags(flags)
	o.outside.flags(flags)
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	var err error
	if o.loads.clients, err = numbers(clients); err != nil {
		return options{}, fmt.Errorf("-clients: %w", err)
	}
	if o.node == "" {
		return options{}, errors.New("BEHALF_NODE names no binary; make bench sets it")
	}
	return o, nil
}

func numbers(list string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	y, err := newYard(o.keep)
	if err != nil {
		return err
	}
	// Whatever ends us, an interrupt too, nothing that we started outlives us.
	defer func() { err = errors.Join(err, y.close()) }()

	if o.lists.many > 0 {
		return o.lists.run(ctx, y, o)
	}
	systems, err := o.start(ctx, y)
	if err != nil {
		return err
	}
	g, err := newGenerator(ctx, y)
	if err != nil {
		return err
	}
	if o.soak.events > 0 {
		return o.soak.run(ctx, g, systems[0])
	}
	samples, err := o.loads.run(ctx, g, systems)
	if err != nil {
		return err
	}
	return o.report(newReport(o, systems, samples))
}

// start brings up the systems that the command line asks for, the bare pipeline first.
func (o options) start(ctx context.Context, y *yard) ([]system, error) {
	bare, behalf := startBare, startBehalf
	if o.split {
		bare, behalf = startBareSplit, startBehalfSplit
	}
	if o.outside.url != "" {
		behalf = startOutside
	}
	starts := map[string][]func(context.Context, *yard, options) (system, error){
		"": {bare, behalf}, "bare": {bare}, "behalf": {behalf},
	}[o.only]
	if o.soak.events > 0 && o.only != "bare" {
		starts = starts[len(starts)-1:]
	}
	if len(starts) == 0 {
		return nil, fmt.Errorf("-only must be bare or behalf, not %q", o.only)
	}
	var systems []system
	for _, start := range starts {
		s, err := start(ctx, y, o)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s is up: %s, processes %v\n", s.name, s.target.url, s.pids)
		systems = append(systems, s)
	}
	return systems, nil
}

func (o options) report(r report) error {
	fmt.Print(r.text())
	if o.json != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if !r.Within {
		return errBeyond
	}
	return nil
}
