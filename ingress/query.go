package ingress

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

type parameter struct {
	key, value string
	// json says that the value is JSON, and not a text.
	json bool
}

// appendQuery appends a query string as a JSON object: one value as a string, a repeated key as an array of strings in
// the order they came. What is no valid escape of UTF-8 stays as it was written, so nothing is dropped.
func appendQuery(dst []byte, raw string) []byte {
	if raw == "" {
		return append(dst, "{}"...)
	}
	return appendParameters(dst, parseQuery(raw))
}

// appendParameters appends them as an object, sorted by their keys.
func appendParameters(dst []byte, parameters []parameter) []byte {
	slices.SortStableFunc(parameters, func(a, b parameter) int { return strings.Compare(a.key, b.key) })
	dst = append(dst, '{')
	for i := 0; i < len(parameters); {
		key, next := parameters[i].key, i+1
		for next < len(parameters) && parameters[next].key == key {
			next++
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key), ':')
		dst = appendValues(dst, parameters[i:next])
		i = next
	}
	return append(dst, '}')
}

func appendValues(dst []byte, same []parameter) []byte {
	if len(same) == 1 {
		return same[0].append(dst)
	}
	for i, p := range same {
		dst = append(dst, "[,"[min(i, 1)])
		dst = p.append(dst)
	}
	return append(dst, ']')
}

func (p parameter) append(dst []byte) []byte {
	if p.json {
		return append(dst, p.value...)
	}
	return appendString(dst, p.value)
}

func parseQuery(raw string) []parameter {
	parameters := make([]parameter, 0, 1+strings.Count(raw, "&"))
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		parameters = append(parameters, parameter{key: unescaped(key), value: unescaped(value)})
	}
	return parameters
}

// inQuery are the values of one parameter, whatever the case of its name: clients send in the query what others send in
// headers.
func inQuery(raw, name string) []string {
	var values []string
	for pair := range strings.SplitSeq(raw, "&") {
		if key, value, _ := strings.Cut(pair, "="); strings.EqualFold(unescaped(key), name) {
			values = append(values, unescaped(value))
		}
	}
	return values
}

func unescaped(s string) string {
	if out, err := url.QueryUnescape(s); err == nil && utf8.ValidString(out) {
		return out
	}
	return s
}
