package step_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/sandbox"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

func ExampleRunner_Run() {
	ctx, cancel := context.WithCancel(context.Background())
	pool := sandbox.New(ctx, sandbox.Config{Node: os.Getenv("BEHALF_NODE")}, zerolog.Nop())
	over := make(chan error, 1)
	go func() { over <- pool.Run(ctx) }() // keeps guests warm until the end

	out, err := step.New(pool, action.Catalog{}, nil).Run(ctx, step.Call{
		Project: "proj_1", Environment: behalf.Development, Version: "d_1", Run: behalf.NewRunID(), Path: "greet", Attempt: 1,
		Step: behalf.Step{Name: "greet", Source: &behalf.Source{File: "greet.mjs", Runtime: behalf.RuntimeNode}},
		Code: `export default defineComponent({
			props: { slack: { type: "app", app: "slack" } },
			async run({ steps, $ }) {
				console.log("as", this.slack.$auth.oauth_uid);
				$.respond({ status: 201, body: { hello: steps.trigger.event.body.name } });
				return steps.trigger.event.body.name.length;
			},
		})`,
		Apps:  map[string]step.App{"slack": {Slug: "slack", Auth: map[string]secret.String{"oauth_uid": secret.New("U1")}}},
		Steps: json.RawMessage(`{"trigger":{"event":{"body":{"name":"Ada"}},"context":{}}}`),
	})
	if err != nil {
		fmt.Println("the platform failed:", err)
		cancel()
		return
	}
	fmt.Println(string(out.Exports), out.Response.Status, out.Response.Text)
	fmt.Println(out.Logs[0].Stream, out.Logs[0].Text)

	cancel()
	if err := <-over; err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"$return_value":3} 201 {"hello":"Ada"}
	// stdout as U1
}
