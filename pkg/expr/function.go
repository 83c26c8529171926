package expr

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// function is one of the closed list. A method has what it is called on as its first argument.
type function struct {
	name string
	// on is what a method may be called on; nil for a function.
	on []kind
	// least and most arguments, without what a method is called on. What is left out is undefined.
	least, most int
	does        func(s *scope, args []value) (value, error)
}

func (f *function) takes(k kind) bool { return slices.Contains(f.on, k) }

// apply calls the function. Its arguments are as many as it has at most.
func (f *function) apply(s *scope, args []value) (value, error) {
	for len(args) < f.most+min(1, len(f.on)) {
		args = append(args, value{})
	}
	return f.does(s, args)
}

// functions lists those that are called by their name. The package comment has the same table, which a test holds.
func functions() []function {
	return []function{
		{name: "String", least: 1, most: 1, does: toString},
		{name: "Number", least: 1, most: 1, does: toNumber},
		{name: "Boolean", least: 1, most: 1, does: func(_ *scope, args []value) (value, error) { return boolValue(args[0].truthy()), nil }},
		{name: "Array.isArray", least: 1, most: 1, does: func(_ *scope, args []value) (value, error) { return boolValue(args[0].kind == kindList), nil }},
		{name: "JSON.stringify", least: 1, most: 1, does: stringify},
		{name: "JSON.parse", least: 1, most: 1, does: parseJSON},
		{name: "encodeURIComponent", least: 1, most: 1, does: onText(encodeURIComponent)},
	}
}

// named finds a function or a method. Nil where there is none.
func named(list []function, name string) *function {
	i := slices.IndexFunc(list, func(f function) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// call is a function with its arguments.
type call struct {
	function *function
	args     []expression
	source   string // the call as its author wrote it
}

func (c call) eval(s *scope) (value, error) {
	args, err := evalAll(s, c.args)
	if err != nil {
		return value{}, err
	}
	v, err := c.function.apply(s, args)
	return v, in(c.source, err)
}

// in says which call of the author it was that failed. What is wrong with the document stays as it is.
func in(source string, err error) error {
	if !fault.Is(err, fault.StepFailed) {
		return err
	}
	return failed("%s: %s", clip(source), fault.Safe(err))
}

func toString(s *scope, args []value) (value, error) {
	content, err := s.string(args[0])
	return textValue(content), err
}

// toNumber keeps all digits of an integer.
func toNumber(s *scope, args []value) (value, error) {
	if args[0].kind == kindNumber {
		return args[0], nil
	}
	if args[0].kind != kindText {
		f, err := s.number(args[0])
		return numberValue(f), err
	}
	content, err := s.decode(args[0])
	if digits := strings.TrimFunc(content, isSpace); isInteger(digits) {
		return value{kind: kindNumber, text: digits}, err
	}
	return numberValue(parseNumber(content)), err
}

func stringify(s *scope, args []value) (value, error) {
	if args[0].kind == kindUndefined {
		return value{}, nil
	}
	content, err := s.stringify(args[0])
	return textValue(content), err
}

// parseJSON reads a text as a document of its own.
func parseJSON(s *scope, args []value) (value, error) {
	content, err := s.string(args[0])
	if err != nil {
		return value{}, err
	}
	doc := trimJSON([]byte(content))
	if !json.Valid(doc) {
		return value{}, failed("the text is not JSON")
	}
	v, err := rawValue(doc, nil)
	if err == nil {
		err = s.spend(len(doc))
	}
	return v, err
}

// onText makes a function of one on texts.
func onText(does func(string) string) func(*scope, []value) (value, error) {
	return func(s *scope, args []value) (value, error) {
		content, err := s.string(args[0])
		if err != nil {
			return value{}, err
		}
		return textValue(does(content)), s.spend(len(content))
	}
}
