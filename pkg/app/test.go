package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// Test is a request that changes nothing and shows whether a credential works. The zero value is for an app that has none.
type Test struct {
	// Method defaults to GET.
	Method string
	// URL is a path of the account's base, or whole.
	URL     string
	Headers map[string]string
	// Body is JSON. May be empty.
	Body string
	// OK is the place in the answer that must be true, for services that answer errors with 200. See Pick.
	OK string
	// ID and Name are where the answer says whose credential it is, for Identity.
	ID   string
	Name string
}

// Identity is whose credential it is, as the service calls it. Either may be empty.
type Identity struct {
	ID   string
	Name string
}

// TestRequest makes the request that shows whether a credential works, and puts the credential into it, as Authorize
// does, with its errors. Kind NotFound for an app that has no such request. Whoever sends it must not follow redirects.
func (a App) TestRequest(ctx context.Context, credential map[string]secret.String) (*http.Request, error) {
	const op = "app.TestRequest"
	if a.Test.URL == "" {
		return nil, fault.Newf(fault.NotFound, op, "the catalogue has no request that would show whether a credential of %s works", a.Name)
	}
	address := a.Test.URL
	if strings.HasPrefix(address, "/") {
		base, err := a.Base(credential)
		if err != nil {
			return nil, err
		}
		address = base.String() + address
	}
	req, err := http.NewRequestWithContext(ctx, a.Test.Method, address, bytes.NewReader([]byte(a.Test.Body)))
	if err != nil {
		return nil, fault.Newf(fault.Internal, op, "the test request of %s cannot be made", a.Name)
	}
	req.Header.Set("Accept", "application/json")
	if a.Test.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range a.Test.Headers {
		req.Header.Set(name, value)
	}
	return req, a.Authorize(req, credential)
}

// maxTestAnswer is the most that is read of the answer to a test request, in bytes.
const maxTestAnswer = 1 << 20

// TestAnswer says what the answer to TestRequest means, and whose credential it is. It reads the body and does not close
// it. Kinds: Invalid (the service does not accept the credential), Exhausted, Unavailable (nobody can tell right now).
func (a App) TestAnswer(resp *http.Response) (Identity, error) {
	const op = "app.TestAnswer"
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTestAnswer))
	refused := fault.Newf(fault.Invalid, op, "%s does not accept this credential (%d)", a.Name, resp.StatusCode)
	away := fault.Newf(fault.Unavailable, op, "%s does not say right now whether this credential works (%d)", a.Name, resp.StatusCode)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		return Identity{}, fault.Newf(fault.Exhausted, op, "%s is asked too often: try again later", a.Name)
	case status >= 400 && status < 500:
		return Identity{}, refused
	case err != nil || status < 200 || status >= 300:
		return Identity{}, away
	case a.Test.OK == "" && a.Test.ID == "" && a.Test.Name == "":
		return Identity{}, nil
	}
	document, ok := parseAnswer(body)
	if !ok {
		return Identity{}, away
	}
	if said, _ := Pick(document, a.Test.OK); a.Test.OK != "" && said != "true" {
		return Identity{}, refused
	}
	id, ok := Pick(document, a.Test.ID)
	if a.Test.ID != "" && (!ok || id == "") {
		return Identity{}, refused // as GraphQL does it: 200, and errors instead of data
	}
	name, _ := Pick(document, a.Test.Name)
	return Identity{ID: id, Name: name}, nil
}

func parseAnswer(body []byte) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var document any
	err := dec.Decode(&document)
	return document, err == nil
}

// movedTo returns the same at another address.
func (t Test) movedTo(base string) Test {
	if t.URL != "" && !strings.HasPrefix(t.URL, "/") {
		t.URL = moved(base, t.URL)
	}
	t.Headers = maps.Clone(t.Headers)
	return t
}

func readTest(value strict.Value, hosts []string) Test {
	if !value.Given() {
		return Test{}
	}
	shape := strict.Shape{Known: []string{"method", "url", "headers", "body", "ok", "id", "name"}}
	fields, ok := value.Shaped(shape, "write test: { url: /me, id: id, name: name }")
	if !ok {
		return Test{}
	}
	t := Test{
		Method:  readWord(fields.Field("method"), "GET", "POST"),
		URL:     readTestURL(fields.Required("url", "write url: and a path of the base URL, or https://…"), hosts),
		Headers: readHeaders(fields.Field("headers")),
		OK:      readPlace(fields.Field("ok")),
		ID:      readPlace(fields.Field("id")),
		Name:    readPlace(fields.Field("name")),
	}
	if t.Body, ok = given(fields.Field("body")); ok && !json.Valid([]byte(t.Body)) {
		fields.Field("body").Mistake("this is no JSON", `write body: '{"query": "…"}'`)
	}
	return t
}

// readTestURL reads where the test request goes: to a host to which the credential may go.
func readTestURL(value strict.Value, hosts []string) string {
	text := readEndpoint(value)
	u, err := url.Parse(text)
	if text != "" && !strings.HasPrefix(text, "/") && (err != nil || !slices.Contains(hosts, u.Host)) {
		value.Mistake("the credential may not be sent to this host", "write the host under hosts, or a path of the base URL")
	}
	return text
}

// readHeaders reads headers that are the same for every account.
func readHeaders(value strict.Value) map[string]string {
	if !value.Given() {
		return nil
	}
	fields, _ := value.Fields("write headers: { X-Version: \"1\" }")
	headers := make(map[string]string, len(fields.Names()))
	for _, name := range fields.Names() {
		field := fields.Field(name)
		text, ok := field.Text("write a text, in quotes where it looks like a number")
		if !validHeader(name) || http.CanonicalHeaderKey(name) == "Authorization" {
			field.Mistake("this header is not for the file to set", "leave it out")
		} else if ok && !validHeaderValue(text) {
			field.Mistake("this is no value of a header", "")
		}
		headers[name] = text
	}
	return headers
}

func readPlace(value strict.Value) string {
	text, ok := given(value)
	if ok && !validPlace(text) {
		value.Mistake("this is no place in a JSON document", "write names with dots between: data.viewer.id")
	}
	return text
}
