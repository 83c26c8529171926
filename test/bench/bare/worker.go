package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	// children is how many Node processes answer events, one line at a time each.
	children = 2
	// prefetch is how many events a pull brings at most.
	prefetch = 64
)

// runWorker answers events until the context ends or a child fails. It calls ready once it takes events.
func runWorker(ctx context.Context, js jetstream.JetStream, node string, ready func()) error {
	s, err := theStream(ctx, js)
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	consumer, err := s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}

	events := make(chan jetstream.Msg, prefetch)
	group, ctx := errgroup.WithContext(ctx)
	for range children {
		c, err := startChild(ctx, node)
		if err != nil {
			return fmt.Errorf("start node: %w", err)
		}
		group.Go(func() error {
			defer c.close()
			return serve(ctx, js, c, events)
		})
	}
	taking, err := consumer.Consume(func(m jetstream.Msg) {
		select {
		case events <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(prefetch))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer taking.Stop()
	ready()
	return group.Wait()
}

// serve hands one event after another to one child.
func serve(ctx context.Context, js jetstream.JetStream, c *child, events <-chan jetstream.Msg) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-events:
			if err := answer(js, c, m); err != nil && ctx.Err() == nil { // a child that we stop ourselves is no failure
				return err
			}
		}
	}
}

func answer(js jetstream.JetStream, c *child, m jetstream.Msg) error {
	answer, err := c.answer(m.Data())
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := js.Conn().Publish(m.Headers().Get(replyHeader), answer); err != nil {
		return err
	}
	return m.Ack()
}
