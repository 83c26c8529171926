package strict

import (
	"slices"
	"strconv"
	"strings"
)

// suggestion names the known word nearest to what was written, else all of them.
func suggestion(written string, known []string) string {
	if word, ok := Nearest(written, known); ok {
		return "did you mean " + word + "?"
	}
	return "write " + Alternatives(known)
}

// Nearest is the known word that was most likely meant: one with at most two letters wrong, else the first that goes on
// after an underscore where what was written ends. It is not ok where there is none.
func Nearest(written string, known []string) (string, bool) {
	const near = 2
	written = strings.ToLower(written)
	best, least := "", near+1
	for _, word := range known {
		if d := distance(written, word, near); d < least {
			best, least = word, d
		}
	}
	if best != "" && least < len(best) {
		return best, true
	}
	i := slices.IndexFunc(known, func(word string) bool { return written != "" && strings.HasPrefix(word, written+"_") })
	if i < 0 {
		return "", false
	}
	return known[i], true
}

// Alternatives lists words for a message, as in "a, b or c".
func Alternatives(words []string) string {
	sorted := slices.Sorted(slices.Values(words))
	if len(sorted) < 2 {
		return strings.Join(sorted, "")
	}
	last := len(sorted) - 1
	return strings.Join(sorted[:last], ", ") + " or " + sorted[last]
}

// distance is how many letters must be put in, taken out or replaced to turn a into b; more than most where it is
// clear from the lengths that it takes more.
func distance(a, b string, most int) int {
	if len(a) > len(b)+most || len(b) > len(a)+most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

func quoted(s string) string { return strconv.Quote(clip(s)) }
