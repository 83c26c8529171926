package action

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/behalf-dev/behalf/pkg/app/braces"
)

// The signs of templates, besides {name}.
const (
	spreadKey  = "..."  // the key of an object that takes the members of its value in, over those beside it
	spreadSign = "..."  // {...name} in a list: each item of the value
	slashSign  = "+"    // {+name} in a path: the slashes of the value stay
	whenKey    = "$if"  // the key of an object that is left out where the prop is not given
	anySign    = "|"    // {a|b}: the first that is there
	runName    = "$run" // the run's id
	keyName    = "$idempotency_key"
	answerName = "answer" // the answer of the request, with its status and headers, for what is told of it
)

// scope is what the names of a template stand for: props, what lookups answered, and the names above.
type scope map[string]any

// with is a copy that knows one name more.
func (s scope) with(name string, value any) scope {
	c := maps.Clone(s)
	c[name] = value
	return c
}

// find returns what a name stands for: `a`, `a.b.0` within it, `a|b` for the first that is there. Null is not there.
func (s scope) find(ref string) (any, bool) {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, spreadSign), slashSign)
	for path := range strings.SplitSeq(ref, anySign) {
		if value := at(map[string]any(s), path); value != nil {
			return value, true
		}
	}
	return nil, false
}

// at returns what lies at a dotted path within a value, or nil.
func at(value any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// rootsOf lists the names that a reference begins with.
func rootsOf(ref string) []string {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, spreadSign), slashSign)
	var roots []string
	for path := range strings.SplitSeq(ref, anySign) {
		root, _, _ := strings.Cut(path, ".")
		roots = append(roots, root)
	}
	return roots
}

// template is a value in which {name} stands for something. It is one of: a text with names, a list, an object, or a
// constant.
type template struct {
	text     []braces.Part
	list     []template
	object   map[string]template
	when     string // of an object
	constant any
}

// compile makes a template of a value of JSON whose texts have been checked.
func compile(value any) template {
	switch v := value.(type) {
	case string:
		parts, err := braces.Split(v)
		if err != nil || len(braces.Names(parts)) == 0 {
			return template{constant: v}
		}
		return template{text: parts}
	case []any:
		t := template{list: make([]template, 0, len(v))}
		for _, item := range v {
			t.list = append(t.list, compile(item))
		}
		return t
	case map[string]any:
		t := template{object: make(map[string]template, len(v))}
		for name, member := range v {
			if name == whenKey {
				t.when, _ = member.(string)
				continue
			}
			t.object[name] = compile(member)
		}
		return t
	}
	return template{constant: value}
}

// render makes the value. It is not there where what it stands for is not.
func (t template) render(s scope) (any, bool) {
	switch {
	case len(t.text) == 1:
		return s.find(t.text[0].Text)
	case t.text != nil:
		text, ok := renderText(t.text, s, asText)
		return text, ok
	case t.list != nil:
		return t.renderList(s), true
	case t.object != nil:
		return t.renderObject(s)
	}
	return t.constant, t.constant != nil
}

// renderText fills a text, each value written by the function. It is not there if one of its values is not.
func renderText(parts []braces.Part, s scope, write func(any) string) (string, bool) {
	var text strings.Builder
	for _, p := range parts {
		if !p.IsName {
			text.WriteString(p.Text)
			continue
		}
		value, ok := s.find(p.Text)
		if !ok {
			return "", false
		}
		text.WriteString(write(value))
	}
	return text.String(), true
}

func (t template) renderList(s scope) []any {
	list := make([]any, 0, len(t.list))
	for _, item := range t.list {
		value, ok := item.render(s)
		items, isList := value.([]any)
		switch {
		case !ok:
		case isList && item.spreads():
			list = append(list, items...)
		default:
			list = append(list, value)
		}
	}
	return list
}

func (t template) spreads() bool {
	return len(t.text) == 1 && t.text[0].IsName && strings.HasPrefix(t.text[0].Text, spreadSign)
}

func (t template) renderObject(s scope) (any, bool) {
	if t.when != "" {
		if _, ok := s.find(t.when); !ok {
			return nil, false
		}
	}
	object := make(map[string]any, len(t.object))
	for name, member := range t.object {
		if value, ok := member.render(s); ok && name != spreadKey {
			object[name] = value
		}
	}
	if spread, ok := t.object[spreadKey]; ok {
		value, _ := spread.render(s)
		if members, ok := value.(map[string]any); ok {
			maps.Copy(object, members)
		}
	}
	return object, true
}

// asText writes a value as a part of a text: a text as it is, anything else as JSON.
func asText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	text, err := encode(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// encode writes JSON without escaping what only HTML minds.
func encode(value any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}
