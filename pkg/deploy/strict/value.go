package strict

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Value is one place in a file. Asking it for a type that it does not have notes a mistake; so the readers of a file
// look at ok only to know whether they can go on from here.
type Value struct {
	doc  *document
	node ast.Node // nil where the file says nothing
	path string
	line int
}

// Given says whether the file says anything here. A field without a value is given, and wrong.
func (v Value) Given() bool { return v.node != nil }

// IsMapping says whether a mapping stands here, for a field that may be a word or a mapping.
func (v Value) IsMapping() bool {
	_, ok := v.node.(*ast.MappingNode)
	return ok
}

// Line is where the value begins, or, where nothing is given, where it would belong.
func (v Value) Line() int { return v.line }

// Mistake notes a mistake at this place.
func (v Value) Mistake(what, hint string) { v.doc.mistake(v.line, what, hint) }

// Text reads a text. The hint says what to write.
func (v Value) Text(hint string) (string, bool) {
	switch node := v.node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	}
	return "", v.wrong("a text", hint)
}

// Bool reads true or false.
func (v Value) Bool() (value, ok bool) {
	if node, isBool := v.node.(*ast.BoolNode); isBool {
		return node.Value, true
	}
	return false, v.wrong("true or false", "")
}

// Int reads a whole number from least to most.
func (v Value) Int(least, most int) (int, bool) {
	node, ok := v.node.(*ast.IntegerNode)
	if !ok {
		return 0, v.wrong("a whole number", fmt.Sprintf("write a number from %d to %d", least, most))
	}
	n, err := strconv.Atoi(node.Token.Value)
	if err != nil || n < least || n > most {
		v.Mistake(fmt.Sprintf("%s must be from %d to %d", v.path, least, most), "")
		return 0, false
	}
	return n, true
}

// Items reads a list.
func (v Value) Items(hint string) ([]Value, bool) {
	list, ok := v.node.(*ast.SequenceNode)
	if !ok {
		return nil, v.wrong("a list", hint)
	}
	items := make([]Value, 0, len(list.Values))
	for i, node := range list.Values {
		items = append(items, Value{doc: v.doc, node: node, path: fmt.Sprintf("%s[%d]", v.path, i), line: lineOf(node, v.line)})
	}
	return items, true
}

