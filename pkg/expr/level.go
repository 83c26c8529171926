package expr

import "bytes"

// open reads one level of a node of the document: where its names and values begin. What lies deeper is only skipped,
// by its quotes and brackets.
func (n *node) open(s *scope) error {
	if n.read {
		return nil
	}
	if err := s.spend(len(n.raw)); err != nil {
		return err
	}
	if n.read = n.level(); !n.read {
		n.keys, n.starts = nil, nil
		return broken()
	}
	return nil
}

// usual is how many values a list or object has room for at first.
const usual = 8

func (n *node) level() bool {
	if len(n.raw) < 2 || n.raw[0] != '{' && n.raw[0] != '[' {
		return false
	}
	if n.starts = make([]int, 0, usual); n.raw[0] == '{' {
		n.keys = make([]int, 0, usual)
	}
	closing := n.raw[0] + 2 // in ASCII, for braces and brackets alike
	at := skipSpace(n.raw, 1)
	if at < len(n.raw) && n.raw[at] == closing {
		return at == len(n.raw)-1
	}
	for ok := true; ok; at = skipSpace(n.raw, at+1) {
		if at, ok = n.entry(at); !ok || at == len(n.raw) {
			return false
		}
		if n.raw[at] != ',' {
			return n.raw[at] == closing && at == len(n.raw)-1
		}
	}
	return false
}

// entry reads a value, of an object with its name before it, and gives the place of what follows.
func (n *node) entry(at int) (int, bool) {
	if n.raw[0] == '{' {
		end, ok := skipText(n.raw, at)
		if !ok {
			return 0, false
		}
		n.keys = append(n.keys, at)
		n.escaped = n.escaped || bytes.IndexByte(n.raw[at:end], '\\') >= 0
		at = skipSpace(n.raw, end)
		if at == len(n.raw) || n.raw[at] != ':' {
			return 0, false
		}
		at = skipSpace(n.raw, at+1)
	}
	n.starts = append(n.starts, at)
	end, ok := skipValue(n.raw, at)
	return skipSpace(n.raw, end), ok
}

// skipValue gives the place after the value at a place.
func skipValue(raw []byte, at int) (int, bool) {
	if at == len(raw) {
		return 0, false
	}
	switch raw[at] {
	case '"':
		return skipText(raw, at)
	case '{', '[':
		return skipNested(raw, at)
	}
	end := at
	for end < len(raw) && raw[end] != ',' && raw[end] != ']' && raw[end] != '}' && !isJSONSpace(raw[end]) {
		end++
	}
	return end, end > at
}

func skipNested(raw []byte, at int) (int, bool) {
	for depth := 0; at < len(raw); at++ {
		switch raw[at] {
		case '"':
			end, ok := skipText(raw, at)
			if !ok {
				return 0, false
			}
			at = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1, true
			}
		}
	}
	return 0, false
}

// skipText gives the place after the text at a place, which begins with its quote.
func skipText(raw []byte, at int) (int, bool) {
	if at == len(raw) || raw[at] != '"' {
		return 0, false
	}
	for end := at + 1; ; end++ {
		length := bytes.IndexByte(raw[end:], '"')
		if length < 0 {
			return 0, false
		}
		end += length
		if raw[end-1] != '\\' || !escaped(raw[at+1:end]) {
			return end + 1, true
		}
	}
}

// escaped says whether what follows a text is escaped by it: an even number of backslashes escape each other.
func escaped(before []byte) bool {
	return (len(before)-len(bytes.TrimRight(before, `\`)))%2 != 0
}

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && isJSONSpace(raw[at]) {
		at++
	}
	return at
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func trimJSON(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }
