// Package strict reads YAML that people write by hand, and tells every mistake at once, each with its line and with what
// to write instead.
//
// It never guesses: unknown and repeated fields, wrong types, anchors, aliases, tags, numbers that YAML versions read
// differently and further documents are refused.
package strict

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a file. They are far above what people write, and keep a hostile one from costing more than
// milliseconds: the parser below spells out the path of every node, which is quadratic in the depth.
const (
	// MaxFile is the size of a file in bytes.
	MaxFile   = 256 << 10
	maxTokens = 20_000
	// MaxDepth is how deep values may be nested, as in the JSON of events.
	MaxDepth = 256
	// maxColumn bounds the depth of block style before it is parsed: each level is at least one column further in.
	maxColumn = 1024
)

// Read parses one file and hands its root to read, which asks for what it wants and so finds the mistakes. Where the
// text is no YAML at all, read is not called. The file's name is only for the messages.
func Read(file string, text []byte, read func(root Value)) Mistakes {
	doc := &document{file: file}
	if root, ok := doc.parse(text); ok {
		read(Value{doc: doc, node: root, line: 1})
	}
	return doc.mistakes
}

// document collects the mistakes of one file.
type document struct {
	file     string
	mistakes Mistakes
}

func (d *document) mistake(line int, what, hint string) {
	d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: line, What: what, Hint: hint})
}

func (d *document) parse(text []byte) (ast.Node, bool) {
	if len(text) > MaxFile {
		d.mistake(0, fmt.Sprintf("the file is larger than %d KiB", MaxFile>>10), "move long texts into the code of a step")
		return nil, false
	}
	if !utf8.Valid(text) {
		d.mistake(0, "the file is not valid UTF-8", "save it as UTF-8")
		return nil, false
	}
	tokens := lexer.Tokenize(strings.TrimPrefix(string(text), "\ufeff")) // Windows editors put a byte order mark there
	if !d.bounded(tokens) {
		return nil, false
	}
	d.refuseSharing(tokens)
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil, false
	}
	return d.single(parsed)
}

// bounded refuses what would cost the parser too much, by a look at the tokens alone.
func (d *document) bounded(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		d.mistake(0, fmt.Sprintf("the file has more than %d words and signs", maxTokens), "move data into the code of a step")
		return false
	}
	flow := 0
	for _, t := range tokens {
		deep := false
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
			deep = flow > MaxDepth
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			deep = flow == 0 && t.Position.Column > maxColumn
		}
		if deep {
			d.mistake(t.Position.Line, fmt.Sprintf("values are nested more than %d deep", MaxDepth), "")
			return false
		}
	}
	return true
}

// refuseSharing refuses anchors, aliases, merges and tags: a few lines of aliases can stand for gigabytes, and a tag
// can make a text a number behind the reader's back.
func (d *document) refuseSharing(tokens token.Tokens) {
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			d.mistake(t.Position.Line, "anchors, aliases and merges (& * <<) are not read here", "write the value out where it is used; put a text that begins with one of these signs in quotes")
		case token.TagType:
			d.mistake(t.Position.Line, "tags such as "+clip(t.Value)+" are not read here", "leave the tag out, and put a text that looks like a number in quotes")
		case token.DirectiveType:
			d.mistake(t.Position.Line, "directives (%) are not read here", "leave the line out")
		}
	}
}

func (d *document) syntax(err error) {
	var positioned interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &positioned) || positioned.GetToken() == nil {
		d.mistake(0, "this is not YAML", "look for a missing quote, colon or bracket")
		return
	}
	// GetMessage and not Error: the latter draws the source around the place, in quadratic time.
	d.mistake(positioned.GetToken().Position.Line, "this is not YAML: "+clip(positioned.GetMessage()), "look for a missing quote, a wrong indentation or a text with a colon that needs quotes")
}

func (d *document) single(parsed *ast.File) (ast.Node, bool) {
	var roots []ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.DirectiveType {
			roots = append(roots, doc.Body)
		}
	}
	switch len(roots) {
	case 0:
		d.mistake(1, "the file is empty", "")
		return nil, false
	case 1:
		return roots[0], true
	}
	d.mistake(lineOf(roots[1], 1), "a second document (after ---) is not read", "one file holds one document")
	return nil, false
}

func lineOf(node ast.Node, otherwise int) int {
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		node = mapping.Values[0].Key // the node's own token is the first colon
	}
	if node == nil || node.GetToken() == nil {
		return otherwise
	}
	return node.GetToken().Position.Line
}

// clip keeps foreign text in a message short and on one line.
func clip(s string) string {
	const longest = 80
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len([]rune(s)) > longest {
		return string([]rune(s)[:longest]) + "…"
	}
	return s
}
