package expr

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape reads the escape at the beginning of s, in a literal of an expression: the character, and how many bytes it
// takes. Zero bytes where there is no such escape.
func unescape(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\'', '\\', '/':
		return rune(s[1]), 2
	case 'x':
		return hexadecimal(s, 2, 2)
	case 'u':
		return unescapeUnicode(s)
	}
	if i := strings.IndexByte("bfnrtv", s[1]); i >= 0 {
		return rune("\b\f\n\r\t\v"[i]), 2
	}
	return 0, 0
}

// unescapeUnicode reads \uXXXX, two of them for a surrogate pair, or \u{X…}.
func unescapeUnicode(s string) (rune, int) {
	if strings.HasPrefix(s, `\u{`) {
		r, end := hexadecimal(s, 3, strings.IndexByte(s, '}')-3)
		if end == 0 || !utf8.ValidRune(r) {
			return 0, 0
		}
		return r, end + 1
	}
	first, length := hexadecimal(s, 2, 4)
	if !utf16.IsSurrogate(first) || !strings.HasPrefix(s[length:], `\u`) {
		return first, length // WriteRune makes U+FFFD of a half alone
	}
	second, more := hexadecimal(s[length:], 2, 4)
	if pair := utf16.DecodeRune(first, second); more > 0 && pair != utf8.RuneError {
		return pair, length + more
	}
	return first, length
}

// hexadecimal reads digits from start on: their number, and where they end. Zero where they are not digits.
func hexadecimal(s string, start, digits int) (rune, int) {
	if digits < 1 || digits > 6 || len(s) < start+digits {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[start:start+digits], 16, 24)
	if err != nil {
		return 0, 0
	}
	return rune(n), start + digits
}

// quoted is s as a literal in a message.
func quoted(s string) string { return `"` + clip(s) + `"` }

// appendQuoted appends s as JSON.stringify writes it. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	return append(appendEscaped(b, s), '"')
}

func appendEscaped(b []byte, s string) []byte {
	copied := 0
	for i := 0; i < len(s); {
		r, length := utf8.DecodeRuneInString(s[i:])
		if broken := r == utf8.RuneError && length == 1; r < ' ' || r == '"' || r == '\\' || broken {
			b = append(b, s[copied:i]...)
			b = appendEscape(b, r)
			copied = i + length
		}
		i += length
	}
	return append(b, s[copied:]...)
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	if r >= ' ' && r != '"' && r != '\\' {
		return utf8.AppendRune(b, r)
	}
	if i := strings.IndexRune("\b\f\n\r\t\"\\", r); i >= 0 {
		return append(b, '\\', `bfnrt"\`[i])
	}
	return append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
}
