package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota // of the text
	tokenName
	tokenNumber
	tokenString
	tokenSign
	tokenBad
)

// token is one word or sign of an expression.
type token struct {
	kind       tokenKind
	start, end int
	text       string // as it is written
	value      string // of a string, its content; of a bad token, what is wrong with it
	hint       string // of a bad token
}

// is says whether the token is this sign.
func (t token) is(sign string) bool { return t.kind == tokenSign && t.text == sign }

// named is a name or a string with what it names as its value.
func (t token) named() token {
	if t.kind == tokenName {
		t.value = t.text
	}
	return t
}

// scanner cuts the text of an expression into tokens. It knows every sign of JavaScript, so that a refusal names the
// whole of what was found.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) next() token {
	s.pos = len(s.text) - len(strings.TrimLeftFunc(s.text[s.pos:], isSpace))
	r, _ := utf8.DecodeRuneInString(s.text[s.pos:])
	switch {
	case s.pos == len(s.text):
		return token{kind: tokenEnd, start: s.pos, end: s.pos}
	case isNameStart(r):
		return s.token(tokenName, s.pos+nameLength(s.text[s.pos:]))
	case isDigit(r):
		return s.number()
	case r == '"' || r == '\'':
		return s.quoted(byte(r))
	}
	return s.sign()
}

// token ends the present token at end.
func (s *scanner) token(kind tokenKind, end int) token {
	t := token{kind: kind, start: s.pos, end: end, text: s.text[s.pos:end]}
	s.pos = end
	return t
}

func (s *scanner) bad(end int, what, hint string) token {
	t := s.token(tokenBad, end)
	t.value, t.hint = what, hint
	return t
}

// number takes numbers as JSON writes them.
func (s *scanner) number() token {
	end := s.pos + numberLength(s.text[s.pos:])
	if more := nameLength(s.text[end:]); more > 0 {
		return s.bad(end+more, quoted(s.text[s.pos:end+more])+" is not a number that can be written here", "write it in plain decimal digits")
	}
	return s.token(tokenNumber, end)
}

// quoted takes a text in quotes, which ends on its line.
func (s *scanner) quoted(quote byte) token {
	var value strings.Builder
	for i := s.pos + 1; i < len(s.text) && s.text[i] != '\n' && s.text[i] != '\r'; {
		switch s.text[i] {
		case quote:
			t := s.token(tokenString, i+1)
			t.value = value.String()
			return t
		case '\\':
			r, length := unescape(s.text[i:])
			if length == 0 {
				s.pos = i
				return s.bad(i+1, "there is no such escape in a text", `write \n, \t, \", \', \\ or \u and four hexadecimal digits`)
			}
			value.WriteRune(r)
			i += length
		default:
			value.WriteByte(s.text[i])
			i++
		}
	}
	return s.bad(s.pos+1, "the text that begins here does not end", "end it with "+string(quote)+" on the same line")
}

// sign takes the longest sign of JavaScript.
func (s *scanner) sign() token {
	rest := s.text[s.pos:]
	for _, sign := range [...]string{
		">>>=", "...", "===", "!==", "**=", "<<=", ">>=", "&&=", "||=", "??=", ">>>", "=>", "==", "!=", "<=", ">=", "&&", "||", "??", "?.",
		"++", "--", "**", "<<", ">>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
	} {
		condition := sign == "?." && len(rest) > 2 && isDigit(rune(rest[2])) // a ?.5 : 1
		if strings.HasPrefix(rest, sign) && !condition {
			return s.token(tokenSign, s.pos+len(sign))
		}
	}
	_, length := utf8.DecodeRuneInString(rest)
	return s.token(tokenSign, s.pos+length)
}

// nameLength is how much of the beginning of s consists of letters, digits, $ and _.
func nameLength(s string) int {
	return len(s) - len(strings.TrimLeftFunc(s, func(r rune) bool { return isNameStart(r) || unicode.IsDigit(r) }))
}

func isNameStart(r rune) bool {
	return r == '$' || r == '_' || r != utf8.RuneError && unicode.IsLetter(r)
}

// isName says whether s can be written after a dot.
func isName(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return isNameStart(r) && nameLength(s) == len(s)
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// isSpace is JavaScript's white space and ends of lines, which trim takes away too.
func isSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', ' ', 0xa0, 0x2028, 0x2029, 0xfeff:
		return true
	}
	return r > 0xff && unicode.Is(unicode.Zs, r)
}
