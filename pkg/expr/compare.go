package expr

import (
	"cmp"
	"math"
)

// strictEqual is ===. Lists and objects are equal to themselves only.
func (s *scope) strictEqual(a, b value) (bool, error) {
	if a.kind != b.kind {
		return false, nil
	}
	switch a.kind {
	case kindUndefined, kindNull:
		return true, nil
	case kindBoolean:
		return a.text == b.text, nil
	case kindNumber:
		return equalNumbers(a.text, b.text), nil
	case kindList, kindObject:
		return a.node == b.node, nil
	case kindText:
	}
	content, err := both(s.decode, a, b)
	return content[0] == content[1], err
}

// equalNumbers compares integers by their digits: two ids that JavaScript would round to one number are two.
func equalNumbers(a, b string) bool {
	if isInteger(a) && isInteger(b) {
		return spellNumber(a) == spellNumber(b)
	}
	return parseNumber(a) == parseNumber(b)
}

// equal is ==. Source: ECMA-262 IsLooselyEqual.
func (s *scope) equal(a, b value) (bool, error) {
	switch {
	case a.nullish() || b.nullish():
		return a.nullish() && b.nullish(), nil
	case a.kind == b.kind || a.composite() && b.composite():
		return s.strictEqual(a, b)
	case a.composite() || b.composite():
		return s.equalPrimitives(a, b)
	}
	f, err := both(s.number, a, b)
	return f[0] == f[1], err
}

// equalPrimitives compares the text of a list or an object with something else.
func (s *scope) equalPrimitives(a, b value) (bool, error) {
	v, err := both(s.primitive, a, b)
	if err != nil {
		return false, err
	}
	return s.equal(v[0], v[1])
}

// order is what < and its like ask: -1, 0 or 1, and false where there is no order, as with NaN.
func (s *scope) order(a, b value) (int, bool, error) {
	v, err := both(s.primitive, a, b)
	if err != nil {
		return 0, false, err
	}
	if v[0].kind == kindText && v[1].kind == kindText {
		content, err := both(s.decode, v[0], v[1])
		return compareText(content[0], content[1]), true, err
	}
	f, err := both(s.number, v[0], v[1])
	return cmp.Compare(f[0], f[1]), !math.IsNaN(f[0]) && !math.IsNaN(f[1]), err
}

// primitive makes a text of a list or an object.
func (s *scope) primitive(v value) (value, error) {
	if !v.composite() {
		return v, nil
	}
	content, err := s.string(v)
	return textValue(content), err
}

// both does the same to two values, in their order.
func both[T any](of func(value) (T, error), a, b value) ([2]T, error) {
	first, err := of(a)
	if err != nil {
		return [2]T{}, err
	}
	second, err := of(b)
	return [2]T{first, second}, err
}
