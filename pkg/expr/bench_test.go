package expr_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/expr"
)

const benchProps = `{"channel": "{{steps.trigger.event.body.slackChannel}}", "text": "Hello {{steps.trigger.event.body.messageText}}", "mrkdwn": true,
	"metadata": {"user": "{{steps.trigger.context.external_user_id}}", "ts": "{{steps.load.$return_value.at ?? null}}"}}`

func benchSteps(messageText string) json.RawMessage {
	return json.RawMessage(`{"trigger":{"event":{"method":"POST","path":"/","headers":{"host":"x","content-type":"application/json"},"body":{"slackChannel":"#general",` +
		`"messageText":"` + messageText + `","more":[1,2,3]}},"context":{"id":"evt_1","ts":"2026-11-24T00:00:00Z","external_user_id":"abc-123"}},"load":{"$return_value":{"at":"now"}}}`)
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := expr.Parse(json.RawMessage(benchProps)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkEval(b *testing.B, props string, steps json.RawMessage) {
	b.Helper()
	template, err := expr.Parse(json.RawMessage(props))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(steps)))
	for b.Loop() {
		if _, err := template.Eval(steps); err != nil {
			b.Fatal(err)
		}
	}
}

// The props of an ordinary step.
func BenchmarkEval(b *testing.B) { benchmarkEval(b, benchProps, benchSteps("Hello, world!")) }

// The same, with a megabyte beside what is read.
func BenchmarkEvalBesideLarge(b *testing.B) {
	large := `"rows":[` + strings.Repeat(`{"id":123456,"name":"somebody","tags":["a","b"]},`, 20_000) + `null],`
	benchmarkEval(b, benchProps, json.RawMessage(strings.Replace(string(benchSteps("Hello")), `"slackChannel"`, large+`"slackChannel"`, 1)))
}

// Props without an expression.
func BenchmarkEvalNothing(b *testing.B) { benchmarkEval(b, `{"channel": "#general"}`, nil) }
