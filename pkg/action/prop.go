package action

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// Prop is one value that a step gives an action.
type Prop struct {
	Name        string
	Type        PropType
	Required    bool
	Description string
	// Default is what an absent one counts as. Nil for none.
	Default any
	// Aliases are other names for it, which workflows from elsewhere use.
	Aliases []string
	// Options are all that a string may be. Empty for no such limit.
	Options []string
	// Min and Max bound a number. Nil for no bound.
	Min, Max *int
	// Pattern is what the whole of a string must match. Empty for anything.
	Pattern string

	pattern *regexp.Regexp
}

// PropType is the type of a prop's value.
type PropType string

// The types.
const (
	String  PropType = "string"
	Integer PropType = "integer"
	Number  PropType = "number"
	Boolean PropType = "boolean"
	Strings PropType = "string[]"
	Array   PropType = "array"
	Object  PropType = "object"
	Any     PropType = "any"
)

func propTypes() []string {
	return []string{string(String), string(Integer), string(Number), string(Boolean), string(Strings), string(Array), string(Object), string(Any)}
}

// Check finds what is wrong with the props of a step before it ever runs: names that are not known, what is missing, and
// literals of the wrong type. A value with an expression in it ({{ … }}) is held against its type by Run, once it is
// evaluated. The mistakes are in the order of the props.
func (a *Action) Check(props json.RawMessage) []Mistake {
	given, mistakes := a.named(props)
	for _, p := range a.Props {
		g, ok := given[p.Name]
		switch {
		case !ok && p.Required:
			mistakes = append(mistakes, Mistake{Prop: p.Name, What: p.Name + " is missing", Hint: "write " + p.Name + ": " + p.Description})
		case !ok, bytes.Contains(g.raw, []byte("{{")):
		default:
			if what := p.complaint(g.value); what != "" {
				mistakes = append(mistakes, Mistake{Prop: g.as, What: g.as + " " + what, Hint: p.hint(g.value)})
			}
		}
	}
	return mistakes
}

// values are the props as a request uses them: under their own names, with defaults, and with a text for a number or the
// other way round where an expression left one.
func (a *Action) values(props json.RawMessage) (scope, error) {
	given, mistakes := a.named(props)
	values := scope{}
	for _, p := range a.Props {
		g, ok := given[p.Name]
		value := p.coerced(g.value)
		switch {
		case !ok && p.Required:
			mistakes = append(mistakes, Mistake{What: p.Name + " is missing"})
		case !ok && p.Default != nil:
			values[p.Name] = p.Default
		case ok:
			if what := p.complaint(value); what != "" {
				mistakes = append(mistakes, Mistake{What: g.as + " " + what})
			}
			values[p.Name] = value
		}
	}
	if len(mistakes) > 0 {
		return nil, failf(InvalidProps, "%s: %s", a.Key, mistakes[0].What)
	}
	return values, nil
}

// handed is a prop as the step has it.
type handed struct {
	as    string // the name it was given under
	raw   json.RawMessage
	value any
}

// named sorts the props of a step by the action's own names. What is null counts as absent, as an expression's undefined.
func (a *Action) named(props json.RawMessage) (map[string]handed, []Mistake) {
	var raws map[string]json.RawMessage
	if len(props) > 0 {
		if err := json.Unmarshal(props, &raws); err != nil {
			return nil, []Mistake{{What: "the props are not one JSON object"}}
		}
	}
	found := make(map[string]handed, len(raws))
	var mistakes []Mistake
	for _, name := range slices.Sorted(maps.Keys(raws)) {
		p, known := a.prop(name)
		first, twice := found[p.Name]
		switch value, err := decode(raws[name]); {
		case !known:
			mistakes = append(mistakes, Mistake{Prop: name, What: fmt.Sprintf("%s has no prop %.80q", a.Key, name), Hint: "write " + a.names()})
		case err != nil:
			mistakes = append(mistakes, Mistake{Prop: name, What: name + " is not JSON"})
		case value == nil:
		case twice:
			mistakes = append(mistakes, Mistake{Prop: name, What: name + " is another name for " + first.as, Hint: "keep one of them"})
		default:
			found[p.Name] = handed{as: name, raw: raws[name], value: unlabelled(value)}
		}
	}
	return found, mistakes
}

