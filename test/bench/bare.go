package main

import (
	"context"
	"fmt"
)

// startBare starts the bare pipeline as one process.
func startBare(ctx context.Context, y *yard, o options) (system, error) {
	program, err := y.build(ctx, "bare", "./test/bench/bare")
	if err != nil {
		return system{}, err
	}
	data, err := y.folder("bare-data")
	if err != nil {
		return system{}, err
	}
	p, err := y.start("bare-all", []string{"BEHALF_NODE=" + o.node}, program, "-dir", data)
	if err != nil {
		return system{}, err
	}
	url, err := p.says(ctx)
	return bareSystem(url, p), err
}

// startBareSplit starts it as two processes beside a nats-server.
func startBareSplit(ctx context.Context, y *yard, o options) (system, error) {
	program, err := y.build(ctx, "bare", "./test/bench/bare")
	if err != nil {
		return system{}, err
	}
	ns, err := startNATS(ctx, y, "bare-nats")
	if err != nil {
		return system{}, err
	}
	at := []string{"-nats-url", ns.url, "-nats-creds", ns.creds["production"]}
	worker, err := y.start("bare-worker", []string{"BEHALF_NODE=" + o.node}, program, append(at, "-role", "worker")...)
	if err != nil {
		return system{}, err
	}
	if _, err := worker.says(ctx); err != nil {
		return system{}, err
	}
	front, err := y.start("bare-http", nil, program, append(at, "-role", "http")...)
	if err != nil {
		return system{}, err
	}
	url, err := front.says(ctx)
	return bareSystem(url, ns.process, front, worker), err
}

func bareSystem(url string, processes ...*process) system {
	s := system{name: bareName, target: target{url: url, headers: []string{"Content-Type: application/json"}, body: defaultBody}}
	for _, p := range processes {
		s.pids = append(s.pids, p.pid())
	}
	return s
}

// natsServer is a nats-server of its own process, in operator mode with an account for each environment.
type natsServer struct {
	*process

	url string
	// creds are the files with the credentials of each environment.
	creds map[string]string
}

func startNATS(ctx context.Context, y *yard, name string) (natsServer, error) {
	program, err := y.build(ctx, "nats-server", "github.com/nats-io/nats-server/v2")
	if err != nil {
		return natsServer{}, err
	}
	dir, err := y.folder(name)
	if err != nil {
		return natsServer{}, err
	}
	addrs, err := freeAddrs(ctx, 2)
	if err != nil {
		return natsServer{}, err
	}
	config, creds, err := writeNATS(dir, addrs[0], addrs[1])
	if err != nil {
		return natsServer{}, fmt.Errorf("configuration of %s: %w", name, err)
	}
	p, err := y.start(name, nil, program, "-c", config)
	if err != nil {
		return natsServer{}, err
	}
	ns := natsServer{process: p, url: "nats://" + addrs[0], creds: creds}
	return ns, p.serves(ctx, "http://"+addrs[1]+"/healthz")
}
