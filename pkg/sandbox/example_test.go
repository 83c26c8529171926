package sandbox_test

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/sandbox"
)

func ExamplePool_Do() {
	ctx, cancel := context.WithCancel(context.Background())
	pool := sandbox.New(ctx, sandbox.Config{Node: os.Getenv("BEHALF_NODE")}, zerolog.Nop())
	over := make(chan error, 1)
	go func() { over <- pool.Run(ctx) }() // keeps guests warm until the end

	reply, err := pool.Do(ctx, sandbox.Job{
		Key:    sandbox.Key{Project: "proj_1", Environment: "development", Version: "d_1"},
		File:   "leave.mjs",
		Source: `export default { run({ $ }) { $.export("seen", true); process.exit(this.code) } }`,
		Body:   []byte(`"props":{"code":3},"apps":{},"context":{},"steps":{},`),
	})
	fmt.Println(reply.Died, err)

	cancel()
	if err := <-over; err != nil {
		fmt.Println(err)
	}
	// Output:
	// process.exit(3) <nil>
}
