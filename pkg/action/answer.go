package action

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/app/braces"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The bounds of an answer.
const (
	// maxExports is what a step may leave behind, in bytes, and so what is read of an answer.
	maxExports = 6 << 20
	// maxRefusal is what is read of an answer that is an error.
	maxRefusal = 64 << 10
	// cutAtEnd is what is thrown away of an answer that was not read to its end: half a secret may stand there.
	cutAtEnd = 8 << 10
	maxDepth = 256
	// maxWords are the characters of a service's own words in a message.
	maxWords = 1000
)

// answer says what a good answer is, and what the step leaves of it.
type answer struct {
	// any takes every kind of answer, not just JSON.
	any bool
	// ok is where an answer says true if it is no error. Empty for services that say so by the status.
	ok string
	// empty are lists in an answer that must have nothing in them.
	empty []string
	// summary is the line for people.
	summary []braces.Part
	// exports are what the step leaves beside $return_value: status, headers.
	exports []string
}

// errorPaths are the places of a service's own words in an answer that is an error.
type errorPaths struct {
	// message is the first of these that is there, details is all of them.
	message, details []string
}

// reply is an answer, without any value of the account in it.
type reply struct {
	who    string // the service, in messages
	status int
	header http.Header
	body   []byte
	// raw is the JSON that the step returns, and value the same decoded.
	raw   json.RawMessage
	value any
}

func (r reply) good() bool { return r.status >= 200 && r.status <= 299 }

// decode makes a value of a good answer.
func (r *reply) decode(a answer) (err error) {
	body := bytes.TrimPrefix(r.body, []byte("\ufeff"))
	if len(bytes.TrimSpace(body)) == 0 {
		r.raw = json.RawMessage("null")
		return nil
	}
	if !a.any || r.saysJSON() {
		r.raw, r.value, err = readJSON(body)
		switch {
		case err == nil && tooDeep(r.raw):
			return failf(VendorBadAnswer, "%s answered with JSON nested deeper than %d", r.who, maxDepth)
		case err == nil:
			return nil
		case !a.any:
			kind := cmp.Or(readable(r.header.Get("Content-Type"), 80), "no content type")
			return failf(VendorBadAnswer, "%s answered %d with %s where JSON was expected: %s", r.who, r.status, kind, readable(string(body), 200))
		}
	}
	r.value = string(body)
	if !utf8.Valid(body) {
		r.value = map[string]any{"content_type": r.header.Get("Content-Type"), "base64": base64.StdEncoding.EncodeToString(body)}
	}
	r.raw, err = encode(r.value)
	return err
}

func (r reply) saysJSON() bool {
	mediaType, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

func readJSON(body []byte) (json.RawMessage, any, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, bytes.ToValidUTF8(body, []byte("\ufffd"))); err != nil {
		return nil, nil, err
	}
	value, err := decode(compact.Bytes())
	return compact.Bytes(), value, err
}

// tooDeep says whether valid JSON is nested more deeply than what steps may leave behind.
func tooDeep(doc []byte) bool {
	depth, quoted, escaped := 0, false, false
	for _, c := range doc {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth > maxDepth {
			return true
		}
	}
	return false
}

// refusal is what a good status can still hide: an answer that says that it is none, or that something is left over.
func (r reply) refusal(c *call, slug behalf.AppSlug) error {
	if ok := c.answer.ok; ok != "" && at(r.value, ok) != true {
		return failf(VendorError, "%s: %s", slug, cmp.Or(c.errors.words(r.value), "its answer does not say that all went well, nor what did not"))
	}
	for _, path := range c.answer.empty {
		if list, ok := at(r.value, path).([]any); ok && len(list) > 0 {
			return failf(VendorError, "%s: %s is %s", slug, path, readable(asText(list), maxWords))
		}
	}
	return nil
}

// refused is what an answer with a bad status means.
func (r reply) refused(c *call, s scope) error {
	location := r.header.Get("Location")
	if r.status >= 300 && r.status < 400 && location != "" {
		location, _, _ = strings.Cut(location, "?")
		return failf(VendorRedirect, "%s answered %d, which leads to %s; redirects are not followed: write the URL that it leads to", r.who, r.status, readable(location, 200))
	}
	words := r.words(c.errors)
	if missing, ok := renderText(c.missing, s, asText); ok && missing != "" && r.status == http.StatusNotFound {
		words = readable(missing, maxWords)
	}
	message := r.who + " answered " + strconv.Itoa(r.status) + r.kindOfStatus()
	if words != "" {
		message += ": " + words
	}
	return failure{r.nameOfStatus(), message + r.wait()}
}

