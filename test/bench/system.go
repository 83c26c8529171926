package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
)

// The names of the two systems, as the report and -only spell them.
const (
	bareName   = "bare"
	behalfName = "behalf"
)

// system is a pipeline that runs. The generator needs its target, the accounting its processes, and nobody needs more.
type system struct {
	name   string
	target target
	// pids are the processes whose CPU and memory count, with all that descends from them.
	pids []int
}

// target is where and what to POST. The answer must echo the nonce of the body.
type target struct {
	url     string
	headers []string
	body    string
}

// outside is a Behalf that runs already, named by flags. The bench neither starts nor stops it.
type outside struct {
	url, headers, body, pids string
}

func (o *outside) flags(flags *flag.FlagSet) {
	flags.StringVar(&o.url, "target-url", "", "measure a Behalf that runs already, at this URL")
	flags.StringVar(&o.headers, "target-headers", "", "'Name: value' for it, several separated by |")
	flags.StringVar(&o.body, "target-body", defaultBody, "the body for it; {{nonce}} becomes each request's own")
	flags.StringVar(&o.pids, "target-pids", "", "its processes, separated by commas")
}

// defaultBody is what both systems are sent.
const defaultBody = `{"nonce":"{{nonce}}"}`

func startOutside(_ context.Context, _ *yard, o options) (system, error) {
	pids, err := numbers(o.outside.pids)
	if err != nil {
		return system{}, fmt.Errorf("-target-pids: %w", err)
	}
	if len(pids) == 0 {
		return system{}, errors.New("-target-url needs -target-pids")
	}
	headers := strings.FieldsFunc(o.outside.headers, func(r rune) bool { return r == '|' })
	return system{behalfName, target{o.outside.url, headers, o.outside.body}, pids}, nil
}
