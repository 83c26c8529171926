package expr

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// reader makes parts of props, and gathers what is wrong with them.
type reader struct {
	names    names
	mistakes Mistakes
}

func (r *reader) note(m Mistake) {
	if len(r.mistakes) < maxMistakes {
		r.mistakes = append(r.mistakes, m)
	}
}

// part reads one value. Nil where nothing in it is an expression.
func (r *reader) part(doc []byte, prop string, depth int) part {
	v, err := rawValue(doc, nil)
	switch {
	case err != nil: // it is JSON, as Parse has seen
		return nil
	case depth > MaxDepth:
		r.note(Mistake{Prop: prop, What: fmt.Sprintf("the props nest more than %d deep", MaxDepth)})
		return nil
	case v.kind == kindText:
		return r.textPart(v.raw, prop)
	case v.composite():
		return r.parts(v.node, prop, depth)
	}
	return nil
}

// parts reads a list or an object.
func (r *reader) parts(n *node, prop string, depth int) part {
	if n.open(&scope{work: math.MaxInt}) != nil {
		return nil
	}
	all := make([]part, len(n.starts))
	found := false
	for i := range all {
		all[i] = r.part(n.part(i), n.place(i, prop), depth+1)
		found = found || all[i] != nil
	}
	if !found {
		return nil
	}
	for i, p := range all {
		if p == nil {
			all[i] = rawPart(n.part(i))
		}
	}
	return n.parts(all)
}

// parts is the node with its values replaced.
func (n *node) parts(all []part) part {
	if n.raw[0] == '[' {
		return listPart(all)
	}
	members := make(objectPart, 0, len(all))
	for i, value := range all {
		end, _ := skipText(n.raw, n.keys[i])
		name := append([]byte(nil), n.raw[n.keys[i]:end]...)
		members = append(members, member{append(name, ':'), value})
	}
	return members
}

// place is the path of the value at i, as an author would write it.
func (n *node) place(i int, prop string) string {
	if n.raw[0] == '[' {
		return prop + "[" + strconv.Itoa(i) + "]"
	}
	name := n.name(i)
	switch {
	case !isName(name):
		return prop + "[" + quoted(name) + "]"
	case prop == "":
		return clip(name)
	}
	return prop + "." + clip(name)
}

// textPart reads a text, and what it has of expressions.
func (r *reader) textPart(doc []byte, prop string) part {
	text, err := decodeText(doc)
	if err != nil || !strings.Contains(text, "{{") {
		return nil
	}
	t := textPart{prop: prop, segments: r.segments(text, prop)}
	if e := t.whole(); e != nil {
		return wholePart{prop, e}
	}
	return t
}

func (r *reader) segments(text, prop string) []segment {
	var segments []segment
	for at := 0; at < len(text) && len(r.mistakes) < maxMistakes; {
		before, rest, found := strings.Cut(text[at:], "{{")
		if before != "" {
			segments = append(segments, segment{text: before})
		}
		if !found {
			break
		}
		e, end := r.expression(text, len(text)-len(rest), prop)
		if e != nil {
			segments = append(segments, segment{expression: e})
		}
		at = end
	}
	return segments
}

// expression reads one, and gives the place after it. After a mistake that is behind the next closing braces.
func (r *reader) expression(text string, start int, prop string) (expression, int) {
	e, end, err := parse(text, start, r.names)
	if err == nil {
		return e, end
	}
	at := start
	if why, ok := errors.AsType[*refusal](err); ok {
		r.note(why.mistake(prop, text))
		at = min(why.at, len(text))
	}
	closing := strings.Index(text[at:], "}}")
	if closing < 0 {
		return nil, len(text)
	}
	return nil, at + closing + len("}}")
}
