package action_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/action"
)

// What each action sends, and what its step leaves: the contract of its major version.
func TestWhatActionsSend(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ref, props string
		answers    []http.HandlerFunc
		sent       []received
		exports    string
	}{
		"Slack, with the props of the seed": {
			ref: "slack-send-message@1", props: `{"channel": "#general", "text": "Hello, <world> & all!"}`,
			answers: []http.HandlerFunc{says(200, `{"ok":true,"channel":"C1","ts":"1.2","big":12345678901234567890}`)},
			sent:    []received{{method: "POST", uri: "/chat.postMessage", body: `{"channel":"#general","text":"Hello, <world> & all!"}`}},
			exports: `{"$return_value":{"ok":true,"channel":"C1","ts":"1.2","big":12345678901234567890},"$summary":"Sent a message to C1"}`,
		},
		"Slack, with the names of a Pipedream component": {
			ref:     "slack-send-message@1",
			props:   `{"conversation": {"__lv": {"label": "general", "value": "C1"}}, "text": 5, "mrkdwn": "false", "blocks": [{"type": "divider"}], "thread_ts": null}`,
			answers: []http.HandlerFunc{says(200, `{"ok":true}`)},
			sent:    []received{{method: "POST", uri: "/chat.postMessage", body: `{"channel":"C1","text":"5","mrkdwn":false,"blocks":[{"type":"divider"}]}`}},
			exports: `{"$return_value":{"ok":true}}`,
		},
		"GitHub": {
			ref: "github-create-issue@1", props: `{"repoFullname": "AcmeOrg/acme-repo", "title": "Test Issue", "labels": ["bug"], "milestone": "3"}`,
			answers: []http.HandlerFunc{says(201, `{"number":7}`)},
			sent:    []received{{method: "POST", uri: "/repos/AcmeOrg/acme-repo/issues", body: `{"title":"Test Issue","labels":["bug"],"milestone":3}`}},
			exports: `{"$return_value":{"number":7},"$summary":"Created issue 7 in AcmeOrg/acme-repo"}`,
		},
		"HubSpot, by the list's name": {
			ref: "hubspot-add-contact-to-list@1", props: `{"list": "prospects & more/½", "contactEmail": "foo+x@example.com"}`,
			answers: []http.HandlerFunc{says(200, `{"list":{"listId":"12"}}`), says(200, `{"id":"901"}`), says(200, `{"recordsIdsAdded":["901"],"recordIdsMissing":[]}`)},
			sent: []received{
				{method: "GET", uri: "/crm/lists/2026-03/object-type-id/0-1/name/prospects%20%26%20more%2F%C2%BD"},
				{method: "GET", uri: "/crm/objects/2026-03/contacts/foo%2Bx%40example.com?idProperty=email"},
				{method: "PUT", uri: "/crm/lists/2026-03/12/memberships/add", body: `["901"]`},
			},
			exports: `{"$return_value":{"recordsIdsAdded":["901"],"recordIdsMissing":[]},"$summary":"Added foo+x@example.com to the list prospects & more/½"}`,
		},
		"HubSpot, by the list's id": {
			ref: "hubspot-add-contact-to-list@1", props: `{"list": 12, "contactEmail": "foo@example.com"}`,
			answers: []http.HandlerFunc{says(200, `{"id":901}`), says(200, `{}`)},
			sent: []received{
				{method: "GET", uri: "/crm/objects/2026-03/contacts/foo%40example.com?idProperty=email"},
				{method: "PUT", uri: "/crm/lists/2026-03/12/memberships/add", body: `[901]`},
			},
			exports: `{"$return_value":{},"$summary":"Added foo@example.com to the list 12"}`,
		},
		"Google Sheets": {
			ref: "google_sheets-add-row@1", props: `{"sheetId": "1aB_-c", "row": ["=1+1", 2, null, true]}`,
			answers: []http.HandlerFunc{says(200, `{"updates":{"updatedRange":"Sheet1!A2:D2"}}`)},
			sent: []received{{
				method: "POST", uri: "/v4/spreadsheets/1aB_-c/values/A1:append?insertDataOption=INSERT_ROWS&valueInputOption=RAW", body: `{"values":[["=1+1",2,null,true]]}`,
			}},
			exports: `{"$return_value":{"updates":{"updatedRange":"Sheet1!A2:D2"}},"$summary":"Added a row at Sheet1!A2:D2"}`,
		},
		"Google Sheets, another sheet": {
			ref: "google_sheets-add-row@1", props: `{"sheetId": "s", "row": [1], "range": "'New orders'!A1:D1", "valueInputOption": "USER_ENTERED"}`,
			answers: []http.HandlerFunc{says(200, `{}`)},
			sent: []received{{
				method: "POST", uri: "/v4/spreadsheets/s/values/%27New%20orders%27%21A1%3AD1:append?insertDataOption=INSERT_ROWS&valueInputOption=USER_ENTERED",
				body: `{"values":[[1]]}`,
			}},
			exports: `{"$return_value":{}}`,
		},
		"OpenAI": {
			ref: "openai-chat@1", props: `{"modelId": "gpt-4o-mini", "userMessage": "And now?", "temperature": 0.5}`,
			answers: []http.HandlerFunc{says(200, `{"model":"gpt-4o-mini-2024","choices":[]}`)},
			sent: []received{{
				method: "POST", uri: "/chat/completions", body: `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"And now?"}],"temperature":0.5}`,
			}},
			exports: `{"$return_value":{"model":"gpt-4o-mini-2024","choices":[]},"$summary":"gpt-4o-mini-2024 answered"}`,
		},
		"OpenAI, with the messages before": {
			ref:     "openai-chat@1",
			props:   `{"modelId": "m", "userMessage": "c", "systemInstructions": "s", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "maxCompletionTokens": 9}`,
			answers: []http.HandlerFunc{says(200, `{"model":"m"}`)},
			sent: []received{{method: "POST", uri: "/chat/completions", body: `{"model":"m","max_completion_tokens":9,"messages":[{"role":"system","content":"s"},` +
				`{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]}`}},
			exports: `{"$return_value":{"model":"m"},"$summary":"m answered"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, c.answers...)
			a := v.action(t, c.ref)
			outcome := run(t, a, v.call(a, c.props))
			if outcome.Err != nil {
				t.Fatalf("it failed: %+v", outcome.Err)
			}
			sameJSON(t, "the step's export", string(outcome.Exports), c.exports)
			got := v.requests()
			if len(got) != len(c.sent) {
				t.Fatalf("it was sent %+v", got)
			}
			for i, want := range c.sent {
				if got[i].method != want.method || got[i].uri != want.uri || got[i].header.Get("Authorization") != "Bearer "+canary {
					t.Errorf("call %d is %s %s %v", i, got[i].method, got[i].uri, got[i].header)
				}
				switch {
				case want.body == "":
					if got[i].body != "" || got[i].header.Get("Content-Type") != "" {
						t.Errorf("call %d has a body: %s", i, got[i].body)
					}
				case got[i].header.Get("Content-Type") != "application/json; charset=utf-8":
					t.Errorf("call %d has the type %s", i, got[i].header.Get("Content-Type"))
				default:
					sameJSON(t, "the body", got[i].body, want.body)
				}
			}
		})
	}
}

func TestNumbersPassDigitForDigit(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(200, `{"n": 12345678901234567890}`))
	a := v.action(t, "http-request@1")
	outcome := run(t, a, v.call(a, `{"url": "`+v.URL+`", "method": "POST", "body": {"n": 12345678901234567890}}`))
	if body := v.requests()[0].body; body != `{"n":12345678901234567890}` || !strings.Contains(string(outcome.Exports), `{"n":12345678901234567890}`) {
		t.Errorf("sent %s, left %s", body, outcome.Exports)
	}
}

func TestGitHubGetsTheHeadersOfItsVersion(t *testing.T) {
	t.Parallel()
	v := newVendor(t, says(201, `{}`))
	a := v.action(t, "github-create-issue@1")
	run(t, a, v.call(a, `{"repoFullname": "a/b", "title": "t"}`))
	h := v.requests()[0].header
	if h.Get("Accept") != "application/vnd.github+json" || h.Get("X-Github-Api-Version") != "2022-11-28" || h.Get("User-Agent") != "behalf" {
		t.Errorf("got %v", h)
	}
}

// The services' own ways of saying no, each as its documentation has it.
func TestWhatServicesSayOfErrors(t *testing.T) {
	t.Parallel()
	const (
		slack   = `{"channel": "C1", "text": "x"}`
		github  = `{"repoFullname": "a/b", "title": "t"}`
		hubspot = `{"list": "prospects", "contactEmail": "foo@example.com"}`
		sheets  = `{"sheetId": "s", "row": [1]}`
		openai  = `{"modelId": "m", "userMessage": "x"}`
	)
	later := func(after string, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", after)
			next(w, r)
		}
	}
	for name, c := range map[string]struct {
		ref, props    string
		answers       []http.HandlerFunc
		kind, message string
	}{
		"Slack says no with 200": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, `{"ok":false,"error":"channel_not_found"}`)},
			action.VendorError, "slack: channel_not_found",
		},
		"Slack tells the scope": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, `{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"identify"}`)},
			action.VendorError, "slack: missing_scope (needed: chat:write, provided: identify)",
		},
		"Slack says nothing": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, `{"hello":1}`)},
			action.VendorError, "slack: its answer does not say that all went well, nor what did not",
		},
		"Slack answers null": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{says(200, ``)},
			action.VendorError, "slack: its answer does not say that all went well, nor what did not",
		},
		"Slack limits the rate": {
			"slack-send-message@1", slack,
			[]http.HandlerFunc{later("30", says(429, `{"ok":false,"error":"ratelimited"}`))},
			action.VendorRateLimited, "Slack answered 429 (too many requests): ratelimited; it asks to wait 30 s",
		},
		"GitHub's validation": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(422, `{"message":"Validation Failed","errors":[{"resource":"Issue","code":"missing_field","field":"title"}],"documentation_url":"https://docs.github.com/x"}`)},
			action.VendorError, "GitHub answered 422: Validation Failed (errors: code=missing_field field=title resource=Issue)",
		},
		"GitHub does not take the token": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(401, `{"message":"Bad credentials"}`)},
			action.VendorUnauthorized, "GitHub answered 401: Bad credentials",
		},
		"HubSpot has no such list": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(404, `{"message":"resource not found"}`)},
			action.VendorError, "HubSpot answered 404: there is no contact list prospects",
		},
		"HubSpot has no such contact": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(200, `{"list":{"listId":"1"}}`), says(404, ``)},
			action.VendorError, "HubSpot answered 404: there is no contact foo@example.com",
		},
		"HubSpot adds nobody": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(200, `{"list":{"listId":"1"}}`), says(200, `{"id":"9"}`), says(200, `{"recordsIdsAdded":[],"recordIdsMissing":["9"]}`)},
			action.VendorError, `hubspot: recordIdsMissing is ["9"]`,
		},
		"HubSpot misses a scope": {
			"hubspot-add-contact-to-list@1", hubspot,
			[]http.HandlerFunc{says(403, `{"status":"error","message":"This app hasn't been granted all required scopes","correlationId":"x","errors":[{"message":"One or more are required","context":{"a":["b"]}}],"category":"MISSING_SCOPES"}`)},
			action.VendorError, "HubSpot answered 403: This app hasn't been granted all required scopes (category: MISSING_SCOPES, errors: One or more are required)",
		},
		"Google's error": {
			"google_sheets-add-row@1", sheets,
			[]http.HandlerFunc{says(403, `{"error":{"code":403,"message":"The caller does not have permission","status":"PERMISSION_DENIED"}}`)},
			action.VendorError, "Google Sheets answered 403: The caller does not have permission (status: PERMISSION_DENIED)",
		},
		"OpenAI's error": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{says(400, `{"error":{"message":"The model does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`)},
			action.VendorError, "OpenAI answered 400: The model does not exist (type: invalid_request_error, code: model_not_found)",
		},
		"a gateway's page": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{says(502, "<html>\n\t<h1>Bad   gateway</h1>\x00</html>")},
			action.VendorUnavailable, "OpenAI answered 502 (bad gateway): <html> <h1>Bad gateway</h1> </html>",
		},
		"an empty 503, with a date": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{later("Fri, 01 Jan 2027 00:00:00 GMT", says(503, ``))},
			action.VendorUnavailable, "OpenAI answered 503 (service unavailable); it asks to wait until Fri, 01 Jan 2027 00:00:00 GMT",
		},
		"JSON that is none of what is known": {
			"openai-chat@1", openai,
			[]http.HandlerFunc{says(418, `{"detail": {"a": [1, 2]}}`)},
			action.VendorError, `OpenAI answered 418: {"detail": {"a": [1, 2]}}`,
		},
		"no JSON where it was due": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(200, "<!doctype html><title>Log in</title>")},
			action.VendorBadAnswer, "GitHub answered 200 with text/html; charset=utf-8 where JSON was expected: <!doctype html><title>Log in</title>",
		},
		"half of the JSON": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(200, `{"a":`)},
			action.VendorBadAnswer, `GitHub answered 200 with application/json; charset=utf-8 where JSON was expected: {"a":`,
		},
		"JSON nested too deep": {
			"github-create-issue@1", github,
			[]http.HandlerFunc{says(200, strings.Repeat("[", 300)+strings.Repeat("]", 300))},
			action.VendorBadAnswer, "GitHub answered with JSON nested deeper than 256",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t, c.answers...)
			a := v.action(t, c.ref)
			failed(t, run(t, a, v.call(a, c.props)), c.kind, c.message)
		})
	}
}
