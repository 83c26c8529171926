package strict_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestMistakesAreOneErrorOfKindInvalid(t *testing.T) {
	t.Parallel()
	var many strict.Mistakes
	for i := range 60 {
		many = append(many, strict.Mistake{File: "b", Line: 60 - i, What: "wrong", Hint: "mend it"})
	}
	many = append(many, many[0], strict.Mistake{File: "a", What: "missing"})
	err := fmt.Errorf("deploy: %w", many.Err())
	if fault.KindOf(err) != fault.Invalid || fault.CodeOf(err) != "invalid" {
		t.Errorf("kind %v, code %s", fault.KindOf(err), fault.CodeOf(err))
	}
	lines := strings.Split(fault.Safe(err), "\n")
	if lines[0] != "a: missing" || lines[1] != "b:1: wrong; hint: mend it" || lines[50] != "and 11 more" || len(lines) != 51 {
		t.Errorf("%d lines:\n%s", len(lines), fault.Safe(err))
	}
	var typed strict.Mistakes
	if !errors.As(err, &typed) || len(typed) != 61 {
		t.Errorf("the error has %d mistakes", len(typed))
	}
	if none := (strict.Mistakes{}).Err(); none != nil {
		t.Errorf("no mistake is an error: %v", none)
	}
}

// A file that somebody sends to the API costs at most so much, whatever it holds.
func TestHostileFilesAreCheap(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"flow mappings":  "a: {" + strings.Repeat("a: 1, ", 4_900) + "}",
		"flow sequences": strings.Repeat("[", 9_000),
		"anchors":        strings.Repeat("&a ", 9_900),
		"tags":           strings.Repeat("!a ", 19_000),
		"colons":         strings.Repeat("a: ", 9_900),
		"dashes":         strings.Repeat("- ", 19_000),
		"questions":      strings.Repeat("? ", 19_000),
		"keys":           strings.Repeat("k: 1\n", 6_600),
		"documents":      strings.Repeat("---\n", 19_000),
		"spaces":         strings.Repeat(" ", 250_000) + "a: 1",
		"lines":          strings.Repeat("\n", 250_000) + "a: 1",
		"comments":       strings.Repeat("# a\n", 19_000),
		"a long text":    "a: \"" + strings.Repeat("\\n", 120_000) + "\"",
		"indentation":    indented(700),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_ = strict.Read("f", []byte(text), func(root strict.Value) { root.JSON(func(strict.Value, string) {}) })
			if took := time.Since(start); took > 10*time.Second { // some 10 to 300 ms; the bound is for a loaded machine
				t.Errorf("took %v", took)
			}
		})
	}
}

func indented(depth int) string {
	var text strings.Builder
	for i := range depth {
		text.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return text.String()[:min(text.Len(), strict.MaxFile)]
}

func ExampleRead() {
	mistakes := strict.Read("tea.yaml", []byte("minutes: three\nsugr: 1\n"), func(root strict.Value) {
		tea, ok := root.Shaped(strict.Shape{Known: []string{"minutes", "sugar"}}, "")
		if ok {
			tea.Required("minutes", "").Int(1, 10)
		}
	})
	fmt.Println(mistakes.Err())
	// Output:
	// tea.yaml:1: minutes must be a whole number, not a text; hint: write a number from 1 to 10
	// tea.yaml:2: there is no field "sugr" here; hint: did you mean sugar?
}

func TestTheNearestWordIsTheOneThatWasMeant(t *testing.T) {
	t.Parallel()
	known := []string{"airtable_oauth", "google_calendar", "google_sheets", "slack"}
	for written, want := range map[string]string{
		"slak": "slack", "Slack": "slack", "airtable": "airtable_oauth", "google": "google_calendar", "google_sheet": "google_sheets",
		"trello": "", "": "", "air": "", "_": "",
	} {
		if got, ok := strict.Nearest(written, known); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v", written, got, ok)
		}
	}
}
