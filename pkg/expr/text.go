package expr

import (
	"cmp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Texts are UTF-8 here and UTF-16 in JavaScript. What follows counts, cuts and compares as JavaScript does.

// units is the length of a text.
func units(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// cut is the part of a text from one unit up to another. Half of a surrogate pair becomes U+FFFD.
func cut(text string, from, to int) string {
	var b strings.Builder
	at := 0
	for _, r := range text {
		if at >= to {
			break
		}
		length := utf16.RuneLen(r)
		switch inside := min(at+length, to) - max(at, from); {
		case inside == length:
			b.WriteRune(r)
		case inside > 0:
			b.WriteRune(utf8.RuneError)
		}
		at += length
	}
	return b.String()
}

// compareText orders texts by their units, which puts characters beyond the basic plane before U+E000.
func compareText(a, b string) int {
	for a != "" && b != "" {
		first, length := utf8.DecodeRuneInString(a)
		second, _ := utf8.DecodeRuneInString(b)
		if first != second {
			return cmp.Compare(rank(first), rank(second))
		}
		a, b = a[length:], b[length:]
	}
	return cmp.Compare(len(a), len(b))
}

func rank(r rune) rune {
	if r >= 0xe000 && r <= 0xffff {
		return r + utf8.MaxRune
	}
	return r
}

// toUpper is Unicode's simple mapping, and ß, which has none.
func toUpper(text string) string { return strings.ToUpper(strings.ReplaceAll(text, "ß", "SS")) }

// encodeURIComponent is JavaScript's: UTF-8, percent-encoded but for the unreserved characters of RFC 2396.
func encodeURIComponent(text string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		c := text[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if letter || isDigit(rune(c)) || strings.IndexByte("-_.!~*'()", c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
