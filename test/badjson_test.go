//go:build integration

package test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

var media = says{415, "unsupported_media_type"}

func badJSON(t *testing.T, b *badWorld) {
	t.Helper()
	ask := func(more string) string {
		return strings.TrimSuffix(b.tokenBody("oac_nobody"), "}") + more + "}"
	}
	account := func(more string) string { return `{"app":"slack","credential":{"token":"x"}` + more + "}" }
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	var keys strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&keys, `,"k%d":1`, i)
	}
	rows := []struct {
		name           string
		body, ask, new string // of each of the three; body for all where the others are empty
		lines          []string
		ingress        says
		token, account says
	}{
		{"empty", "", "", "", nil, taken, badToken, wrong},
		{"null", "null", "", "", nil, taken, badToken, wrong},
		{"a list", "[]", "", "", nil, taken, badToken, wrong},
		{"half a string", `"`, "", "", nil, taken, badToken, wrong},
		{"a number without end", `{"a":1e309}`, ask(`,"a":1e309`), account(`,"name":1e309`), nil, taken, badClient, wrong},
		{"minus zero", `{"a":-0}`, ask(`,"a":-0`), account(`,"own":-0`), nil, taken, badClient, wrong},
		{"no number", `{"a":NaN}`, ask(`,"a":NaN`), account(`,"a":NaN`), nil, taken, badToken, wrong},
		{"2^53+1", `{"a":9007199254740993}`, ask(`,"a":9007199254740993`), account(`,"name":9007199254740993`), nil, taken, badClient, wrong},
		{"deep", deep, "", "", nil, unclear, badToken, wrong},
		{"deep, within", `{"a":` + deep + `}`, ask(`,"a":` + deep), account(`,"a":` + deep), nil, unclear, badToken, wrong},
		{"a key twice", `{"a":1,"a":2}`, ask(`,"client_id":"oac_other"`), account(`,"app":"nothing"`), nil, taken, badClient, wrong},
		{"a byte order mark", "\ufeff{}", "\ufeff" + ask(""), "\ufeff" + account(""), nil, taken, badToken, wrong},
		{"UTF-16", sixteen(`{"a":1}`), sixteen(ask("")), sixteen(account("")), nil, taken, badToken, wrong},
		{"UTF-16, declared", sixteen(`{"a":1}`), sixteen(ask("")), sixteen(account("")), []string{asJSON + "; charset=utf-16"}, unclear, badToken, media},
		{"lone surrogates", `{"a":"\ud800"}`, ask(`,"a":"\ud800"`), account(`,"user":"\ud800\u0000"`), nil, taken, badClient, wrong},
		{"garbage behind", `{} x`, ask("") + " x", account("") + " x", nil, taken, badToken, wrong},
		{"two values", `{}{}`, ask("") + "{}", account("") + "{}", nil, taken, badToken, wrong},
		{"a key of 1 MiB", `{"` + strings.Repeat("k", 1<<20) + `":1}`, ask(`,"` + strings.Repeat("k", 1<<20) + `":1`), account(`,"` + strings.Repeat("k", 1<<20) + `":1`), nil, taken, badToken, large},
		{"100,000 keys", `{"a":1` + keys.String() + `}`, ask(keys.String()), account(keys.String()), nil, taken, badToken, large},
		{"a bomb of gzip", bomb(t), "", "", []string{asJSON, "Content-Encoding: gzip"}, large, badToken, media},
		{"a bomb of zstd", "\x28\xb5\x2f\xfd\xa4\x00\x00\x00\x40", "", "", []string{asJSON, "Content-Encoding: zstd"}, unclear, badToken, media},
		{"another content type", `{"a":1}`, ask(""), account(""), []string{"Content-Type: text/plain"}, taken, badToken, media},
		{"multipart that poses as JSON", "--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"../../etc/passwd\"\r\n\r\nx\r\n--x--\r\n", "", "", nil, taken, badToken, wrong},
		{"JSON that poses as multipart", `{"files":[{"filepath":"/etc/passwd"}]}`, "", "", []string{"Content-Type: multipart/form-data; boundary=x"}, unclear, badToken, media},
		{"a charset that is none", `{"a":1}`, ask(""), account(""), []string{asJSON + "; charset=../../etc/passwd"}, taken, badToken, media}, // it names none that can be read,
		{"a charset in quotes", `{"a":1}`, ask(""), account(""), []string{asJSON + `; charset="utf-7"`}, unclear, badToken, media},
		{"a content type twice", `{"a":1}`, ask(""), account(""), []string{asJSON, "Content-Type: text/plain"}, unclear, badClient, wrong},
		{"a prototype", `{"__proto__":{"x":1},"constructor":{"prototype":{}}}`, ask(`,"__proto__":{"grant_type":"x"}`), account(`,"__proto__":{"own":true}`), nil, taken, badClient, wrong},
	}
	for _, r := range rows {
		lines := r.lines
		if lines == nil {
			lines = []string{asJSON}
		}
		if r.ask == "" {
			r.ask, r.new = r.body, r.body
		}
		b.expect(t, r.name+", to a workflow", b.file.IngressURL, b.spell("POST", b.target(), r.body, lines...), r.ingress)
		b.expect(t, r.name+", for a token", b.apiURL, b.spellAs("", "POST", "/v1/oauth/token", r.ask, lines...), r.token)
		b.expect(t, r.name+", for an account", b.apiURL, b.spell("POST", "/v1/accounts", r.new, lines...), r.account)
	}
}

// sixteen is a text in UTF-16, with the mark of its byte order.
func sixteen(text string) string {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	return string(out)
}

// bomb is 64 MiB of spaces, packed into 64 KiB.
func bomb(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	chunk := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}