func (a *Action) prop(name string) (Prop, bool) {
	i := slices.IndexFunc(a.Props, func(p Prop) bool { return p.Name == name || slices.Contains(p.Aliases, name) })
	if i < 0 {
		return Prop{}, false
	}
	return a.Props[i], true
}

func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	err := dec.Decode(&value)
	return value, err
}

// unlabelled is a value without the label that Pipedream's forms keep beside it: {"__lv": {"label": …, "value": …}}.
func unlabelled(value any) any {
	object, ok := value.(map[string]any)
	if !ok || len(object) != 1 {
		return value
	}
	labelled, ok := object["__lv"].(map[string]any)
	if !ok {
		return value
	}
	return labelled["value"]
}

// coerced is a value in the prop's type where it says the same in another: an expression inside of a text makes a text of
// everything.
func (p Prop) coerced(value any) any {
	switch v := value.(type) {
	case json.Number:
		if p.Type == String {
			return v.String()
		}
	case bool:
		if p.Type == String {
			return strconv.FormatBool(v)
		}
	case string:
		return p.ofText(v)
	}
	return value
}

func (p Prop) ofText(text string) any {
	switch p.Type {
	case Integer, Number:
		if plainNumber(text) {
			return json.Number(text)
		}
	case Boolean:
		if text == "true" || text == "false" {
			return text == "true"
		}
	case String, Strings, Array, Object, Any:
	}
	return text
}

func plainNumber(text string) bool {
	return regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`).MatchString(text)
}

// complaint says what is wrong with a value, so that it reads on from the prop's name. Empty where nothing is.
func (p Prop) complaint(value any) string {
	if want := p.mismatch(value); want != "" {
		return "must be " + want + ", not " + kindOf(value)
	}
	switch v := value.(type) {
	case string:
		return p.wrongText(v)
	case json.Number:
		return p.outOfBounds(v)
	}
	return ""
}

// mismatch is the type that a value should have. Empty where it has it.
func (p Prop) mismatch(value any) string {
	ok, want := true, ""
	switch p.Type {
	case String:
		_, ok = value.(string)
		want = "a text"
	case Integer:
		n, number := value.(json.Number)
		_, err := n.Int64()
		ok, want = number && err == nil, "a whole number"
	case Number:
		_, ok = value.(json.Number)
		want = "a number"
	case Boolean:
		_, ok = value.(bool)
		want = "true or false"
	case Strings:
		ok, want = allTexts(value), "a list of texts"
	case Array:
		_, ok = value.([]any)
		want = "a list"
	case Object:
		_, ok = value.(map[string]any)
		want = "an object (name: value)"
	case Any:
	}
	if ok {
		return ""
	}
	return want
}

func allTexts(value any) bool {
	list, ok := value.([]any)
	return ok && !slices.ContainsFunc(list, func(item any) bool {
		_, text := item.(string)
		return !text
	})
}

func (p Prop) wrongText(text string) string {
	switch {
	case len(p.Options) > 0 && !slices.Contains(p.Options, text):
		return "must be " + strict.Alternatives(p.Options)
	case p.pattern != nil && !p.pattern.MatchString(text):
		return "does not have the right form"
	case p.Required && p.Type == String && strings.TrimSpace(text) == "":
		return "is empty"
	}
	return ""
}

func (p Prop) outOfBounds(n json.Number) string {
	value, err := n.Float64()
	switch {
	case err != nil:
		return "is too large"
	case p.Min != nil && value < float64(*p.Min):
		return "must be at least " + strconv.Itoa(*p.Min)
	case p.Max != nil && value > float64(*p.Max):
		return "must be at most " + strconv.Itoa(*p.Max)
	}
	return ""
}

// hint says what to write in the place of a value.
func (p Prop) hint(value any) string {
	if _, isText := value.(string); !isText && p.Type == String && kindOf(value) != "a list" && kindOf(value) != "an object" {
		return "put it in quotes"
	}
	return p.Description
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return "nothing"
}
