// Package secret holds values that must not be seen: a string that prints *** everywhere, and the redactor that takes
// known values out of what a run leaves behind.
//
// It never stores a secret and never decides who may have one.
package secret

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
)

const mask = "***"

// String is a secret value. Every way of printing or encoding it gives ***; Reveal is the one way to its value, and is
// easy to find by search.
type String struct{ value string }

// New makes a secret of a value.
func New(value string) String { return String{value} }

// Reveal returns the value itself.
func (s String) Reveal() string { return s.value }

// IsZero says whether there is no value, so that `omitzero` works.
func (s String) IsZero() bool { return s.value == "" }

// Equal compares two secrets in constant time.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(other.value)) == 1
}

// String gives ***.
func (s String) String() string { return mask }

// GoString gives ***, for %#v.
func (s String) GoString() string { return mask }

// Format gives *** for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// MarshalText gives ***, for JSON keys, YAML and text encoders.
func (s String) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON gives "***".
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// UnmarshalJSON reads a value, so that a request may carry a secret in.
func (s *String) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.value) }