func (r reply) nameOfStatus() string {
	switch {
	case r.status == http.StatusUnauthorized:
		return VendorUnauthorized
	case r.status == http.StatusTooManyRequests:
		return VendorRateLimited
	case r.status >= 500:
		return VendorUnavailable
	}
	return VendorError
}

// kindOfStatus says in words what is no fault of the request.
func (r reply) kindOfStatus() string {
	text := strings.ToLower(http.StatusText(r.status))
	if r.status != http.StatusTooManyRequests && r.status < 500 || text == "" {
		return ""
	}
	return " (" + text + ")"
}

func (r reply) wait() string {
	after := readable(r.header.Get("Retry-After"), 40)
	switch _, err := strconv.Atoi(after); {
	case after == "":
		return ""
	case err == nil:
		return "; it asks to wait " + after + " s"
	}
	return "; it asks to wait until " + after
}

// words are what the service says of an error: what the action knows how to find, else the whole answer, cut.
func (r reply) words(paths errorPaths) string {
	_, value, err := readJSON(r.body)
	if words := paths.words(value); err == nil && words != "" {
		return words
	}
	return readable(string(r.body), maxWords)
}

// words are the service's own message, with its details in brackets. Empty where it gave none.
func (e errorPaths) words(value any) string {
	message := ""
	for _, path := range e.message {
		if found := at(value, path); found != nil && message == "" {
			message = readable(asText(found), maxWords)
		}
	}
	var details []string
	for _, path := range e.details {
		if detail := detailOf(at(value, path)); detail != "" {
			details = append(details, path[strings.LastIndex(path, ".")+1:]+": "+detail)
		}
	}
	more := readable(strings.Join(details, ", "), maxWords)
	switch {
	case more == "":
		return message
	case message == "":
		return more
	}
	return message + " (" + more + ")"
}

// detailOf writes a detail so that people can read it: the message of an object if it has one, else its members.
func detailOf(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []any:
		items := make([]string, 0, len(v))
		for _, item := range v {
			items = append(items, detailOf(item))
		}
		return strings.Join(slices.DeleteFunc(items, func(s string) bool { return s == "" }), "; ")
	case map[string]any:
		if message, ok := v["message"].(string); ok && message != "" {
			return message
		}
		members := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, name+"="+asText(v[name]))
		}
		return strings.Join(members, " ")
	}
	return asText(value)
}

// outcome is what the step leaves of a good answer.
func (r reply) outcome(a answer, s scope) (behalf.Outcome, error) {
	exports := append([]byte(`{"$return_value":`), r.raw...)
	more := map[string]any{"status": r.status, "headers": r.headers()}
	for _, name := range a.exports {
		value, err := encode(more[name])
		if err != nil {
			return behalf.Outcome{}, err
		}
		exports = fmt.Appendf(exports, ",%q:%s", name, value)
	}
	if summary, ok := renderText(a.summary, s.with(answerName, r.told()), asText); ok && summary != "" {
		line, err := encode(readable(summary, maxWords))
		if err != nil {
			return behalf.Outcome{}, err
		}
		exports = fmt.Appendf(exports, `,"$summary":%s`, line)
	}
	if exports = append(exports, '}'); len(exports) > maxExports {
		return behalf.Outcome{}, r.tooLarge()
	}
	return behalf.Outcome{Exports: exports}, nil
}

// told is the answer as a summary names it: its members, and its status.
func (r reply) told() any {
	members, _ := r.value.(map[string]any)
	told := maps.Clone(members)
	if told == nil {
		told = map[string]any{}
	}
	told["status"] = json.Number(strconv.Itoa(r.status))
	return told
}

func (r reply) tooLarge() failure {
	return failf(VendorBadAnswer, "%s answered with more than %d MiB, which is more than a step may return", r.who, maxExports>>20)
}

// headers are those of the answer by their names in lower case, without cookies, which are a credential too.
func (r reply) headers() map[string]string {
	headers := make(map[string]string, len(r.header))
	for name, values := range r.header {
		if name != "Set-Cookie" {
			headers[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "?")
		}
	}
	return headers
}
