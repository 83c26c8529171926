package action_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/behalf-dev/behalf/configs"
	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/secret"
)

func ExampleAction_Run() {
	slack := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Authorization"), string(body))
		_, _ = io.WriteString(w, `{"ok":true,"channel":"C0123456789"}`)
	}))
	defer slack.Close()

	apps, err := app.Load(configs.Apps())
	if err != nil {
		fmt.Println(err)
		return
	}
	if apps, err = apps.WithURL("slack", slack.URL); err != nil { // in production it is where configs/apps says
		fmt.Println(err)
		return
	}
	actions, err := action.Standard(apps)
	if err != nil {
		fmt.Println(err)
		return
	}
	send, err := actions.Find("slack-send-message@1")
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := send.Run(context.Background(), action.Call{
		Props:  json.RawMessage(`{"channel": "#general", "text": "Hello"}`),
		Apps:   map[string]action.App{"slack": {Slug: "slack", Auth: map[string]secret.String{"oauth_access_token": secret.New("xoxb-1")}}},
		Client: slack.Client(), // in production egress.Dialer.Client
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(outcome.Exports))
	// Output:
	// POST /chat.postMessage Bearer xoxb-1 {"channel":"#general","text":"Hello"}
	// {"$return_value":{"ok":true,"channel":"C0123456789"},"$summary":"Sent a message to C0123456789"}
}

func ExampleAction_Check() {
	apps, err := app.Load(configs.Apps())
	if err != nil {
		fmt.Println(err)
		return
	}
	actions, err := action.Standard(apps)
	if err != nil {
		fmt.Println(err)
		return
	}
	create, err := actions.Find("github-create-issue@1")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range create.Check(json.RawMessage(`{"repoFullname": "{{steps.trigger.event.body.gitRepo}}", "labels": "bug"}`)) {
		fmt.Printf("%s; hint: %s\n", m.What, m.Hint)
	}
	// Output:
	// title is missing; hint: write title: The title of the issue
	// labels must be a list of texts, not a text; hint: Names of labels; dropped silently by GitHub where the user may not push
}
