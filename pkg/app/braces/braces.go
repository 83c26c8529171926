// Package braces takes texts apart in which {name} stands for a value, as the files of apps and actions have them.
//
// It never fills them in: what a name means, and how its value is written there, is its caller's to know.
package braces

import (
	"errors"
	"strings"
)

// Part is a piece of a text: a name that stood in braces, or the text between two of them.
type Part struct {
	Text   string
	IsName bool
}

// Split takes a text apart. It refuses braces that do not match, nested ones and empty ones; there is no way to write a
// brace that stands for itself. The error says what is wrong.
func Split(text string) ([]Part, error) {
	var parts []Part
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		if strings.Contains(before, "}") {
			return nil, errors.New("there is a } without its {")
		}
		if before != "" {
			parts = append(parts, Part{Text: before})
		}
		if !found {
			return parts, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		switch {
		case !closed || strings.Contains(name, "{"):
			return nil, errors.New("there is a { without its }")
		case name == "":
			return nil, errors.New("there is no name in {}")
		}
		parts = append(parts, Part{Text: name, IsName: true})
		text = after
	}
	return parts, nil
}

// Names lists the names among the parts, in their order.
func Names(parts []Part) []string {
	var names []string
	for _, p := range parts {
		if p.IsName {
			names = append(names, p.Text)
		}
	}
	return names
}
