package expr

// expression is one node of what was parsed. It never changes, so that many evaluations may share it.
type expression interface {
	eval(s *scope) (value, error)
}

// literal is a number, a text, true, false, null or undefined.
type literal struct{ value value }

func (l literal) eval(*scope) (value, error) { return l.value, nil }

// step is the beginning of every path: what steps has under a name.
type step struct{ name string }

func (e step) eval(s *scope) (value, error) { return s.steps.field(s, e.name) }

// group is an expression in parentheses, where the short cut of ?. ends.
type group struct{ expression }

// not is !x.
type not struct{ of expression }

func (e not) eval(s *scope) (value, error) {
	v, err := e.of.eval(s)
	return boolValue(!v.truthy()), err
}

// logical is a && b, a || b, or a ?? b: the second is evaluated only where the first does not decide.
type logical struct {
	sign        string
	left, right expression
}

func (e logical) eval(s *scope) (value, error) {
	v, err := e.left.eval(s)
	decided := !v.nullish() // of ??
	switch e.sign {
	case "&&":
		decided = !v.truthy()
	case "||":
		decided = v.truthy()
	}
	if err != nil || decided {
		return v, err
	}
	return e.right.eval(s)
}

// comparison is a == b and its like.
type comparison struct {
	sign        string
	left, right expression
}

func (e comparison) eval(s *scope) (value, error) {
	left, err := e.left.eval(s)
	if err != nil {
		return value{}, err
	}
	right, err := e.right.eval(s)
	if err != nil {
		return value{}, err
	}
	holds, err := e.compare(s, left, right)
	return boolValue(holds), err
}

func (e comparison) compare(s *scope, left, right value) (bool, error) {
	switch e.sign {
	case "===":
		return s.strictEqual(left, right)
	case "!==":
		same, err := s.strictEqual(left, right)
		return !same, err
	case "==":
		return s.equal(left, right)
	case "!=":
		same, err := s.equal(left, right)
		return !same, err
	}
	order, ordered, err := s.order(left, right)
	return ordered && e.holds(order), err
}

func (e comparison) holds(order int) bool {
	switch e.sign {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// conditional is a ? b : c.
type conditional struct{ test, yes, no expression }

func (e conditional) eval(s *scope) (value, error) {
	v, err := e.test.eval(s)
	switch {
	case err != nil:
		return value{}, err
	case v.truthy():
		return e.yes.eval(s)
	}
	return e.no.eval(s)
}

// items is [a, b].
type items []expression

func (e items) eval(s *scope) (value, error) {
	values, err := evalAll(s, e)
	return listValue(values), err
}

// fields is {a: b}.
type fields struct {
	names  []string
	values []expression
}

func (e fields) eval(s *scope) (value, error) {
	values, err := evalAll(s, e.values)
	return value{kind: kindObject, node: &node{names: e.names, items: values}}, err
}

func evalAll(s *scope, all []expression) ([]value, error) {
	values := make([]value, 0, len(all))
	for _, e := range all {
		v, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, s.spend(len(all))
}
