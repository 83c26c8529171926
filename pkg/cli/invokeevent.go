package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// shot is one request to a workflow.
type shot struct {
	method string
	path   string // behind the endpoint, as it was written
	query  string
	header http.Header
	// body is nil where there is none.
	body []byte
	user string
}

// at is the URL of the request, at the workflow that answers at base.
func (s shot) at(base string) string {
	if s.path != "" && s.path != "/" {
		base = strings.TrimSuffix(base, "/") + s.path
	}
	if s.query != "" {
		base += "?" + s.query
	}
	return base
}

// plainShot is the request of somebody who gives a body, or none.
func plainShot(user string, body []byte) shot {
	s := shot{method: http.MethodPost, header: http.Header{}, body: body, user: user}
	if body != nil {
		s.header.Set("Content-Type", "application/json")
	}
	return s
}

// shotOf is the request that an event came by: of a file, or of one that Behalf keeps.
func (r *remote) shotOf(ctx context.Context, named, user string) (shot, error) {
	e, err := r.savedEvent(ctx, named)
	if err != nil {
		return shot{}, err
	}
	if user == "" {
		user = string(e.User)
	}
	return newShot(e.Trigger, user)
}

// savedEvent reads an event from a file, or, where its id is given and no file is called so, from Behalf.
func (r *remote) savedEvent(ctx context.Context, named string) (savedEvent, error) {
	const op = "cli.invoke"
	text, err := os.ReadFile(named)
	if errors.Is(err, fs.ErrNotExist) {
		if _, notID := behalf.ParseEventID(named); notID == nil {
			return r.event(ctx, named)
		}
	}
	if err != nil {
		return savedEvent{}, hinted{fault.Newf(fault.Invalid, op, "%s cannot be read", named).Because(err), "--event takes a file that `behalf events save` wrote, or the id of an event"}
	}
	var e savedEvent
	if err := json.Unmarshal(text, &e); err != nil || len(e.Trigger) == 0 {
		return savedEvent{}, hinted{fault.Newf(fault.Invalid, op, "%s holds no event", named), "`behalf events save EVENT -o FILE` writes one"}
	}
	return e, nil
}

// trigger is an event as steps see it, as far as it can be sent again.
type trigger struct {
	Method      string                     `json:"method"`
	Path        string                     `json:"path"`
	Query       map[string]json.RawMessage `json:"query"`
	Headers     map[string]string          `json:"headers"`
	Body        json.RawMessage            `json:"body"`
	Encoding    string                     `json:"body_encoding"`
	Raw         *string                    `json:"body_raw"`
	RawEncoding string                     `json:"body_raw_encoding"`
}

func newShot(event json.RawMessage, user string) (shot, error) {
	var t trigger
	if err := json.Unmarshal(event, &t); err != nil {
		return shot{}, fault.New(fault.Invalid, "cli.invoke", "the event has no trigger that could be sent").Because(err)
	}
	s := shot{method: t.Method, path: t.Path, header: http.Header{}, user: user}
	if s.method == "" {
		s.method = http.MethodPost
	}
	for name, value := range t.Headers {
		if sentAgain(name) {
			s.header.Set(name, value)
		}
	}
	values, err := t.values()
	if err != nil {
		return shot{}, err
	}
	s.query = values.Encode()
	s.body, err = t.bytes()
	return s, err
}

// sentAgain says whether a header belongs to what was said, and not to the way on which it came or to what it asked of
// Behalf.
func sentAgain(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "host", "content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
		"upgrade", "expect", "accept-encoding", "idempotency-key", "forwarded", "pipedream_upload_body":
		return false
	}
	for _, prefix := range []string{"x-pd-", "x-behalf-", "x-forwarded-", "proxy-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

func (t trigger) values() (url.Values, error) {
	values := url.Values{}
	for name, value := range t.Query {
		if !sentAgain(name) {
			continue
		}
		given, err := texts(value)
		if err != nil {
			return nil, err
		}
		values[name] = given
	}
	return values, nil
}

// texts reads a text, or a list of texts.
func texts(value json.RawMessage) ([]string, error) {
	var one string
	if json.Unmarshal(value, &one) == nil {
		return []string{one}, nil
	}
	var several []string
	if err := json.Unmarshal(value, &several); err != nil {
		return nil, fault.New(fault.Invalid, "cli.invoke", "the event has a parameter that is no text").Because(err)
	}
	return several, nil
}

// bytes is the body as it was sent, or one that means the same.
func (t trigger) bytes() ([]byte, error) {
	if t.Raw != nil {
		return unpacked(*t.Raw, t.RawEncoding)
	}
	if len(t.Body) == 0 {
		return nil, nil
	}
	kind, _, _ := mime.ParseMediaType(t.Headers["content-type"])
	var text string
	isText := json.Unmarshal(t.Body, &text) == nil && string(t.Body) != "null"
	switch {
	case t.Encoding != "":
		return unpacked(text, t.Encoding)
	case kind == "multipart/form-data", strings.Contains(string(t.Body), `"raw_body_url"`):
		return nil, hinted{fault.New(fault.Invalid, "cli.invoke", "the event has files, which cannot be sent again"), "give a body by -d"}
	case kind == "application/x-www-form-urlencoded" && !isText:
		return formOf(t.Body)
	case kind != "application/json" && !strings.HasSuffix(kind, "+json") && isText:
		return []byte(text), nil
	}
	return t.Body, nil
}

func unpacked(text, encoding string) ([]byte, error) {
	if encoding != "base64" {
		return []byte(text), nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "cli.invoke", "the event's body is no base64").Because(err)
	}
	return raw, nil
}

func formOf(body json.RawMessage) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fault.New(fault.Invalid, "cli.invoke", "the event's body is no form").Because(err)
	}
	form := url.Values{}
	for name, value := range fields {
		given, err := texts(value)
		if err != nil {
			return nil, err
		}
		form[name] = given
	}
	return []byte(form.Encode()), nil
}
