package expr_test

import (
	"encoding/json"
	"fmt"

	"github.com/behalf-dev/behalf/pkg/expr"
)

// One expression keeps its type, and an id all its digits; text around it makes a text.
func ExampleTemplate_Eval() {
	props, _ := expr.Parse(json.RawMessage(`{
		"channel": "{{steps.trigger.event.body.slackChannel}}",
		"text":    "Hello {{steps.load.customer.name.toUpperCase()}}, {{steps.load.orders.length}} orders",
		"id":      "{{steps.load.customer.id}}",
		"tags":    ["{{steps.load.customer.tags}}", "new"],
		"note":    "{{steps.load.customer.note}}"
	}`))
	fmt.Println(props.Steps())

	filled, err := props.Eval(json.RawMessage(`{
		"trigger": {"event": {"body": {"slackChannel": "#general"}}, "context": {}},
		"load": {"customer": {"id": 9007199254740993, "name": "Ada", "tags": ["vip"]}, "orders": [1, 2]}
	}`))
	fmt.Println(string(filled), err)
	// Output:
	// [load trigger]
	// {"channel":"#general","text":"Hello ADA, 2 orders","id":9007199254740993,"tags":[["vip"],"new"]} <nil>
}

// All mistakes are told at once, each with its place and what to do.
func ExampleParse() {
	_, err := expr.Parse(json.RawMessage(`{
		"total": "{{steps.load.price + 1}}",
		"auth":  {"token": "Bearer {{auths.slack.oauth_access_token}}"}
	}`))
	fmt.Println(err)
	// Output:
	// prop total, column 20: "+" is not part of the expressions here; hint: put texts side by side, as in {{a}} {{b}}; to add numbers use a code step
	// prop auth.token, column 10: there is no "auths" in expressions; hint: give the step an account by `account: end_user`, or a code step by `accounts:`
}

// What cannot be read is named as its author wrote it.
func ExampleTemplate_Eval_missing() {
	props, _ := expr.Parse(json.RawMessage(`{"text": "{{ steps.load.customer.name }}"}`))
	_, err := props.Eval(json.RawMessage(`{"load": {}}`))
	fmt.Println(err)
	// Output:
	// expr.Eval: prop text: steps.load.customer is undefined, so steps.load.customer.name cannot be read; hint: write ?. where it may be missing
}
