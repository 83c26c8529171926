// Command load is the bench's generator: clients that send one request after another over raw keep-alive connections,
// from a process of its own, and print what they saw as one JSON object.
//
// It never counts an answer that does not echo the nonce of its own request, so neither an error page nor another
// request's answer makes a system look fast.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	p, err := parse(args)
	if err != nil {
		return err
	}
	seen, err := p.measure(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(seen)
}

// plan is what to send, and for how long.
type plan struct {
	url      string
	request  request
	clients  int
	warmup   time.Duration
	duration time.Duration
	// requests ends the load after so many instead of after a time; then there is no warm-up.
	requests int
}

type lines []string

func (l *lines) String() string { return strings.Join(*l, ", ") }

// Set adds a line.
func (l *lines) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func parse(args []string) (plan, error) {
	var p plan
	var headers lines
	var body, file string
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&p.url, "url", "", "where to POST")
	flags.Var(&headers, "header", "'Name: value', repeatable")
	flags.StringVar(&file, "header-file", "", "a file of such lines: a bearer has no business in a process listing")
	flags.StringVar(&body, "body", `{"nonce":"`+noncePlace+`"}`, "the body; "+noncePlace+" becomes each request's own")
	flags.IntVar(&p.clients, "clients", 1, "connections, each with one request at a time")
	flags.DurationVar(&p.warmup, "warmup", 500*time.Millisecond, "not measured")
	flags.DurationVar(&p.duration, "duration", 3*time.Second, "measured")
	flags.IntVar(&p.requests, "requests", 0, "send so many instead, all measured")
	if err := flags.Parse(args); err != nil {
		return plan{}, err
	}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return plan{}, err
		}
		headers = append(headers, strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' || r == '\r' })...)
	}
	if p.clients < 1 {
		return plan{}, errors.New("-clients must be at least 1")
	}
	var err error
	p.request, err = newRequest(p.url, headers, body)
	return p, err
}
