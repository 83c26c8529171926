package braces_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/app/braces"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]braces.Part{
		"":         nil,
		"plain":    {{Text: "plain"}},
		"{a}":      {{Text: "a", IsName: true}},
		"x{a}{b}y": {{Text: "x"}, {Text: "a", IsName: true}, {Text: "b", IsName: true}, {Text: "y"}},
	} {
		if got, err := braces.Split(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"{", "}", "{}", "{a", "a}", "{a{b}}", "{{a}}", "x}{a}", "{a}}"} {
		if got, err := braces.Split(text); err == nil {
			t.Errorf("%q makes %v", text, got)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("Bearer {token}")
	f.Add("{{}}")
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := braces.Split(text)
		if err != nil {
			return
		}
		var whole strings.Builder
		for _, p := range parts {
			if p.IsName {
				whole.WriteString("{" + p.Text + "}")
			} else {
				whole.WriteString(p.Text)
			}
		}
		if whole.String() != text {
			t.Errorf("%q became %q", text, whole.String())
		}
	})
}

func ExampleSplit() {
	parts, err := braces.Split("{email}/token:{api_token}")
	fmt.Println(braces.Names(parts), err)
	// Output: [email api_token] <nil>
}
