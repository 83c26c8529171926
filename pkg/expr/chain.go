package expr

// chain is a path: a value, and the links that lead from it to another.
type chain struct {
	base  expression
	links []link
	// source is the chain as its author wrote it.
	source string
}

// link is one of .name, [index] and .function(…).
type link struct {
	optional bool // with ?.: what is null or undefined ends the whole chain as undefined
	name     string
	index    expression // instead of a name
	method   *function  // instead of both
	args     []expression
	start    int // where in the source the link begins, and ends
	end      int
}

// eval follows the links.
func (c chain) eval(s *scope) (value, error) {
	v, err := c.base.eval(s)
	for i := 0; err == nil && i < len(c.links); i++ {
		l := c.links[i]
		switch {
		case !v.nullish():
			v, err = c.follow(s, v, l)
		case l.optional:
			return value{}, nil
		default:
			err = failed("%s is %s, so %s cannot be read; hint: write ?. where it may be missing",
				clip(c.source[:l.start]), v.kind, clip(c.source[:l.end]))
		}
	}
	return v, err
}

func (c chain) follow(s *scope, v value, l link) (value, error) {
	switch {
	case l.method != nil:
		return c.call(s, v, l)
	case l.index == nil:
		return s.property(v, l.name)
	}
	index, err := l.index.eval(s)
	if err != nil {
		return value{}, err
	}
	name, err := s.string(index)
	if err != nil {
		return value{}, err
	}
	return s.property(v, name)
}

func (c chain) call(s *scope, v value, l link) (value, error) {
	if !l.method.takes(v.kind) {
		return value{}, failed("%s is %s, which has no .%s()", clip(c.source[:l.start]), v.kind, l.method.name)
	}
	args, err := evalAll(s, l.args)
	if err != nil {
		return value{}, err
	}
	v, err = l.method.apply(s, append([]value{v}, args...))
	return v, in(c.source[:l.end], err)
}

// property is what a name after a dot or in brackets gives: what is the value's own, or undefined.
func (s *scope) property(v value, name string) (value, error) {
	switch v.kind {
	case kindObject:
		return v.node.field(s, name)
	case kindList:
		return s.itemNamed(v.node, name)
	case kindText:
		return s.characterNamed(v, name)
	case kindUndefined, kindNull, kindBoolean, kindNumber:
	}
	return value{}, nil
}

func (s *scope) itemNamed(n *node, name string) (value, error) {
	size, err := n.size(s)
	if name == "length" || err != nil {
		return numberValue(float64(size)), err
	}
	if i, ok := place(name, size); ok {
		return n.item(s, i)
	}
	return value{}, nil
}

func (s *scope) characterNamed(v value, name string) (value, error) {
	content, err := s.decode(v)
	if err != nil {
		return value{}, err
	}
	size := units(content)
	if name == "length" {
		return numberValue(float64(size)), nil
	}
	if i, ok := place(name, size); ok {
		return textValue(cut(content, i, i+1)), nil
	}
	return value{}, nil
}
