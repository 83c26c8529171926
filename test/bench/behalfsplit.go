package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// apart is Behalf in several processes while it comes up.
type apart struct {
	yard   *yard
	binary string
	env    []string
	// addrs are where the roles listen: api, its metrics, ingress, its metrics, the worker's metrics.
	addrs []string
}

// startBehalfSplit starts a nats-server, provisions it, and starts api, ingress and a worker of one environment as
// processes of their own. The api only hands out the token and takes the deploy: it is idle while we measure.
func startBehalfSplit(ctx context.Context, y *yard, o options) (system, error) {
	ns, err := startNATS(ctx, y, "behalf-nats")
	if err != nil {
		return system{}, err
	}
	a, err := newApart(ctx, y, o, ns)
	if err != nil {
		return system{}, err
	}
	devJSON, err := output(ctx, a.env, a.binary, "provision", "--json")
	if err != nil {
		return system{}, err
	}
	api, err := a.start(ctx, 0, "api", "--allow-sealed")
	if err != nil {
		return system{}, err
	}
	ingress, err := a.start(ctx, 2, "ingress")
	if err != nil {
		return system{}, err
	}
	t, err := deployed(ctx, a.binary, o.behalf.workflows, devJSON)
	if err != nil {
		return system{}, err
	}
	worker, err := a.startWorker(ctx, strings.Fields(o.behalf.workerArgs))
	if err != nil {
		return system{}, err
	}
	return system{behalfName, t, []int{ns.pid(), api.pid(), ingress.pid(), worker.pid()}}, nil
}

func newApart(ctx context.Context, y *yard, o options, ns natsServer) (apart, error) {
	binary, err := filepath.Abs(o.behalf.binary)
	if err != nil {
		return apart{}, err
	}
	data, err := y.folder("behalf-data")
	if err != nil {
		return apart{}, err
	}
	addrs, err := freeAddrs(ctx, 5)
	if err != nil {
		return apart{}, err
	}
	return apart{yard: y, binary: binary, addrs: addrs, env: []string{
		"BEHALF_NATS_URL=" + ns.url,
		"BEHALF_NATS_CREDS_DEVELOPMENT=" + ns.creds["development"],
		"BEHALF_NATS_CREDS_PRODUCTION=" + ns.creds["production"],
		"BEHALF_CREDENTIALS=sealed",
		"BEHALF_DATA_DIR=" + data, // the sealed store's key
		"BEHALF_API_URL=http://" + addrs[0],
		"BEHALF_INGRESS_URL=http://" + addrs[2],
		"BEHALF_NODE=" + o.node,
	}}, nil
}

// start starts a role that serves HTTP, at the given place in the list of addresses.
func (a apart) start(ctx context.Context, place int, role string, args ...string) (*process, error) {
	env := append([]string{"BEHALF_ADDR=" + a.addrs[place], "BEHALF_METRICS_ADDR=" + a.addrs[place+1]}, a.env...)
	p, err := a.yard.start("behalf-"+role, env, a.binary, append([]string{role}, args...)...)
	if err != nil {
		return nil, err
	}
	return p, p.serves(ctx, "http://"+a.addrs[place]+"/readyz")
}

// startWorker starts the worker, which serves nothing but its metrics and its health.
func (a apart) startWorker(ctx context.Context, args []string) (*process, error) {
	metrics := a.addrs[4]
	env := append([]string{"BEHALF_METRICS_ADDR=" + metrics}, a.env...)
	args = append([]string{"worker", "--env", environment, "--allow-sealed"}, args...)
	p, err := a.yard.start("behalf-worker", env, a.binary, args...)
	if err != nil {
		return nil, err
	}
	if err := p.serves(ctx, "http://"+metrics+"/readyz"); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return p, nil
}
