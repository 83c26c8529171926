package sandbox_test

import (
	"context"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/sandbox"
)

const helloStep = `export default defineComponent({
  props: { slack: { type: "app", app: "slack" } },
  async run({ steps, $ }) {
    $.export("user", steps.trigger.event.body.user);
    return { ok: true, length: this.slack.$auth.oauth_access_token.length };
  },
});`

const helloBody = `"props":{},"apps":{"slack":{"app":"slack","auth":{"oauth_access_token":"xoxb-1234567890"}}},` +
	`"context":{"attempt":1},"steps":{"trigger":{"event":{"method":"POST","path":"/","body":{"user":"abc-123","text":"hello"}},"context":{"id":"evt_1"}}},`

func BenchmarkWarmCall(b *testing.B) {
	ctx := context.Background()
	pool := sandbox.New(ctx, sandbox.Config{Node: os.Getenv("BEHALF_NODE"), MaxRuns: 1 << 30}, zerolog.Nop())
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() { over <- pool.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-over; err != nil {
			b.Error(err)
		}
	}()

	job := sandbox.Job{Key: sandbox.Key{Version: "d_1"}, File: "hello.mjs", Source: helloStep, Body: []byte(helloBody)}
	for range 2000 { // until V8 has compiled what is hot
		if _, err := pool.Do(ctx, job); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		reply, err := pool.Do(ctx, job)
		if err != nil || reply.Err != nil || reply.Died != "" {
			b.Fatal(reply.Err, reply.Died, err)
		}
	}
}

// The start of a guest, and its first run, with no blank guest ready.
func BenchmarkColdCall(b *testing.B) {
	for name, bwrap := range map[string]string{"best tier": "", "bare": sandbox.NoBwrap} {
		b.Run(name, func(b *testing.B) {
			pool := sandbox.New(b.Context(), sandbox.Config{Node: os.Getenv("BEHALF_NODE"), Bwrap: bwrap, MaxRuns: 1}, zerolog.Nop())
			job := sandbox.Job{Key: sandbox.Key{Version: "d_1"}, File: "hello.mjs", Source: helloStep, Body: []byte(helloBody)}
			for b.Loop() {
				if reply, err := pool.Do(b.Context(), job); err != nil || reply.Err != nil || reply.Died != "" {
					b.Fatal(reply.Err, reply.Died, err)
				}
			}
		})
	}
}
