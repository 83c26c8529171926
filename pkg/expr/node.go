package expr

import (
	"bytes"
	"slices"
	"strconv"
)

// node is a list or an object: one of the document, read one level deep when somebody first asks for a part of it, or
// one that an expression made.
type node struct {
	raw []byte // of the document; nil for one that was made
	// What was read of raw: where names and values begin, and whether a name has an escape.
	read    bool
	keys    []int
	starts  []int
	escaped bool
	// nodes are the parts that were asked for, so that each is read once, and the same to ===.
	nodes []*node

	names []string // of an object that was made
	items []value
}

// size is how many values there are.
func (n *node) size(s *scope) (int, error) {
	if n.raw == nil {
		return len(n.items), nil
	}
	err := n.open(s)
	return len(n.starts), err
}

// item is the value at i, which must be one.
func (n *node) item(s *scope, i int) (value, error) {
	if n.raw == nil {
		return n.items[i], nil
	}
	if err := n.open(s); err != nil {
		return value{}, err
	}
	return n.value(i)
}

// field is the value of a name; of the last one, where it is given twice.
func (n *node) field(s *scope, name string) (value, error) {
	size, err := n.size(s)
	if err == nil {
		err = s.spend(size)
	}
	if err != nil {
		return value{}, err
	}
	if i := slices.Index(n.names, name); i >= 0 {
		return n.items[i], nil
	}
	for i := range slices.Backward(n.keys) {
		if n.named(i, name) {
			return n.value(i)
		}
	}
	return value{}, nil
}

func (n *node) named(i int, name string) bool {
	rest := n.raw[n.keys[i]+1:]
	if len(rest) > len(name) && rest[len(name)] == '"' && string(rest[:len(name)]) == name {
		return true
	}
	return n.escaped && n.name(i) == name
}

// name is the name at i of an object of the document; empty where it is no JSON.
func (n *node) name(i int) string {
	end, ok := skipText(n.raw, n.keys[i])
	if !ok {
		return ""
	}
	name, err := decodeText(n.raw[n.keys[i]:end])
	if err != nil {
		return ""
	}
	return name
}

// value is what stands at i in the document.
func (n *node) value(i int) (value, error) {
	if n.nodes == nil {
		n.nodes = make([]*node, len(n.starts))
	}
	v, err := rawValue(n.part(i), n.nodes[i])
	n.nodes[i] = v.node
	return v, err
}

// rawValue is the value of a JSON text without white space around it. A list or object that was asked for before has
// its node already.
func rawValue(raw []byte, known *node) (value, error) {
	switch raw[0] {
	case '{':
		return value{kind: kindObject, node: known.or(raw)}, nil
	case '[':
		return value{kind: kindList, node: known.or(raw)}, nil
	case '"':
		return value{kind: kindText, raw: raw}, nil
	}
	return scalar(string(raw))
}

// or is the node, or a new one where there is none.
func (n *node) or(raw []byte) *node {
	if n != nil {
		return n
	}
	return &node{raw: raw}
}

func scalar(raw string) (value, error) {
	switch {
	case raw == "null":
		return value{kind: kindNull}, nil
	case raw == "true" || raw == "false":
		return value{kind: kindBoolean, text: raw}, nil
	case isNumber(raw):
		return value{kind: kindNumber, text: raw}, nil
	}
	return value{}, broken()
}

// part is the text of the value at i.
func (n *node) part(i int) []byte {
	end := len(n.raw) - 1
	if i+1 < len(n.keys) {
		end = n.keys[i+1]
	} else if i+1 < len(n.starts) {
		end = n.starts[i+1]
	}
	return bytes.TrimRight(n.raw[n.starts[i]:end], " \t\r\n,")
}

// place reads a name as an index of a list or text of this size.
func place(name string, size int) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < size && strconv.Itoa(i) == name
}
