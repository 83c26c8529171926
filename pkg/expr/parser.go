package expr

import (
	"fmt"
	"slices"
	"strings"
)

// parser reads one expression, by recursive descent over the levels of JavaScript's grammar.
type parser struct {
	scanner

	token token // the next one, not taken yet
	last  int   // where the one before it ended
	start int
	depth int
	names names
}

// names gathers what expressions read: the names of steps, and of environment variables.
type names struct{ steps, variables map[string]bool }

// parse reads the expression that begins at start, and gives the place after its closing braces.
func parse(text string, start int, names names) (expression, int, error) {
	p := &parser{scanner: scanner{text: text, pos: start}, start: start, names: names}
	p.take()
	if p.closes() {
		return nil, 0, p.refuse("there is nothing between the braces", "write a path, as {{steps.trigger.event.body.name}}")
	}
	e, err := p.expression()
	if err == nil && !p.closes() {
		err = p.unexpected("}}")
	}
	return e, p.token.end + 1, err
}

// closes says whether the next token is the first of two closing braces.
func (p *parser) closes() bool {
	return p.token.is("}") && strings.HasPrefix(p.text[p.token.end:], "}")
}

// take goes on by a token, and gives the one before.
func (p *parser) take() token {
	taken := p.token
	p.last = taken.end
	p.token = p.next()
	if p.token.start-p.start > MaxExpression {
		p.token.kind, p.token.hint = tokenBad, "use a code step"
		p.token.value = fmt.Sprintf("the expression is longer than %d bytes", MaxExpression)
	}
	return taken
}

// accept takes a sign, if it is next.
func (p *parser) accept(sign string) bool {
	if !p.token.is(sign) {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(sign string) error {
	if !p.accept(sign) {
		return p.unexpected(sign)
	}
	return nil
}

// deeper goes one level down; who calls it comes up again.
func (p *parser) deeper() error {
	if p.depth++; p.depth > MaxNesting {
		return p.refuse(fmt.Sprintf("the expression nests more than %d deep", MaxNesting), "use a code step")
	}
	return nil
}

// expression reads a whole one: a condition, or what is below it.
func (p *parser) expression() (expression, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	test, err := p.coalesce()
	if err != nil || !p.accept("?") {
		return test, err
	}
	yes, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err = p.expect(":"); err != nil {
		return nil, err
	}
	no, err := p.expression()
	return conditional{test, yes, no}, err
}

// coalesce reads a ?? b. As in JavaScript it needs parentheses beside && and ||.
func (p *parser) coalesce() (expression, error) {
	left, err := p.binary(0)
	if err != nil || !p.token.is("??") {
		return left, err
	}
	if _, mixed := left.(logical); mixed {
		return nil, p.mixed()
	}
	for p.accept("??") {
		right, err := p.binary(bitwise)
		if err != nil {
			return nil, err
		}
		left = logical{"??", left, right}
	}
	if p.token.is("||") || p.token.is("&&") {
		return nil, p.mixed()
	}
	return left, nil
}

func (p *parser) mixed() error {
	return p.refuse("?? stands beside && or || without parentheses", "write (a ?? b) || c, or a ?? (b || c)")
}

// bitwise is the level of signs below && and ||, which is where ?? has its sides.
const bitwise = 2

// tightest is the level of signs that bind most; what they stand between has none of these signs.
const tightest = 3

// levelOf is how much a sign between two values binds.
func levelOf(sign string) int {
	switch sign {
	case "||":
		return 0
	case "&&":
		return 1
	case "==", "!=", "===", "!==":
		return bitwise
	case "<", "<=", ">", ">=":
		return tightest
	}
	return -1
}

// binary reads values with signs of a level, or one that binds more, between them.
func (p *parser) binary(level int) (expression, error) {
	if level > tightest {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil && p.token.kind == tokenSign && levelOf(p.token.text) == level {
		sign := p.take().text
		var right expression
		if right, err = p.binary(level + 1); level < bitwise {
			left = logical{sign, left, right}
		} else {
			left = comparison{sign, left, right}
		}
	}
	return left, err
}

// unary reads !a, or -1: a minus is only for numbers that are written out.
func (p *parser) unary() (expression, error) {
	sign := p.token
	switch {
	case sign.is("!"):
		return p.not()
	case !p.accept("-"):
		return p.path()
	case p.token.kind != tokenNumber:
		return nil, foreign(sign)
	}
	return literal{value{kind: kindNumber, text: "-" + p.take().text}}, nil
}

func (p *parser) not() (expression, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	p.take()
	of, err := p.unary()
	return not{of}, err
}

// primary reads a literal, the beginning of a path, a call, or an expression in parentheses.
func (p *parser) primary() (expression, error) {
	switch t := p.token; {
	case t.kind == tokenNumber:
		p.take()
		return literal{value{kind: kindNumber, text: t.text}}, nil
	case t.kind == tokenString:
		p.take()
		return literal{textValue(t.value)}, nil
	case t.kind == tokenName:
		return p.named()
	case p.accept("("):
		e, err := p.expression()
		if err == nil {
			err = p.expect(")")
		}
		return group{e}, err
	case p.accept("["):
		all, err := p.list("]")
		return items(all), err
	case p.accept("{"):
		return p.fields()
	}
	return nil, p.unexpected("a value")
}

// list reads expressions with commas between them, up to a closing sign.
func (p *parser) list(closing string) ([]expression, error) {
	var all []expression
	for !p.accept(closing) {
		if len(all) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// fields reads what stands in the braces of an object.
func (p *parser) fields() (expression, error) {
	var f fields
	for !p.accept("}") {
		if len(f.names) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		name, err := p.fieldName()
		if err == nil && slices.Contains(f.names, name.value) {
			err = &refusal{name.start, clip(name.value) + " is given twice", "keep one of them"}
		}
		if err != nil {
			return nil, err
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		f.names, f.values = append(f.names, name.value), append(f.values, e)
	}
	return f, nil
}

// fieldName reads a name and its colon.
func (p *parser) fieldName() (token, error) {
	name := p.token
	if name.kind != tokenName && name.kind != tokenString {
		return name, p.unexpected("a name")
	}
	name = p.take().named()
	if err := checkName(name); err != nil {
		return name, err
	}
	return name, p.expect(":")
}
