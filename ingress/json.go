package ingress

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not valid UTF-8 become U+FFFD, so that the result is valid
// whatever came.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain(c) {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))])); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, c)
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// quotedSize is how many bytes a text takes at most that appendString appends.
func quotedSize[S string | []byte](text S) int {
	size := len(text) + len(`""`)
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ':
			size += len(`\u0000`) - 1
		case c == '"' || c == '\\':
			size++
		case c >= utf8.RuneSelf: // where it is none, three bytes stand for it
			size += 2
		}
	}
	return size
}

// appendLatin1 appends what stands between the quotes of a JSON string, each byte read as the character of its number,
// as browsers and Node read the values of headers. No byte is lost.
func appendLatin1(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case plain(c):
			dst = append(dst, c)
		case c >= utf8.RuneSelf:
			dst = utf8.AppendRune(dst, rune(c))
		default:
			dst = appendEscaped(dst, c)
		}
	}
	return dst
}

// appendLower appends the name of a header as a JSON string, lower-cased.
func appendLower(dst []byte, name string) []byte {
	dst = append(dst, '"')
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case plain(c):
			dst = append(dst, c)
		case c >= utf8.RuneSelf:
			dst = utf8.AppendRune(dst, rune(c))
		default:
			dst = appendEscaped(dst, c)
		}
	}
	return append(dst, '"')
}

func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// appendEscaped appends the escape of a byte that may not stand in a JSON string: a quote, a backslash, a control
// character, or one that is no UTF-8.
func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c >= utf8.RuneSelf {
		return append(dst, "\ufffd"...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// tooDeep says whether arrays and objects are nested deeper than limit. It counts brackets outside of strings, so it
// is right for valid JSON and harmless for everything else.
func tooDeep(doc []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
