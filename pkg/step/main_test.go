package step_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/sandbox"
	"github.com/behalf-dev/behalf/pkg/step"
)

// pool is shared by the tests of this package: guests are bound to a version, and each test has its own.
var pool *sandbox.Pool

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	pool = sandbox.New(ctx, sandbox.Config{Node: os.Getenv("BEHALF_NODE"), Max: 3, Heap: 64}, zerolog.Nop())
	if err := pool.Refusal(); err != nil {
		fmt.Fprintln(os.Stderr, "step tests:", err)
		cancel()
		return 1
	}
	over := make(chan error, 1)
	go func() { over <- pool.Run(ctx) }()
	code := m.Run()
	cancel()
	if err := <-over; err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// call makes a call of one source, as a file of its own in the version of its test: so the cases of a table share
// guests, as the steps of a workflow do.
func call(tb testing.TB, source string) step.Call {
	tb.Helper()
	table, _, _ := strings.Cut(tb.Name(), "/")
	file := string(behalf.NewObjectID("proj_1", []byte(source)))[:8] + "/summary.mjs"
	return step.Call{
		Project: "proj_1", Environment: behalf.Development,
		Version: behalf.ContentVersionID([]byte(table)), Run: behalf.NewRunID(), Path: "summary", Attempt: 1,
		Step: behalf.Step{Name: "summary", Source: &behalf.Source{File: file, Runtime: behalf.RuntimeNode}},
		Code: source,
	}
}

func do(tb testing.TB, c step.Call) behalf.Outcome {
	tb.Helper()
	return within(tb, 20*time.Second, c)
}

func within(tb testing.TB, limit time.Duration, c step.Call) behalf.Outcome {
	tb.Helper()
	c.Timeout = limit
	out, err := step.New(pool, action.Catalog{}, nil).Run(tb.Context(), c)
	if err != nil {
		tb.Fatalf("the platform failed: %v", err)
	}
	return out
}

// body is a step whose run has this body.
func body(code string) string {
	return "export default defineComponent({\n  async run({ steps, $ }) {\n" + code + "\n  },\n});\n"
}
