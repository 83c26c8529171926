package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
)

// measure lets all clients loose and adds up what they saw.
func (p plan) measure(ctx context.Context) (figures.Load, error) {
	w := window{from: time.Now()}
	var left *atomic.Int64
	if p.requests > 0 {
		left = new(atomic.Int64)
		left.Store(int64(p.requests))
	} else {
		w.from = w.from.Add(p.warmup)
		w.until = w.from.Add(p.duration)
	}

	clients := make([]*client, p.clients)
	var running sync.WaitGroup
	for i := range clients {
		clients[i] = newClient(p.request, w, left)
		running.Go(func() { clients[i].run(ctx) })
	}
	running.Wait()
	if err := ctx.Err(); err != nil {
		return figures.Load{}, err
	}
	over := p.duration
	if w.until.IsZero() {
		over = time.Since(w.from)
	}
	return sum(clients, over), nil
}

func newClient(r request, w window, left *atomic.Int64) *client {
	c := &client{request: r.copy(), window: w, left: left}
	var own [nonceLen / 4]byte
	_, _ = rand.Read(own[:]) // crypto/rand never fails: it ends the process instead
	hex.Encode(c.nonce[:], own[:])
	c.seen.Statuses = map[int]int{}
	return c
}

func sum(clients []*client, over time.Duration) figures.Load {
	all := figures.Load{Statuses: map[int]int{}, Histogram: map[int]int{}}
	var latencies []time.Duration
	for _, c := range clients {
		latencies = append(latencies, c.latencies...)
		all.Total += c.seen.Total
		all.Errors.Transport += c.seen.Errors.Transport
		all.Errors.Status += c.seen.Errors.Status
		all.Errors.Echo += c.seen.Errors.Echo
		if all.Errors.First == "" {
			all.Errors.First = c.seen.Errors.First
		}
		for status, n := range c.seen.Statuses {
			all.Statuses[status] += n
		}
	}
	slices.Sort(latencies)
	for _, l := range latencies {
		all.Histogram[1<<bits.Len64(uint64(l.Microseconds()))]++
	}
	all.Measured = len(latencies)
	all.Rate = float64(len(latencies)) / over.Seconds()
	all.P50 = finite(figures.Percentile(latencies, 0.50))
	all.P99 = finite(figures.Percentile(latencies, 0.99))
	return all
}

// finite makes zero of what JSON cannot say: with nothing measured there is no percentile.
func finite(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
