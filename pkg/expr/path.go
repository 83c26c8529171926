package expr

import (
	"fmt"
	"slices"
)

// trigger is the name under steps that is no step: the event that the run is for.
const trigger = "trigger"

// named reads what begins with a name: a word of the language, the path of a step, or a call.
func (p *parser) named() (expression, error) {
	switch name := p.take(); name.text {
	case "true", "false":
		return literal{boolValue(name.text == "true")}, nil
	case "null":
		return literal{value{kind: kindNull}}, nil
	case "undefined":
		return literal{}, nil
	case "steps":
		return p.step(name)
	case "env", "process":
		return p.variable(name)
	case "JSON", "Array":
		return p.member(name)
	default:
		return p.call(name, name.text)
	}
}

// step reads the name of a step after steps.
func (p *parser) step(steps token) (expression, error) {
	alone := &refusal{steps.start, "steps stands here without the name of a step", "write steps.NAME, or steps.trigger.event"}
	optional := p.accept("?.")
	brackets := p.accept("[")
	switch {
	case brackets && p.token.kind == tokenString:
	case brackets, !optional && !p.accept("."), p.token.kind != tokenName:
		return nil, alone
	}
	name := p.take().named()
	if brackets {
		if err := p.expect("]"); err != nil {
			return nil, err
		}
	}
	p.names.steps[name.value] = true
	return step{name.value}, checkName(name)
}

// member reads a call such as JSON.parse(x).
func (p *parser) member(of token) (expression, error) {
	if !p.accept(".") || p.token.kind != tokenName {
		return nil, unknownName(of)
	}
	name := p.take()
	return p.call(token{start: of.start, text: p.text[of.start:name.end]}, of.text+"."+name.text)
}

// call reads the arguments of a function.
func (p *parser) call(at token, name string) (expression, error) {
	f := named(functions(), name)
	if f == nil || !p.token.is("(") {
		return nil, unknownName(at)
	}
	args, err := p.arguments(f, at)
	return call{f, args, p.text[at.start:p.last]}, err
}

// arguments reads the arguments of a function or method whose name is at a token.
func (p *parser) arguments(f *function, at token) ([]expression, error) {
	p.take()
	args, err := p.list(")")
	if err == nil && (len(args) < f.least || len(args) > f.most) {
		err = &refusal{at.start, fmt.Sprintf("%s() takes %s, not %d", f.name, f.arity(), len(args)), ""}
	}
	return args, err
}

// arity says how many arguments a function takes.
func (f *function) arity() string {
	switch {
	case f.most == 0:
		return "no argument"
	case f.least == 1 && f.most == 1:
		return "1 argument"
	}
	return fmt.Sprintf("from %d to %d arguments", f.least, f.most)
}

// path reads a value and the links after it.
func (p *parser) path() (expression, error) {
	start := p.token.start
	base, err := p.primary()
	c := chain{base: base}
	for err == nil && p.links() {
		from := p.last
		var l link
		l, err = p.link()
		l.start, l.end = from-start, p.last-start
		c.links = append(c.links, l)
		if len(c.links) == 1 && err == nil {
			err = checkTrigger(base, l, p.text[from:p.last], from)
		}
	}
	if len(c.links) == 0 {
		return base, err
	}
	c.source = p.text[start:p.last]
	return c, err
}

// links says whether a link of a path is next.
func (p *parser) links() bool {
	return p.token.is(".") || p.token.is("?.") || p.token.is("[") || p.token.is("(")
}

func (p *parser) link() (link, error) {
	l := link{optional: p.accept("?.")}
	switch {
	case p.token.is("("):
		return link{}, p.refuse("a call needs the name of a function before it", "the functions are "+functionNames())
	case p.accept("["):
		return p.index(l)
	case !l.optional && !p.accept("."), p.token.kind != tokenName:
		return link{}, p.unexpected("a name")
	}
	name := p.take().named()
	if !p.token.is("(") {
		l.name = name.value
		return l, checkName(name)
	}
	return p.method(l, name)
}

// index reads what stands in brackets. A text or number is as good as a name.
func (p *parser) index(l link) (link, error) {
	first := p.token
	e, err := p.expression()
	if err == nil {
		err = p.expect("]")
	}
	if err != nil {
		return link{}, err
	}
	known, ok := e.(literal)
	if !ok {
		l.index = e
		return l, nil
	}
	if l.name, err = newScope(nil).string(known.value); err != nil {
		return link{}, err
	}
	return l, checkName(token{start: first.start, value: l.name})
}

func (p *parser) method(l link, name token) (link, error) {
	if l.method = named(methods(), name.text); l.method == nil {
		return link{}, unknownMethod(name)
	}
	args, err := p.arguments(l.method, name)
	l.args = args
	return l, err
}

// checkName refuses the names by which JavaScript reaches what is not data.
func checkName(name token) error {
	if !slices.Contains([]string{"__proto__", "constructor", "prototype"}, name.value) {
		return nil
	}
	return &refusal{name.start, name.value + " cannot be read in an expression", codeStep}
}

// checkTrigger refuses what steps.trigger never has: only its two parts are there.
func checkTrigger(base expression, l link, source string, at int) error {
	if base != (step{trigger}) || l.index != nil || l.method != nil || l.name == "event" || l.name == "context" {
		return nil
	}
	return &refusal{at, fmt.Sprintf("steps.trigger has no %s", clip(source)), "write steps.trigger.event or steps.trigger.context"}
}
