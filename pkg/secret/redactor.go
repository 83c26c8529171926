package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// minLength is the shortest value that is taken out: a shorter one ("1", "true") would hit innocent text, and is no
// secret worth the name.
const minLength = 6

// Redactor replaces known secret values, and their usual encodings, by ***. The zero value replaces nothing.
//
// It is the second line of defence: code that wants to give its own secret away can always encode it in a way that no
// list knows.
type Redactor struct{ replacer *strings.Replacer }

// NewRedactor makes a redactor of these values: as they are, escaped for JSON and for URLs, in base64 (three
// alignments, so that "Basic dXNlcjpzZWNyZXQ=" is found too) and in hexadecimal.
func NewRedactor(secrets ...String) Redactor {
	var forms []string
	for _, s := range secrets {
		if len(s.value) >= minLength {
			forms = append(forms, encodings(s.value)...)
		}
	}
	if len(forms) == 0 {
		return Redactor{}
	}
	// Longest first: a value that is part of another must not spoil the longer match.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, mask)
	}
	return Redactor{strings.NewReplacer(pairs...)}
}

// Text returns the text without the known values.
func (r Redactor) Text(s string) string {
	if r.replacer == nil {
		return s
	}
	return r.replacer.Replace(s)
}

// JSON returns the document without the known values. A valid document stays valid: where a value stood outside of a
// string (a number that equals a secret), it becomes the string "***".
func (r Redactor) JSON(doc []byte) []byte {
	if r.replacer == nil || len(doc) == 0 {
		return doc
	}
	out := []byte(r.replacer.Replace(string(doc)))
	if bytes.Equal(out, doc) || json.Valid(out) || !json.Valid(doc) {
		return out
	}
	return r.walked(doc)
}

func (r Redactor) walked(doc []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return []byte(`"` + mask + `"`)
	}
	out, err := json.Marshal(r.value(value))
	if err != nil {
		return []byte(`"` + mask + `"`)
	}
	return out
}

func (r Redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return r.Text(v)
	case json.Number:
		if text := r.Text(v.String()); text != v.String() {
			return text
		}
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, item := range v {
			clean[r.Text(key)] = r.value(item)
		}
		return clean
	}
	return v
}

func encodings(value string) []string {
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value), hex.EncodeToString([]byte(value))}
	if escaped, err := json.Marshal(value); err == nil {
		forms = append(forms, string(escaped[1:len(escaped)-1]))
	}
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	if enc.Encode(value) == nil {
		forms = append(forms, strings.TrimSpace(raw.String())[1:raw.Len()-2])
	}
	for shift := range 3 {
		forms = append(forms, base64Core(value, shift, base64.RawStdEncoding), base64Core(value, shift, base64.RawURLEncoding))
	}
	forms = slices.DeleteFunc(forms, func(f string) bool { return len(f) < minLength })
	return forms
}

// base64Core is the part of the encoding that does not depend on what stands before the value (at this shift) or
// behind it.
func base64Core(value string, shift int, enc *base64.Encoding) string {
	padded := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + value))
	start := (shift*8 + 5) / 6
	end := (shift + len(value)) * 8 / 6
	if start >= end {
		return ""
	}
	return padded[start:end]
}
