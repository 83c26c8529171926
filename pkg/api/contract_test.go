package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/behalf-dev/behalf/pkg/api"
)

// contract is the OpenAPI document, to hold requests and answers against.
type contract struct {
	doc    map[string]any
	routes *http.ServeMux

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

// theContract is read once: every test of the package holds what it sends and gets against it.
var theContract = sync.OnceValues(func() (*contract, error) {
	text, err := api.Document()
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := &contract{routes: http.NewServeMux(), compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	c.doc, _ = doc.(map[string]any)
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource("openapi.json", doc); err != nil {
		return nil, err
	}
	for _, route := range api.Routes() {
		c.routes.Handle(route.Method+" "+route.Pattern, http.NotFoundHandler())
	}
	return c, nil
})

func openContract(tb testing.TB) *contract {
	tb.Helper()
	c, err := theContract()
	if err != nil {
		tb.Fatalf("openapi.yaml: %v", err)
	}
	return c
}

// pathOf is a route's pattern as the document writes it: there a wildcard of several segments has no dots.
func pathOf(pattern string) string { return strings.ReplaceAll(pattern, "...}", "}") }

// pointer is the place of something in the document.
func pointer(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

// at is what lies at a place, wherever a $ref there leads, and the place that it leads to.
func (c *contract) at(place string) (any, string) {
	var doc any = c.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(place, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch v := doc.(type) {
		case map[string]any:
			doc = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				return nil, place
			}
			doc = v[i]
		default:
			return nil, place
		}
	}
	if node, ok := doc.(map[string]any); ok {
		if ref, ok := node["$ref"].(string); ok {
			return c.at(strings.TrimPrefix(ref, "#"))
		}
	}
	return doc, place
}

func (c *contract) object(place string) (map[string]any, string) {
	doc, at := c.at(place)
	object, _ := doc.(map[string]any)
	return object, at
}

// validate holds a value against the schema at a place.
func (c *contract) validate(place string, value any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	schema, ok := c.schemas[place]
	if !ok {
		var err error
		if schema, err = c.compiler.Compile("openapi.json#" + (&url.URL{Path: place}).EscapedPath()); err != nil {
			return err
		}
		c.schemas[place] = schema
	}
	return schema.Validate(value)
}

// unnamed takes the project out of a path of the Connect API, as the API does.
func unnamed(r *http.Request) *http.Request {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	if len(segments) < 5 || segments[2] != "connect" || !strings.HasPrefix(segments[3], "proj_") {
		return r
	}
	path := strings.Join(slices.Delete(segments, 3, 4), "/")
	return httptest.NewRequest(r.Method, path+"?"+r.URL.RawQuery, http.NoBody)
}

// check holds one request and its answer against the document. What no route takes is only to be flat.
func (c *contract) check(r *http.Request, body []byte, a answer) error {
	_, pattern := c.routes.Handler(unnamed(r))
	method, pattern, _ := strings.Cut(pattern, " ")
	if pattern == "" || a.status == http.StatusNotFound && strings.Contains(a.body, `"no such route"`) {
		return c.checkJSON(pointer("components", "schemas", "Error"), a.body)
	}
	operation := pointer("paths", pathOf(pattern), strings.ToLower(method))
	if err := c.checkAnswer(operation, r.Method, a); err != nil {
		return fmt.Errorf("%s %s answers %d %s, which is not what openapi.yaml says: %w", method, pattern, a.status, a.body, err)
	}
	if a.status >= http.StatusMultipleChoices {
		return nil
	}
	if err := c.checkRequest(operation, r, body); err != nil {
		return fmt.Errorf("%s %s takes %s, which openapi.yaml does not let it: %w", method, r.URL, body, err)
	}
	return nil
}

func (c *contract) checkJSON(place, text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return c.validate(place, value)
}

func (c *contract) checkAnswer(operation, method string, a answer) error {
	if a.status == http.StatusInternalServerError { // any route may have a bug
		return c.checkJSON(pointer("components", "schemas", "Error"), a.body)
	}
	response, at := c.object(operation + pointer("responses", strconv.Itoa(a.status)))
	if response == nil {
		response, at = c.object(operation + pointer("responses", "default"))
	}
	if response == nil {
		return fmt.Errorf("add %q under responses", strconv.Itoa(a.status))
	}
	for name := range child(response, "headers") {
		schema, where := c.object(at + pointer("headers", name))
		value := a.header.Get(name)
		if value == "" || schema == nil {
			continue
		}
		_, where = c.at(where + "/schema")
		if err := c.validate(where, typed(c, where, value)); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	if retry := a.header.Get("Retry-After"); retry != "" && child(response, "headers")["Retry-After"] == nil {
		return errors.New("add Retry-After under its headers")
	}
	return c.checkContent(at, response, method, a)
}

func (c *contract) checkContent(at string, response map[string]any, method string, a answer) error {
	content := child(response, "content")
	if len(content) == 0 || method == http.MethodHead {
		if method != http.MethodHead && a.body != "" {
			return errors.New("there is to be no body; or add its content")
		}
		return nil
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	media := child(content, kind)
	switch {
	case media == nil && content["*/*"] != nil:
		return nil
	case media == nil:
		return fmt.Errorf("add content %q", kind)
	}
	_, schema := c.at(at + pointer("content", kind, "schema"))
	return c.checkJSON(schema, a.body)
}

func child(of map[string]any, name string) map[string]any {
	found, _ := of[name].(map[string]any)
	return found
}

// checkRequest is for a request that was taken: each parameter must be known, and the body of its schema.
func (c *contract) checkRequest(operation string, r *http.Request, body []byte) error {
	parameters := map[string]string{"query token": ""}
	op, _ := c.object(operation)
	list, _ := op["parameters"].([]any)
	for i := range list {
		p, at := c.object(operation + pointer("parameters", strconv.Itoa(i)))
		name := fmt.Sprint(p["in"], " ", p["name"])
		_, parameters[name] = c.at(at + "/schema")
	}
	for name, values := range r.URL.Query() {
		schema, ok := parameters["query "+name]
		if !ok {
			return fmt.Errorf("add the parameter %q, in: query", name)
		}
		if schema == "" {
			continue
		}
		if err := c.validate(schema, typed(c, schema, values[0])); err != nil {
			return fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	if len(body) == 0 {
		request, _ := c.object(operation + "/requestBody")
		if request["required"] == true {
			return errors.New("the requestBody is not required")
		}
		return nil
	}
	return c.checkBody(operation, r.Header.Get("Content-Type"), body)
}

func (c *contract) checkBody(operation, kind string, body []byte) error {
	kind, _, _ = strings.Cut(kind, ";")
	if kind == "" && strings.HasSuffix(operation, "~1v1~1oauth~1token/post") {
		kind = "application/x-www-form-urlencoded" // as older clients send it
	}
	request, at := c.object(operation + "/requestBody")
	if child(child(request, "content"), kind) == nil {
		return fmt.Errorf("add a requestBody with content %q", kind)
	}
	_, schema := c.at(at + pointer("content", kind, "schema"))
	if kind == "application/json" {
		return c.checkJSON(schema, string(body))
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	fields := map[string]any{}
	for name := range form {
		fields[name] = form.Get(name)
	}
	return c.validate(schema, fields)
}

// typed reads a text of a header or a query as the type that its schema asks for.
func typed(c *contract, schema, text string) any {
	switch object, _ := c.object(schema); object["type"] {
	case "integer":
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

// checked serves a request, and holds what comes back against the contract.
func checked(tb testing.TB, handler http.Handler, r *http.Request) answer {
	tb.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Fatal(err)
	}
	sent := r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Header(), rec.Body.String()}
	if err := openContract(tb).check(sent, body, a); err != nil {
		tb.Error(err)
	}
	return a
}

// snippet is what to write for a route that the document does not have.
func snippet(route api.Route) string {
	security := "[]"
	if route.Scope != "" {
		security = fmt.Sprintf("[{oauth: [%s]}]", route.Scope)
		if route.ByUser {
			security = fmt.Sprintf("[{oauth: [%s]}, {connectToken: []}]", route.Scope)
		}
	}
	return fmt.Sprintf(`
  %s:
    %s:
      operationId: …
      tags: [runs | users | workflows | service]
      summary: …
      security: %s
      parameters: [{$ref: "#/components/parameters/Environment"}]
      responses:
        "200":
          description: …
          content: {application/json: {schema: {$ref: "#/components/schemas/…"}}}
        "400": {$ref: "#/components/responses/Invalid"}
        "401": {$ref: "#/components/responses/Unauthenticated"}
        "403": {$ref: "#/components/responses/Forbidden"}
        "404": {$ref: "#/components/responses/NotFound"}
        "429": {$ref: "#/components/responses/Throttled"}
        "503": {$ref: "#/components/responses/Unavailable"}
`, pathOf(route.Pattern), strings.ToLower(route.Method), security)
}

// TestTheDocumentHasEveryRoute holds the document against the table of routes, both ways.
func TestTheDocumentHasEveryRoute(t *testing.T) {
	t.Parallel()
	c := openContract(t)
	known, ids := map[string]bool{}, map[any]string{}
	for _, route := range api.Routes() {
		place := pointer("paths", pathOf(route.Pattern), strings.ToLower(route.Method))
		known[place] = true
		operation, _ := c.object(place)
		if operation == nil {
			t.Errorf("pkg/api/openapi.yaml lacks a route. Add to its paths:%s", snippet(route))
			continue
		}
		if id := operation["operationId"]; id == nil || ids[id] != "" {
			t.Errorf("%s %s: operationId %v is missing, or also that of %s", route.Method, route.Pattern, id, ids[id])
		} else {
			ids[id] = route.Method + " " + route.Pattern
		}
		if err := sameScope(operation["security"], route); err != nil {
			t.Errorf("%s %s: %v", route.Method, route.Pattern, err)
		}
	}
	for path, item := range child(c.doc, "paths") {
		methods, _ := item.(map[string]any)
		for method := range methods {
			if !known[pointer("paths", path, method)] {
				t.Errorf("openapi.yaml has %s %s, which is no row of routes() in pkg/api/route.go", strings.ToUpper(method), path)
			}
		}
	}
}

func sameScope(security any, route api.Route) error {
	list, ok := security.([]any)
	if route.Scope == "" {
		if !ok || len(list) > 0 {
			return errors.New("it asks for no scope: write security: []")
		}
		return nil
	}
	want := fmt.Sprintf("map[oauth:[%s]]", route.Scope)
	for _, way := range list {
		if scheme, _ := way.(map[string]any); scheme["oauth"] != nil && fmt.Sprint(way) != want {
			return fmt.Errorf("security is %v; write [{oauth: [%s]}]", way, route.Scope)
		}
	}
	if len(list) == 0 || fmt.Sprint(list[0]) != want {
		return fmt.Errorf("write security: [{oauth: [%s]}]", route.Scope)
	}
	if byUser := slices.ContainsFunc(list, func(way any) bool { return fmt.Sprint(way) == "map[connectToken:[]]" }); byUser != route.ByUser {
		return fmt.Errorf("security is %v; it has {connectToken: []} where, and only where, a connect token will do", security)
	}
	return nil
}

// TestTheDocumentIsOpenAPI holds it against the schema of the OpenAPI initiative, and its examples against its own.
func TestTheDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	c := openContract(t)
	file, err := os.Open("testdata/openapi-3.1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it is only read
	official, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://spec.openapis.org/oas/3.1/schema/2022-10-07", official); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://spec.openapis.org/oas/3.1/schema/2022-10-07")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(c.doc); err != nil {
		t.Error(err)
	}
	examples := 0
	c.walk("", c.doc, func(place string, node map[string]any) {
		if ref, ok := node["$ref"].(string); ok {
			if found, _ := c.at(strings.TrimPrefix(ref, "#")); found == nil {
				t.Errorf("%s: %s leads nowhere", place, ref)
			}
		}
		for schema, example := range examplesOf(c, place, node) {
			examples++
			if err := c.validate(schema.place, example); err != nil {
				t.Errorf("the example at %s: %v", schema.at, err)
			}
		}
	})
	if examples < 15 {
		t.Errorf("only %d examples were found", examples)
	}
}

// TestTheDocumentIsServed asks for it as a stranger would.
func TestTheDocumentIsServed(t *testing.T) {
	t.Parallel()
	a := newWorld(t).call("", "GET", "/v1/openapi.json", "")
	want, err := api.Document()
	if err != nil || a.status != 200 || strings.TrimSpace(a.body) != string(want) {
		t.Errorf("%d, %v: %.200s", a.status, err, a.body)
	}
}

func (c *contract) walk(place string, doc any, visit func(place string, node map[string]any)) {
	switch v := doc.(type) {
	case map[string]any:
		visit(place, v)
		for name, below := range v {
			if name != "example" && name != "examples" {
				c.walk(place+pointer(name), below, visit)
			}
		}
	case []any:
		for i, below := range v {
			c.walk(place+pointer(strconv.Itoa(i)), below, visit)
		}
	}
}

// exampleAt is where an example stands, and the place of the schema that it is to fit.
type exampleAt struct{ at, place string }

// examplesOf are those of a media type, or of a schema.
func examplesOf(c *contract, place string, node map[string]any) map[exampleAt]any {
	found := map[exampleAt]any{}
	if _, ok := node["schema"]; ok {
		_, schema := c.at(place + "/schema")
		if example, ok := node["example"]; ok {
			found[exampleAt{place, schema}] = example
		}
		for name, named := range child(node, "examples") {
			found[exampleAt{place + " " + name, schema}] = child(map[string]any{"x": named}, "x")["value"]
		}
	}
	if list, ok := node["examples"].([]any); ok {
		for i, example := range list {
			found[exampleAt{fmt.Sprint(place, " ", i), place}] = example
		}
	}
	return found
}

// TestTheContractNotices breaks what it holds, so that it is known to hold it.
func TestTheContractNotices(t *testing.T) {
	t.Parallel()
	c := openContract(t)
	asJSON := http.Header{"Content-Type": {"application/json"}}
	account := `{"id":"apn_a","app":"slack","environment":"production","healthy":true,"state":"active","created_at":"2026-11-24T00:00:00Z","updated_at":"2026-11-24T00:00:00Z"}`
	list := func(account string) string {
		return `{"data":[` + account + `],"page_info":{"count":1,"end_cursor":null}}`
	}
	for name, broken := range map[string]struct {
		method, target, body string
		answer               answer
	}{
		"a field of the answer is missing":      {"GET", "/v1/accounts?user=a", "", answer{200, asJSON, list(strings.Replace(account, `"healthy":true,`, "", 1))}},
		"the answer has a field too many":       {"GET", "/v1/accounts?user=a", "", answer{200, asJSON, list(strings.Replace(account, "{", `{"credential":"x",`, 1))}},
		"a value is of the wrong type":          {"GET", "/v1/accounts?user=a", "", answer{200, asJSON, list(strings.Replace(account, "true", `"yes"`, 1))}},
		"a time is none":                        {"GET", "/v1/accounts?user=a", "", answer{200, asJSON, list(strings.Replace(account, "2026-11-24T00:00:00Z", "today", 1))}},
		"a status is not listed":                {"GET", "/v1/accounts?user=a", "", answer{418, asJSON, `{"error":"x","code":"x"}`}},
		"the answer is no JSON":                 {"GET", "/v1/accounts?user=a", "", answer{200, asJSON, "<p>"}},
		"the answer is of another content type": {"GET", "/v1/accounts?user=a", "", answer{200, http.Header{"Content-Type": {"text/html"}}, list(account)}},
		"the error is not flat":                 {"GET", "/v1/accounts?user=a", "", answer{403, asJSON, `{"error":{"code":"forbidden"}}`}},
		"the error of no route is not flat":     {"GET", "/v1/nothing", "", answer{404, asJSON, `{"error":"x"}`}},
		"Retry-After is no number":              {"GET", "/v1/accounts?user=a", "", answer{503, http.Header{"Content-Type": {"application/json"}, "Retry-After": {"soon"}}, `{"error":"x","code":"x"}`}},
		"a parameter is not listed":             {"GET", "/v1/accounts?user=a&colour=red", "", answer{200, asJSON, list(account)}},
		"a parameter is out of its bounds":      {"GET", "/v1/users?limit=101", "", answer{200, asJSON, `{"data":[],"page_info":{"count":0,"end_cursor":null}}`}},
		"a body is taken that is wrong":         {"POST", "/v1/accounts", `{"app":"slack"}`, answer{200, asJSON, account}},
		"a body is taken that has too much":     {"POST", "/v1/accounts", `{"app":"slack","credential":{},"x":1}`, answer{200, asJSON, account}},
		"a body is taken where there is none":   {"GET", "/v1/users", "{}", answer{200, asJSON, `{"data":[],"page_info":{"count":0,"end_cursor":null}}`}},
		"no body is taken where one is needed":  {"POST", "/v1/accounts", "", answer{200, asJSON, account}},
		"there is a body where none may be":     {"DELETE", "/v1/accounts/apn_a", "", answer{204, asJSON, "x"}},
	} {
		r := httptest.NewRequest(broken.method, broken.target, strings.NewReader(broken.body))
		r.Header.Set("Content-Type", "application/json")
		if c.check(r, []byte(broken.body), broken.answer) == nil {
			t.Errorf("%s, and nobody noticed", name)
		}
	}
	if got := slices.Sorted(maps.Keys(child(child(c.doc, "components"), "schemas"))); !json.Valid([]byte(account)) || len(got) < 20 {
		t.Errorf("schemas: %v", got)
	}
}
