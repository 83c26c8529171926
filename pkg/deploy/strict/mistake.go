package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// maxMistakes bounds what one reading tells: a file with more is not the file that its author meant.
const maxMistakes = 50

// Mistake is one thing to mend in a file.
type Mistake struct {
	File string
	// Line counts from 1. Zero where the mistake has no line, such as a missing file.
	Line int
	// What is wrong.
	What string
	// Hint says what to write instead. Empty where What says it all.
	Hint string
}

// String is the mistake as one line, in the form that editors and terminals make a link of.
func (m Mistake) String() string {
	at := m.File
	if m.Line > 0 {
		at = fmt.Sprintf("%s:%d", m.File, m.Line)
	}
	if m.Hint == "" {
		return at + ": " + m.What
	}
	return at + ": " + m.What + "; hint: " + m.Hint
}

// Mistakes is all that is wrong, as one error of kind Invalid whose message has a line for each.
type Mistakes []Mistake //nolint:errname // one error of many mistakes, and its callers read them

// Err returns the mistakes in the order of file and line, each once, or nil where there are none.
func (m Mistakes) Err() error {
	if len(m) == 0 {
		return nil
	}
	seen := map[Mistake]bool{}
	sorted := slices.DeleteFunc(slices.Clone(m), func(mistake Mistake) bool {
		again := seen[mistake]
		seen[mistake] = true
		return again
	})
	slices.SortStableFunc(sorted, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return sorted
}

// Error lists the mistakes, one a line.
func (m Mistakes) Error() string {
	shown := m
	if len(shown) > maxMistakes {
		shown = shown[:maxMistakes]
	}
	lines := make([]string, 0, len(shown)+1)
	for _, mistake := range shown {
		lines = append(lines, mistake.String())
	}
	if rest := len(m) - len(shown); rest > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(lines, "\n")
}

// As makes the mistakes a fault.Error of kind Invalid, whose message may be shown to whoever sent the files.
func (m Mistakes) As(target any) bool {
	asFault, ok := target.(**fault.Error)
	if ok {
		*asFault = fault.New(fault.Invalid, "", m.Error())
	}
	return ok
}
