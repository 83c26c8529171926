package behalf_test

import (
	"fmt"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// A run for xyz-9, who has connected no Slack account, fails before its first step.
func ExampleResolve() {
	version := behalf.Version{Steps: []behalf.Step{
		{Name: "notify", Accounts: map[string]behalf.AccountRef{"slack": {App: "slack"}}},
	}}
	accounts := []behalf.Account{{ID: "apn_1", Project: "proj_a", App: "slack", User: "abc-123"}}

	event := behalf.Event{Project: "proj_a", Environment: behalf.Development, User: "abc-123"}
	bindings, _ := behalf.Resolve(version, event, accounts)
	fmt.Println(bindings["notify"]["slack"].ID)

	event.User = "xyz-9"
	_, failure := behalf.Resolve(version, event, accounts)
	fmt.Println(failure.Code.Status(), failure.Message)
	// Output:
	// apn_1
	// 400 Connect Error: Required account for slack not found for external user ID xyz-9 in development
}
