package step_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/sandbox"
	"github.com/behalf-dev/behalf/pkg/secret"
	"github.com/behalf-dev/behalf/pkg/step"
)

type guests func(sandbox.Job) (sandbox.Reply, error)

func (g guests) Do(_ context.Context, job sandbox.Job) (sandbox.Reply, error) { return g(job) }

// What a guest says is untrusted: it may have skipped each check that our own guest makes.
func TestAReplyIsHeldAgainstTheLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	for name, c := range map[string]struct {
		reply sandbox.Reply
		err   string
	}{
		"all is well":                  {sandbox.Reply{Exports: json.RawMessage(nested(256))}, ""},
		"brackets in strings are text": {sandbox.Reply{Exports: json.RawMessage(`{"x":"\"` + strings.Repeat("[", 300) + `"}`)}, ""},
		"nested too deep":              {sandbox.Reply{Exports: json.RawMessage(nested(257))}, "nested deeper than 256"},
		"too large":                    {sandbox.Reply{Exports: json.RawMessage(`{"x":"` + strings.Repeat("x", 6<<20) + `"}`)}, "larger than 6 MiB"},
		"a status of nothing":          {sandbox.Reply{Response: &sandbox.Response{Status: 7}}, "status 7"},
		"its process ended":            {sandbox.Reply{Died: "out of memory"}, "the step's process ended: out of memory"},
		"a message without end":        {sandbox.Reply{Err: &behalf.StepError{Message: strings.Repeat("m", 1<<20)}}, "mmm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runner := step.New(guests(func(sandbox.Job) (sandbox.Reply, error) { return c.reply, nil }), action.Catalog{}, nil)
			out, err := runner.Run(t.Context(), call(t, ""))
			if err != nil {
				t.Fatal(err)
			}
			checkErr(t, out.Err, c.err)
			if out.Err != nil && len(out.Err.Message) > 64<<10 {
				t.Errorf("a message of %d bytes", len(out.Err.Message))
			}
			if c.err != "" && c.reply.Exports != nil && out.Exports != nil {
				t.Error("the exports are kept")
			}
		})
	}
}

func TestACallIsWrittenAsAnObjectsMembers(t *testing.T) {
	t.Parallel()
	var body string
	var timeout time.Duration
	runner := step.New(guests(func(job sandbox.Job) (sandbox.Reply, error) {
		body, timeout = string(job.Body), job.Timeout
		return sandbox.Reply{}, nil
	}), action.Catalog{}, nil)
	c := call(t, "")
	c.Run, c.Path, c.Attempt = "run_1", `each[3].a"b`, 2
	c.Props, c.Steps = json.RawMessage(`{"a":1}`), json.RawMessage(`{"trigger":{}}`)
	c.Apps = map[string]step.App{"slack": {Slug: "slack", Auth: map[string]secret.String{"t": secret.New(`s"1`)}}}
	c.Timeout = time.Minute
	if _, err := runner.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := `"context":{"attempt":2,"idempotency_key":"run_1:each[3].a\"b"},` +
		`"apps":{"slack":{"app":"slack","auth":{"t":"s\"1"}}},"props":{"a":1},"steps":{"trigger":{}},`
	if body != want || timeout != time.Minute {
		t.Errorf("got  %s\nwant %s, within %v", body, want, timeout)
	}
}

func TestWhatIsNoFaultOfTheAuthorsIsAnError(t *testing.T) {
	t.Parallel()
	away := fault.New(fault.Unavailable, "x.Y", "no guest")
	for name, c := range map[string]struct {
		change func(*step.Call)
		kind   fault.Kind
	}{
		"no guest":           {func(*step.Call) {}, fault.Unavailable},
		"no source":          {func(c *step.Call) { c.Step.Source = nil }, fault.Internal},
		"an unknown runtime": {func(c *step.Call) { c.Step.Source.Runtime = "cobol" }, fault.Internal},
		"props of no object": {func(c *step.Call) { c.Props = json.RawMessage(`[1]`) }, fault.Internal},
		"steps that inject":  {func(c *step.Call) { c.Steps = json.RawMessage(`{},"apps":{}`) }, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := call(t, "")
			c.change(&in)
			_, err := step.New(guests(func(sandbox.Job) (sandbox.Reply, error) { return sandbox.Reply{}, away }), action.Catalog{}, nil).Run(t.Context(), in)
			if fault.KindOf(err) != c.kind || c.kind == fault.Unavailable && !errors.Is(err, away) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStepsThatAreTooLargeAreTheWorkflowsFault(t *testing.T) {
	t.Parallel()
	c := call(t, "")
	c.Steps = json.RawMessage(`{"x":"` + strings.Repeat("x", 48<<20) + `"}`)
	out, err := step.New(nil, action.Catalog{}, nil).Run(t.Context(), c)
	if err != nil || out.Err == nil || !strings.Contains(out.Err.Message, "larger than 48 MiB") {
		t.Errorf("%+v, %v", out.Err, err)
	}
}
