package action

import (
	"regexp"
	"slices"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
)

// props reads what a step may give the action.
func (r *reader) props(value strict.Value) {
	if !value.Given() {
		return
	}
	entries, _ := value.Fields("write a name and { type: string } on each line")
	for _, name := range entries.Names() {
		entry := entries.Field(name)
		p := readProp(entry, name)
		for _, called := range append([]string{name}, p.Aliases...) {
			if _, taken := r.action.prop(called); taken || !validPropName(called) {
				entry.Mistake("a prop cannot be called "+called+" here", "write another name: a letter, then letters, digits and _, and each name once")
			}
		}
		r.action.Props = append(r.action.Props, p)
		r.known = append(r.known, name)
	}
}

// validPropName refuses what no workflow file may name a prop, and what templates call otherwise.
func validPropName(name string) bool {
	return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`).MatchString(name) &&
		!slices.Contains([]string{"constructor", "prototype", "run", answerName}, name)
}

func readProp(value strict.Value, name string) Prop {
	p := Prop{Name: name}
	shape := strict.Shape{Known: []string{"type", "required", "description", "default", "aliases", "options", "min", "max", "pattern"}}
	fields, ok := value.Shaped(shape, "write { type: string }")
	if !ok {
		return p
	}
	kind := fields.Required("type", "write type: string")
	text, _ := given(kind)
	if p.Type = PropType(text); kind.Given() && !slices.Contains(propTypes(), text) {
		kind.Mistake("there is no such type of a prop", "write "+strict.Alternatives(propTypes()))
	}
	p.Description, _ = given(fields.Required("description", "write description: and what it is for"))
	if required := fields.Field("required"); required.Given() {
		p.Required, _ = required.Bool()
	}
	p.Aliases = fields.Field("aliases").Texts()
	p.readLimits(fields)
	p.readDefault(fields.Field("default"))
	return p
}

func (p *Prop) readLimits(fields strict.Fields) {
	const most = 1 << 30
	p.Options = fields.Field("options").Texts()
	for name, bound := range map[string]**int{"min": &p.Min, "max": &p.Max} {
		if field := fields.Field(name); field.Given() {
			n, _ := field.Int(-most, most)
			*bound = &n
		}
	}
	value := fields.Field("pattern")
	text, ok := given(value)
	if !ok {
		return
	}
	pattern, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		value.Mistake("this is no pattern", "write a regular expression of Go's regexp")
		return
	}
	p.Pattern, p.pattern = text, pattern
}

func (p *Prop) readDefault(value strict.Value) {
	if !value.Given() {
		return
	}
	p.Default, _ = value.JSON(func(strict.Value, string) {})
	if what := p.complaint(p.Default); what != "" {
		value.Mistake("the default "+what, "")
	}
	if p.Required {
		value.Mistake("a prop with a default is not required", "leave one of them out")
	}
}
