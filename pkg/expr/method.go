package expr

import (
	"strings"
	"unicode/utf8"
)

// methods lists those that are called on a value. The package comment has the same table, which a test holds.
func methods() []function {
	onTexts := []kind{kindText}
	onBoth := []kind{kindText, kindList}
	onAll := []kind{kindBoolean, kindNumber, kindText, kindList, kindObject}
	return []function{
		{name: "toUpperCase", on: onTexts, does: onText(toUpper)},
		{name: "toLowerCase", on: onTexts, does: onText(strings.ToLower)},
		{name: "trim", on: onTexts, does: onText(func(s string) string { return strings.TrimFunc(s, isSpace) })},
		{name: "startsWith", on: onTexts, least: 1, most: 1, does: onTwoTexts(strings.HasPrefix)},
		{name: "endsWith", on: onTexts, least: 1, most: 1, does: onTwoTexts(strings.HasSuffix)},
		{name: "split", on: onTexts, least: 1, most: 1, does: split},
		{name: "includes", on: onBoth, least: 1, most: 1, does: includes},
		{name: "slice", on: onBoth, most: 2, does: slice},
		{name: "at", on: onBoth, least: 1, most: 1, does: at},
		{name: "join", on: []kind{kindList}, most: 1, does: join},
		{name: "toString", on: onAll, does: toString},
	}
}

// onTwoTexts makes a method of a question about two texts.
func onTwoTexts(holds func(string, string) bool) func(*scope, []value) (value, error) {
	return func(s *scope, args []value) (value, error) {
		content, err := both(s.string, args[0], args[1])
		return boolValue(holds(content[0], content[1])), err
	}
}

// split cuts a text at every separator; at none, where it is undefined.
func split(s *scope, args []value) (value, error) {
	if args[1].kind == kindUndefined {
		return listValue(args[:1]), nil
	}
	content, err := both(s.string, args[0], args[1])
	if err != nil {
		return value{}, err
	}
	size := strings.Count(content[0], content[1]) + 1
	if content[1] == "" {
		size = utf8.RuneCountInString(content[0])
	}
	if err := s.items(size); err != nil {
		return value{}, err
	}
	parts := make([]value, 0, size)
	for part := range strings.SplitSeq(content[0], content[1]) {
		parts = append(parts, textValue(part))
	}
	return listValue(parts), nil
}

// items makes room for a list.
func (s *scope) items(size int) error {
	const each = 64 // bytes of a value in memory
	if size > MaxItems {
		return failed("the list has %d items, more than %d; hint: use a code step", size, MaxItems)
	}
	return s.spend(each * size)
}

func includes(s *scope, args []value) (value, error) {
	if args[0].kind == kindText {
		return onTwoTexts(strings.Contains)(s, args)
	}
	size, err := args[0].node.size(s)
	found := false
	for i := 0; err == nil && !found && i < size; i++ {
		found, err = s.isItem(args[0].node, i, args[1])
	}
	return boolValue(found), err
}

// isItem is JavaScript's SameValueZero: ===, but NaN is itself.
func (s *scope) isItem(n *node, i int, wanted value) (bool, error) {
	item, err := n.item(s, i)
	if err != nil {
		return false, err
	}
	if wanted.kind == kindNumber && item.kind == kindNumber && wanted.text == item.text {
		return true, nil
	}
	return s.strictEqual(item, wanted)
}

func slice(s *scope, args []value) (value, error) {
	size, err := s.length(args[0])
	if err != nil {
		return value{}, err
	}
	if args[2].kind == kindUndefined {
		args[2] = numberValue(float64(size))
	}
	f, err := both(s.number, args[1], args[2])
	if err != nil {
		return value{}, err
	}
	from, to := fromEnd(f[0], size), fromEnd(f[1], size)
	return s.part(args[0], from, max(from, to))
}

// fromEnd is a place from 0 to size; a negative number counts from the end.
func fromEnd(f float64, size int) int {
	i := integer(f)
	if i < 0 {
		i += size
	}
	return max(0, min(i, size))
}

func (s *scope) length(v value) (int, error) {
	if v.kind == kindList {
		return v.node.size(s)
	}
	content, err := s.decode(v)
	return units(content), err
}

// part is what lies from one place up to another.
func (s *scope) part(v value, from, to int) (value, error) {
	if v.kind == kindText {
		content, err := s.decode(v)
		return textValue(cut(content, from, to)), err
	}
	if err := s.items(to - from); err != nil {
		return value{}, err
	}
	items := make([]value, 0, to-from)
	for i := from; i < to; i++ {
		item, err := v.node.item(s, i)
		if err != nil {
			return value{}, err
		}
		items = append(items, item)
	}
	return listValue(items), nil
}

func at(s *scope, args []value) (value, error) {
	f, err := s.number(args[1])
	if err != nil {
		return value{}, err
	}
	size, err := s.length(args[0])
	i := integer(f)
	if i < 0 {
		i += size
	}
	if err != nil || i < 0 || i >= size {
		return value{}, err
	}
	if args[0].kind == kindText {
		return s.part(args[0], i, i+1)
	}
	return args[0].node.item(s, i)
}

// join makes one text of a list, with commas where it is not told otherwise.
func join(s *scope, args []value) (value, error) {
	between := ","
	if args[1].kind != kindUndefined {
		var err error
		if between, err = s.string(args[1]); err != nil {
			return value{}, err
		}
	}
	content, err := s.join(args[0].node, between)
	return textValue(content), err
}
