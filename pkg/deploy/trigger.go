package deploy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// maxStaticBody is the size of a static response's body in bytes: it travels with every endpoint.
const maxStaticBody = 64 << 10

// triggers reads the list, which has exactly one HTTP trigger.
func (l *loader) triggers(value strict.Value) behalf.Trigger {
	if !value.Given() {
		return behalf.Trigger{}
	}
	const hint = "write one trigger: - type: http"
	items, ok := value.Items(hint)
	if !ok {
		return behalf.Trigger{}
	}
	if len(items) == 0 {
		value.Mistake("triggers is empty", hint)
		return behalf.Trigger{}
	}
	for _, more := range items[1:] {
		more.Mistake("a workflow has one trigger; several come in a later release", "move it to a workflow of its own")
	}
	return readTrigger(items[0])
}

func readTrigger(value strict.Value) behalf.Trigger {
	fields, ok := value.Shaped(triggerShape(), "write - type: http")
	if !ok {
		return behalf.Trigger{}
	}
	readType(fields.Required("type", "write type: http"))
	return behalf.Trigger{
		Auth:              readAuth(fields.Required("auth", "write auth: oauth (your backend's token), auth: token (one fixed token) or auth: none (open to everyone)")),
		Respond:           readRespond(fields.Field("respond")),
		RawBody:           readFlag(fields.Field("raw_body")),
		PublicUsers:       readFlag(fields.Field("public_users")),
		PublicDevelopment: readFlag(fields.Field("public_development")),
	}
}

func readType(value strict.Value) {
	text, ok := given(value, "write type: http")
	switch {
	case !ok, text == "http":
	case slices.Contains([]string{"schedule", "app", "email"}, text):
		value.Mistake(text+" triggers are not built yet", "write type: http, and call its URL; others come in a later release")
	default:
		value.Mistake("there is no such type of trigger", "write type: http")
	}
}

func readAuth(value strict.Value) behalf.TriggerAuth {
	text, ok := given(value, "write auth: none, token or oauth")
	switch auth := behalf.TriggerAuth(text); auth {
	case behalf.AuthNone, behalf.AuthToken, behalf.AuthOAuth:
		return auth
	}
	if ok {
		value.Mistake("auth must be none, token or oauth", "write auth: oauth")
	}
	return ""
}

func readFlag(value strict.Value) bool {
	if !value.Given() {
		return false
	}
	flag, _ := value.Bool()
	return flag
}

func readRespond(value strict.Value) behalf.Respond {
	const hint = "write respond: immediate, respond: custom or respond: { status: 200, body: … }"
	if !value.Given() {
		return behalf.Respond{Mode: behalf.RespondImmediate}
	}
	if value.IsMapping() {
		return behalf.Respond{Mode: behalf.RespondStatic, Static: readStatic(value)}
	}
	text, ok := value.Text(hint)
	switch mode := behalf.RespondMode(text); mode {
	case behalf.RespondImmediate, behalf.RespondCustom:
		return behalf.Respond{Mode: mode}
	case behalf.RespondStatic:
	}
	if ok {
		value.Mistake("respond must be immediate, custom or a response", hint)
	}
	return behalf.Respond{}
}

func readStatic(value strict.Value) *behalf.Response {
	fields, _ := value.Shaped(respondShape(), "")
	response := &behalf.Response{Status: readStatus(fields.Field("status")), Headers: readHeaders(fields.Field("headers"))}
	body := fields.Field("body")
	if !body.Given() {
		return response
	}
	if response.Status == 204 || response.Status == 304 {
		body.Mistake(fmt.Sprintf("a response %d has no body", response.Status), "leave body out")
	}
	readBody(response, body)
	return response
}

// readStatus refuses what callers take for "not accepted, try again": the answer goes out after the event was stored,
// and a repeat would run the workflow once more.
func readStatus(value strict.Value) int {
	if !value.Given() {
		return 200
	}
	status, ok := value.Int(200, 499)
	if ok && (status == 408 || status == 429) {
		value.Mistake(fmt.Sprintf("clients repeat a request that is answered with %d, and each repeat would run the workflow again", status), "write another status from 200 to 499")
	}
	return status
}

func readHeaders(value strict.Value) map[string]string {
	if !value.Given() {
		return nil
	}
	fields, _ := value.Fields("write headers: { content-type: text/plain }")
	headers := make(map[string]string, len(fields.Names()))
	for _, name := range fields.Names() {
		field := fields.Field(name)
		text, ok := field.Text("put the header's value in quotes")
		if ok {
			checkHeader(field, name, text)
		}
		headers[strings.ToLower(name)] = text
	}
	if len(headers) != len(fields.Names()) {
		value.Mistake("a header is given twice, in different cases of letters", "keep one of them")
	}
	return headers
}

func checkHeader(field strict.Value, name, text string) {
	lower := strings.ToLower(name)
	switch {
	case !headerName(lower):
		field.Mistake("this is no header's name", "write letters, digits and -")
	case slices.Contains([]string{"connection", "content-length", "transfer-encoding", "trailer", "upgrade", "keep-alive", "te"}, lower),
		strings.HasPrefix(lower, "x-behalf-"):
		field.Mistake("the header "+lower+" is set by Behalf", "leave it out")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f }):
		field.Mistake("a header's value must be printable ASCII, on one line", "")
	}
}

func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// readBody takes a text as it is, and anything else as JSON.
func readBody(response *behalf.Response, value strict.Value) {
	data, ok := value.JSON(literal)
	if !ok {
		return
	}
	if text, isText := data.(string); isText {
		response.Text = text
	} else {
		encoded, err := json.Marshal(data)
		if err != nil {
			value.Mistake("the body cannot be written as JSON", "")
		}
		response.Text = string(encoded)
		response.Headers = withContentType(response.Headers)
	}
	if len(response.Text) > maxStaticBody {
		value.Mistake(fmt.Sprintf("the body is larger than %d KiB", maxStaticBody>>10), "answer from a step, with respond: custom")
	}
}

func withContentType(headers map[string]string) map[string]string {
	if headers == nil {
		headers = map[string]string{}
	}
	if _, ok := headers["content-type"]; !ok {
		headers["content-type"] = "application/json"
	}
	return headers
}

// literal refuses expressions wherever a text stands for itself.
func literal(value strict.Value, text string) {
	if strings.Contains(text, "{{") {
		value.Mistake("expressions ({{ }}) are for the props of steps", "write the value itself here, or answer from a step with $.respond")
	}
}
