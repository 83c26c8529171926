package behalf_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestParseExternalUserID(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		id string
		ok bool
	}{
		"a plain one":                      {"abc-123", true},
		"one character":                    {"a", true},
		"250 characters":                   {strings.Repeat("a", 250), true},
		"250 characters of many bytes":     {strings.Repeat("\U0001F600", 250), true},
		"an address":                       {"Jörg+x@example.com", true},
		"what NATS takes for more":         {"a.b.*.>", true},
		"spaces":                           {" a b ", true},
		"a path":                           {"../../etc/passwd", true},
		"nothing":                          {"", false},
		"251 characters":                   {strings.Repeat("a", 251), false},
		"a line break":                     {"a\nb", false},
		"a return":                         {"a\rb", false},
		"a zero":                           {"a\x00b", false},
		"a delete":                         {"a\x7fb", false},
		"a control character above latin1": {"a\u0085b", false},
		"no UTF-8":                         {"a\xff", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := behalf.ParseExternalUserID(c.id)
			if c.ok != (err == nil) || err == nil && string(id) != c.id || err != nil && !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q, %v", id, err)
			}
		})
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	if got := behalf.ExternalUserID("").Hash(); got != "-" {
		t.Errorf("nobody hashes to %q", got)
	}
	a, b := behalf.ExternalUserID("a.b"), behalf.ExternalUserID("a_b")
	if len(a.Hash()) != 32 || !isToken(a.Hash()) || a.Hash() == b.Hash() {
		t.Errorf("%s and %s", a.Hash(), b.Hash())
	}
}

func FuzzParseExternalUserID(f *testing.F) {
	f.Add("abc-123")
	f.Add("a\xff")
	f.Add("\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := behalf.ParseExternalUserID(s)
		if err != nil {
			return
		}
		if string(id) != s || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") || !isToken(id.Hash()) {
			t.Errorf("%q is taken", s)
		}
	})
}
