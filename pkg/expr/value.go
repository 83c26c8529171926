package expr

import (
	"math"
	"strings"
)

type kind uint8

const (
	kindUndefined kind = iota
	kindNull
	kindBoolean
	kindNumber
	kindText
	kindList
	kindObject
)

// String is the kind as an error calls it.
func (k kind) String() string {
	switch k {
	case kindUndefined:
		return "undefined"
	case kindNull:
		return "null"
	case kindBoolean:
		return "a boolean"
	case kindNumber:
		return "a number"
	case kindText:
		return "a text"
	case kindList:
		return "a list"
	case kindObject:
		return "an object"
	}
	return "unknown"
}

// value is what an expression evaluates to. The zero value is undefined.
type value struct {
	kind kind
	// text of a boolean, a number, or a text that is not raw.
	text string
	// raw is a text of the document that nobody has decoded yet, in its quotes.
	raw []byte
	// node of a list or an object. Two of these are the same if their nodes are.
	node *node
}

func textValue(s string) value { return value{kind: kindText, text: s} }

func numberValue(f float64) value { return value{kind: kindNumber, text: formatNumber(f)} }

func boolValue(b bool) value {
	if b {
		return value{kind: kindBoolean, text: "true"}
	}
	return value{kind: kindBoolean, text: "false"}
}

func listValue(items []value) value { return value{kind: kindList, node: &node{items: items}} }

// nullish is what ?. and ?? pass over.
func (v value) nullish() bool { return v.kind == kindUndefined || v.kind == kindNull }

// composite is what has a node.
func (v value) composite() bool { return v.kind == kindList || v.kind == kindObject }

// truthy is JavaScript's ToBoolean.
func (v value) truthy() bool {
	switch v.kind {
	case kindUndefined, kindNull:
		return false
	case kindBoolean:
		return v.text == "true"
	case kindNumber:
		f := parseNumber(v.text)
		return f != 0 && !math.IsNaN(f)
	case kindText:
		return v.text != "" || len(v.raw) > len(`""`)
	case kindList, kindObject:
	}
	return true
}

// string is JavaScript's ToString.
func (s *scope) string(v value) (string, error) {
	switch v.kind {
	case kindUndefined, kindNull:
		return v.kind.String(), nil
	case kindBoolean:
		return v.text, nil
	case kindNumber:
		return spellNumber(v.text), nil
	case kindText:
		return s.decode(v)
	case kindList:
		return s.join(v.node, ",")
	case kindObject:
	}
	return "[object Object]", nil
}

// number is JavaScript's ToNumber.
func (s *scope) number(v value) (float64, error) {
	switch v.kind {
	case kindUndefined:
		return math.NaN(), nil
	case kindNull:
		return 0, nil
	case kindBoolean:
		if v.truthy() {
			return 1, nil
		}
		return 0, nil
	case kindNumber:
		return parseNumber(v.text), nil
	case kindText, kindList, kindObject:
	}
	content, err := s.string(v)
	return parseNumber(content), err
}

// join is JavaScript's Array.prototype.join.
func (s *scope) join(n *node, between string) (string, error) {
	if s.depth++; s.depth > MaxDepth {
		return "", failed("a list in it nests more than %d deep", MaxDepth)
	}
	defer func() { s.depth-- }()
	var b strings.Builder
	size, err := n.size(s)
	for i := 0; err == nil && i < size; i++ {
		if i > 0 {
			b.WriteString(between)
		}
		err = s.joinItem(&b, n, i)
		if err == nil {
			err = s.spend(len(between))
		}
	}
	return b.String(), err
}

// joinItem writes one item; null and undefined are nothing.
func (s *scope) joinItem(b *strings.Builder, n *node, i int) error {
	item, err := n.item(s, i)
	if err != nil || item.nullish() {
		return err
	}
	content, err := s.string(item)
	b.WriteString(content)
	if err != nil {
		return err
	}
	return s.spend(len(content))
}
