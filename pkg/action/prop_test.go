package action_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

func TestCheckFindsWhatIsWrongBeforeARun(t *testing.T) {
	t.Parallel()
	actions := standard(t)
	for name, c := range map[string]struct {
		ref, props string
		want       []action.Mistake
	}{
		"all is well":          {"slack-send-message@1", `{"channel": "#general", "text": "Hello"}`, nil},
		"expressions are not":  {"slack-send-message@1", `{"channel": "{{steps.trigger.event.body.slackChannel}}", "text": "Hi {{1}}", "blocks": "{{x}}", "mrkdwn": "{{y}}"}`, nil},
		"even within a value":  {"slack-send-message@1", `{"channel": "C1", "text": "x", "metadata": [{"a": "{{x}}"}]}`, nil},
		"another name is fine": {"slack-send-message@1", `{"conversation": "C1", "text": "Hello"}`, nil},
		"nothing given": {"slack-send-message@1", ``, []action.Mistake{
			{"channel", "channel is missing", "write channel: The id or the name of the channel, such as C0123456789 or #general, or the id of a user"},
			{"text", "text is missing", "write text: The message, in Slack's markup"},
		}},
		"null is nothing": {"github-create-issue@1", `{"repoFullname": null, "title": "x"}`, []action.Mistake{
			{"repoFullname", "repoFullname is missing", "write repoFullname: The repository as owner/name, such as AcmeOrg/acme-repo"},
		}},
		"unknown names": {"return-http-response@1", `{"statsu": 200, "code": 1}`, []action.Mistake{
			{"code", `return-http-response has no prop "code"`, "write body, headers or status"},
			{"statsu", `return-http-response has no prop "statsu"`, "write body, headers or status"},
		}},
		"wrong types": {"openai-chat@1", `{"modelId": 5, "userMessage": "x", "stop": ["a", 1], "seed": 1.5, "messages": {}, "responseFormat": "text", "temperature": "0.5"}`, []action.Mistake{
			{"modelId", "modelId must be a text, not a number", "put it in quotes"},
			{"messages", "messages must be a list, not an object", "Messages before this one, each with role and content"},
			{"temperature", "temperature must be a number, not a text", "From 0 to 2: how varied the answers are"},
			{"stop", "stop must be a list of texts, not a list", "Texts at which the answer ends"},
			{"seed", "seed must be a whole number, not a number", "The same seed makes the same answer more likely"},
			{"responseFormat", "responseFormat must be an object (name: value), not a text", "The form of the answer, such as { type: json_object }"},
		}},
		"wrong values": {"http-request@1", `{"url": "example.com", "method": "post", "timeout": 1000}`, []action.Mistake{
			{"method", "method must be DELETE, GET, HEAD, OPTIONS, PATCH, POST or PUT", "The method"},
			{"url", "url does not have the right form", "The URL, or with an account a path such as /v1/me"},
			{"timeout", "timeout must be at most 750", "How many seconds the answer may take"},
		}},
		"an empty text": {"slack-send-message@1", `{"channel": "C1", "text": " "}`, []action.Mistake{{"text", "text is empty", "The message, in Slack's markup"}}},
		"twice by two names": {"slack-send-message@1", `{"channel": "C1", "conversation": "C2", "text": "x"}`, []action.Mistake{
			{"conversation", "conversation is another name for channel", "keep one of them"},
		}},
		"true in the place of a text": {"slack-send-message@1", `{"channel": "C1", "text": true}`, []action.Mistake{{"text", "text must be a text, not true or false", "put it in quotes"}}},
		"a text in the place of true": {"slack-send-message@1", `{"channel": "C1", "text": "x", "mrkdwn": "no"}`, []action.Mistake{
			{"mrkdwn", "mrkdwn must be true or false, not a text", "false takes the text as it is, without markup"},
		}},
		"no object": {"slack-send-message@1", `"x"`, []action.Mistake{
			{"", "the props are not one JSON object", ""},
			{"channel", "channel is missing", "write channel: The id or the name of the channel, such as C0123456789 or #general, or the id of a user"},
			{"text", "text is missing", "write text: The message, in Slack's markup"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := find(t, actions, c.ref).Check(json.RawMessage(c.props)); !slices.Equal(got, c.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
}

func TestCheckApps(t *testing.T) {
	t.Parallel()
	actions := standard(t)
	for name, c := range map[string]struct {
		ref  string
		apps []behalf.AppSlug
		want string
	}{
		"its own app":          {"slack-send-message@1", []behalf.AppSlug{"slack"}, ""},
		"none":                 {"slack-send-message@1", nil, "slack-send-message needs one account, of the app slack"},
		"another":              {"slack-send-message@1", []behalf.AppSlug{"github"}, "slack-send-message needs one account, of the app slack"},
		"two":                  {"slack-send-message@1", []behalf.AppSlug{"slack", "slack"}, "slack-send-message needs one account, of the app slack"},
		"any":                  {"http-request@1", []behalf.AppSlug{"custom"}, ""},
		"any, and none":        {"http-request@1", nil, ""},
		"any, but not two":     {"http-request@1", []behalf.AppSlug{"custom", "slack"}, "http-request takes one account at most"},
		"for one without":      {"return-http-response@1", []behalf.AppSlug{"slack"}, "return-http-response uses no account"},
		"none for one without": {"return-http-response@1", nil, ""},
	} {
		got := find(t, actions, c.ref).CheckApps(c.apps...)
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || got[0].What != c.want || got[0].Hint == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestPropsAreCheckedOnceTheyAreEvaluated(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{"ok":true}`))
	slack := v.action(t, "slack-send-message@1")
	for props, want := range map[string]string{
		`{"channel": "C1"}`:                             "slack-send-message: text is missing",
		`{"channel": "C1", "text": null}`:               "slack-send-message: text is missing",
		`{"channel": "C1", "text": ""}`:                 "slack-send-message: text is empty",
		`{"channel": "C1", "text": {"a": 1}}`:           "slack-send-message: text must be a text, not an object",
		`{"channel": "C1", "text": "x", "blocks": "["}`: "slack-send-message: blocks must be a list, not a text",
		`{"channel": "C1", "text": "x", "more": 1}`:     `slack-send-message: slack-send-message has no prop "more"`,
	} {
		failed(t, run(t, slack, v.call(slack, props)), action.InvalidProps, want)
	}
	v.sawNothing(t)
}

// Props come from files, and at run time from whoever called the workflow.
func FuzzProps(f *testing.F) {
	for _, props := range []string{`{"url": "https://a.example/{x}", "body": {"a": [1, null]}}`, `{"url": "//x"}`, `{"headers": {"": ""}}`, `[`, `{"url":{"__lv":{"value":1}}}`} {
		f.Add(props)
	}
	a := find(f, standard(f), "http-request@1")
	refuse := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "" || r.URL.User != nil || r.Host != r.URL.Host {
			return nil, fmt.Errorf("a request to %s by %s", r.URL, r.Host)
		}
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	})
	f.Fuzz(func(t *testing.T, props string) {
		a.Check(json.RawMessage(props))
		outcome, err := a.Run(t.Context(), action.Call{Props: json.RawMessage(props), Client: &http.Client{Transport: refuse}})
		if err != nil || outcome.Err != nil && outcome.Err.Name != action.InvalidProps || outcome.Err == nil && !json.Valid(outcome.Exports) {
			t.Errorf("%s: %+v, %v", props, outcome, err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
