package expr

import (
	"bytes"
	"encoding/json"
)

// What is printed as JSON is checked on the way, so that the result is JSON whatever the document is.

// appendJSON prints a value as compact JSON. A part of the document keeps its own spelling; what JSON cannot say
// becomes null.
func (s *scope) appendJSON(b *bytes.Buffer, v value) error {
	switch v.kind {
	case kindUndefined, kindNull:
		b.WriteString("null")
	case kindBoolean:
		b.WriteString(v.text)
	case kindNumber:
		b.WriteString(numberJSON(v.text))
	case kindText:
		return s.appendText(b, v)
	case kindList, kindObject:
		return s.appendNode(b, v)
	}
	return nil
}

func numberJSON(text string) string {
	if isNumber(text) {
		return text
	}
	return "null" // NaN and the infinities
}

func (s *scope) appendText(b *bytes.Buffer, v value) error {
	if v.raw != nil {
		return s.appendRaw(b, v.raw)
	}
	b.Write(appendQuoted(b.AvailableBuffer(), v.text))
	return s.spend(len(v.text))
}

// appendRaw copies a part of the document.
func (s *scope) appendRaw(b *bytes.Buffer, raw []byte) error {
	if err := s.spend(len(raw)); err != nil {
		return err
	}
	if json.Compact(b, raw) != nil {
		return broken()
	}
	return nil
}

func (s *scope) appendNode(b *bytes.Buffer, v value) error {
	switch {
	case v.node.raw != nil:
		return s.appendRaw(b, v.node.raw)
	case v.kind == kindList:
		return s.appendList(b, v.node.items)
	}
	return s.appendObject(b, v.node)
}

func (s *scope) appendList(b *bytes.Buffer, items []value) error {
	b.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := s.appendJSON(b, item); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return s.spend(len(items))
}

// appendObject prints an object that an expression made, without its undefined properties.
func (s *scope) appendObject(b *bytes.Buffer, n *node) error {
	separator := byte('{')
	for i, item := range n.items {
		if item.kind == kindUndefined {
			continue
		}
		b.WriteByte(separator)
		separator = ','
		b.Write(append(appendQuoted(b.AvailableBuffer(), n.names[i]), ':'))
		if err := s.appendJSON(b, item); err != nil {
			return err
		}
	}
	if separator == '{' {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return nil
}

// stringify prints a value as JSON for a reader: compact, with no escape but the needed ones, and numbers as they are
// printed elsewhere.
func (s *scope) stringify(v value) (string, error) {
	var b bytes.Buffer
	if err := s.appendJSON(&b, v); err != nil {
		return "", err
	}
	plain, err := reprint(b.Bytes())
	return string(plain), err
}

// reprint spells the texts and numbers of a compact document as JSON.stringify does: encoders differ in it.
func reprint(doc []byte) ([]byte, error) {
	b := make([]byte, 0, len(doc))
	for len(doc) > 0 {
		length := 1
		switch c := rune(doc[0]); {
		case c == '"':
			length, _ = skipText(doc, 0)
			content, err := decodeText(doc[:length])
			if err != nil {
				return nil, err
			}
			b = appendQuoted(b, content)
		case isDigit(c) || c == '-':
			length, _ = skipValue(doc, 0)
			b = append(b, spellNumber(string(doc[:length]))...)
		default:
			b = append(b, doc[0])
		}
		doc = doc[length:]
	}
	return b, nil
}

// inText is how a value stands in a text.
func (s *scope) inText(v value) (string, error) {
	switch {
	case v.nullish():
		return "", nil
	case v.composite():
		return s.stringify(v)
	}
	return s.string(v)
}
