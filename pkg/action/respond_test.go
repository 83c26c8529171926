package action_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/action"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

func TestReturnHTTPResponse(t *testing.T) {
	t.Parallel()
	a := find(t, standard(t), "return-http-response@1")
	for name, c := range map[string]struct {
		props string
		want  behalf.Response
	}{
		"nothing said": {``, behalf.Response{Status: 200}},
		"JSON": {
			`{"status": 201, "body": {"ok": true, "n": 1.0}}`,
			behalf.Response{Status: 201, Headers: map[string]string{"content-type": "application/json; charset=utf-8"}, Text: `{"n":1.0,"ok":true}`},
		},
		"a text": {
			`{"body": "<Hello>", "headers": {"X-A": "b", "X-N": 5, "X-Gone": null}}`,
			behalf.Response{Status: 200, Headers: map[string]string{"X-A": "b", "X-N": "5", "content-type": "text/plain; charset=utf-8"}, Text: "<Hello>"},
		},
		"a type of its own": {
			`{"body": "<b>", "headers": {"CONTENT-TYPE": "text/html"}}`,
			behalf.Response{Status: 200, Headers: map[string]string{"CONTENT-TYPE": "text/html"}, Text: "<b>"},
		},
		"the names of a Pipedream component": {
			`{"resStatusCode": "404", "resHeaders": {"X-A": "b"}, "resBody": [1]}`,
			behalf.Response{Status: 404, Headers: map[string]string{"X-A": "b", "content-type": "application/json; charset=utf-8"}, Text: "[1]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcome := run(t, a, action.Call{Props: json.RawMessage(c.props)})
			if outcome.Err != nil || outcome.Response == nil {
				t.Fatalf("got %+v", outcome)
			}
			got := *outcome.Response
			if got.Status != c.want.Status || got.Text != c.want.Text || got.Immediate || !maps.Equal(got.Headers, c.want.Headers) {
				t.Errorf("got %+v", got)
			}
		})
	}
	for props, want := range map[string]string{
		`{"status": 199}`:                                  "return-http-response: status must be at least 200",
		`{"status": 600}`:                                  "return-http-response: status must be at most 599",
		`{"status": 200.5}`:                                "return-http-response: status must be a whole number, not a number",
		`{"headers": {"X": "a\nb"}}`:                       `headers: "X" is not a header with a value of one line`,
		`{"headers": {"": "a"}}`:                           `headers: "" is not a header with a value of one line`,
		`{"headers": {"X": {"a": "b"}}}`:                   `headers: "X" is not a header with a value of one line`,
		`{"body": "` + strings.Repeat("a", 6<<20+1) + `"}`: "the body is larger than 6 MiB",
	} {
		failed(t, run(t, a, action.Call{Props: json.RawMessage(props)}), action.InvalidProps, want)
	}
}