// Texts reads a list of texts, nil where there is no value. What is none of them is a mistake, and left out.
func (v Value) Texts() []string {
	if !v.Given() {
		return nil
	}
	items, _ := v.Items("write a list: [one, two]")
	texts := make([]string, 0, len(items))
	for _, item := range items {
		if text, ok := item.Text(""); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// Fields reads a mapping of names to values. Names that are not texts, or stand there twice, are mistakes.
func (v Value) Fields(hint string) (Fields, bool) {
	mapping, ok := v.node.(*ast.MappingNode)
	if !ok {
		return Fields{}, v.wrong("a mapping (name: value)", hint)
	}
	fields := Fields{of: v, values: make(map[string]Value, len(mapping.Values))}
	for _, entry := range mapping.Values {
		fields.add(entry)
	}
	return fields, true
}

// Shape says what a mapping may hold.
type Shape struct {
	// Known are the fields that are read.
	Known []string
	// Planned are fields that will be read one day: each is refused by name, with what to do until then.
	Planned map[string]string
}

// Shaped reads a mapping with fixed fields. All others are mistakes.
func (v Value) Shaped(shape Shape, hint string) (Fields, bool) {
	fields, ok := v.Fields(hint)
	for _, name := range fields.names {
		field := fields.values[name]
		if until, planned := shape.Planned[name]; planned {
			field.Mistake(clip(name)+" is not built yet", until)
		} else if !slices.Contains(shape.Known, name) {
			field.Mistake(fmt.Sprintf("there is no field %s here", quoted(name)), suggestion(name, shape.Known))
		}
	}
	return fields, ok
}

// Fields are the entries of a mapping, in the order of the file.
type Fields struct {
	of     Value
	names  []string
	values map[string]Value
}

// Names lists the names that are given.
func (f Fields) Names() []string { return f.names }

// Field is the value of a name; Given is false where the mapping lacks it.
func (f Fields) Field(name string) Value {
	if value, ok := f.values[name]; ok {
		return value
	}
	return Value{doc: f.of.doc, path: f.of.child(name), line: f.of.line}
}

// Required is Field, and a mistake where it is missing.
func (f Fields) Required(name, hint string) Value {
	value := f.Field(name)
	if !value.Given() && f.of.doc != nil {
		value.Mistake(value.path+" is missing", hint)
	}
	return value
}

func (f *Fields) add(entry *ast.MappingValueNode) {
	doc, line := f.of.doc, lineOf(entry.Key, f.of.line)
	name, ok := keyText(entry.Key)
	if !ok {
		doc.mistake(line, "a name here must be a text", "put it in quotes")
		return
	}
	if first, repeated := f.values[name]; repeated {
		doc.mistake(line, fmt.Sprintf("%s is given twice; it is on line %d already", clip(name), first.line), "keep one of them")
		return
	}
	f.names = append(f.names, name)
	f.values[name] = Value{doc: doc, node: entry.Value, path: f.of.child(name), line: line}
}

func keyText(key ast.MapKeyNode) (string, bool) {
	node, ok := key.(*ast.StringNode)
	if !ok {
		return "", false
	}
	return node.Value, true
}

func (v Value) child(name string) string {
	if v.path == "" {
		return clip(name)
	}
	return v.path + "." + clip(name)
}

// wrong notes that the value is of another type, and returns false.
func (v Value) wrong(want, hint string) bool {
	path := v.path
	if path == "" {
		path = "the file"
	}
	switch v.node.(type) {
	case nil, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode: // told already
	case *ast.NullNode:
		v.Mistake(path+" is empty; it must be "+want, hint)
	default:
		v.Mistake(fmt.Sprintf("%s must be %s, not %s", path, want, kindOf(v.node)), hint)
	}
	return false
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode:
		return "a mapping"
	}
	return "this"
}

// JSON reads any value as JSON data: nil, bool, string, json.Number, []any or map[string]any. Each text, names of
// fields included, is first shown to check, which may note a mistake at its place.
func (v Value) JSON(check func(Value, string)) (any, bool) { return v.json(check, 0) }

func (v Value) json(check func(Value, string), depth int) (any, bool) {
	if depth > MaxDepth {
		v.Mistake(fmt.Sprintf("values are nested more than %d deep", MaxDepth), "")
		return nil, false
	}
	switch node := v.node.(type) {
	case *ast.NullNode:
		return nil, true
	case *ast.BoolNode:
		return node.Value, true
	case *ast.StringNode:
		if node.Token.Type == token.StringType && plainNumber(node.Value) {
			return v.jsonNumber(node.Value) // one too large for the parser, which then makes a text of it
		}
		check(v, node.Value)
		return node.Value, true
	case *ast.LiteralNode:
		check(v, node.Value.Value)
		return node.Value.Value, true
	case *ast.SequenceNode:
		return v.jsonList(check, depth)
	case *ast.MappingNode:
		return v.jsonObject(check, depth)
	case *ast.IntegerNode, *ast.FloatNode:
		return v.jsonNumber(node.GetToken().Value)
	}
	return nil, v.wrong("a value of JSON", "")
}

func (v Value) jsonList(check func(Value, string), depth int) (any, bool) {
	items, ok := v.Items("")
	list := make([]any, 0, len(items))
	for _, item := range items {
		value, good := item.json(check, depth+1)
		list, ok = append(list, value), ok && good
	}
	return list, ok
}

func (v Value) jsonObject(check func(Value, string), depth int) (any, bool) {
	fields, ok := v.Fields("")
	object := make(map[string]any, len(fields.names))
	for _, name := range fields.names {
		field := fields.values[name]
		check(field, name)
		value, good := field.json(check, depth+1)
		object[name], ok = value, ok && good
	}
	return object, ok
}

// jsonNumber takes numbers as JSON writes them, digit for digit. YAML has more ways (010, 0x1f, 1_000), and its versions
// disagree on what they mean.
func (v Value) jsonNumber(text string) (any, bool) {
	const safest = 1<<53 - 1 // beyond it a step would see another number than the file says
	value, err := strconv.ParseFloat(text, 64)
	switch {
	case !plainNumber(text):
		v.Mistake(fmt.Sprintf("%s: the number %s can be read in more than one way", v.path, clip(text)), "write it in plain decimal digits, or as a text in quotes")
	case err != nil || math.Abs(value) > safest && !strings.ContainsAny(text, ".eE"):
		v.Mistake(fmt.Sprintf("%s: the number %s is too large for a step to see it exactly", v.path, clip(text)), "write it as a text in quotes")
	default:
		return json.Number(text), true
	}
	return nil, false
}

// plainNumber says whether JSON would write the number so.
func plainNumber(text string) bool {
	return regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`).MatchString(text)
}
