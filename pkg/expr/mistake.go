package expr

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// maxMistakes bounds what one error tells: props with more are not the props that their author meant.
const maxMistakes = 50

// Mistake is one thing to mend in the props.
type Mistake struct {
	// Prop is the place in the props, as headers[0].value. Empty for the props themselves.
	Prop string
	// Line and Column count from 1 in the prop's own text, columns in characters. Zero where the mistake has no place
	// in a text.
	Line, Column int
	// What is wrong.
	What string
	// Hint says what to write instead. Empty where What says it all.
	Hint string
}

// String is the mistake as one line.
func (m Mistake) String() string {
	text := m.What
	if at := m.at(); at != "" {
		text = at + ": " + text
	}
	if m.Hint == "" {
		return text
	}
	return text + "; hint: " + m.Hint
}

func (m Mistake) at() string {
	var at []string
	if m.Prop != "" {
		at = append(at, "prop "+m.Prop)
	}
	if m.Line > 1 {
		at = append(at, fmt.Sprintf("line %d", m.Line))
	}
	if m.Column > 0 {
		at = append(at, fmt.Sprintf("column %d", m.Column))
	}
	return strings.Join(at, ", ")
}

// Mistakes is all that is wrong, the first fifty in the order of the props, as one error of kind Invalid whose message
// has a line for each.
type Mistakes []Mistake //nolint:errname // one error of many mistakes, and its callers read them

// Error lists the mistakes, one a line.
func (m Mistakes) Error() string {
	lines := make([]string, 0, len(m)+1)
	for _, mistake := range m {
		lines = append(lines, mistake.String())
	}
	if len(m) >= maxMistakes {
		lines = append(lines, "and perhaps more")
	}
	return strings.Join(lines, "\n")
}

// As makes the mistakes a fault.Error of kind Invalid, whose message may be shown to whoever wrote the props.
func (m Mistakes) As(target any) bool {
	asFault, ok := target.(**fault.Error)
	if ok {
		*asFault = fault.New(fault.Invalid, "expr.Parse", m.Error())
	}
	return ok
}

// refusal is why an expression is not one, at a byte of its text.
type refusal struct {
	at         int
	what, hint string
}

// Error is what is wrong.
func (r *refusal) Error() string { return r.what }

// mistake gives a refusal its place in the props.
func (r *refusal) mistake(prop, text string) Mistake {
	before := text[:min(r.at, len(text))]
	line := strings.LastIndexByte(before, '\n') + 1
	return Mistake{
		Prop: prop, Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(before[line:]) + 1,
		What: r.what, Hint: r.hint,
	}
}

// clip keeps an author's text in a message short and on one line.
func clip(s string) string {
	const longest = 80
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if utf8.RuneCountInString(s) > longest {
		return string([]rune(s)[:longest]) + "…"
	}
	return s
}
