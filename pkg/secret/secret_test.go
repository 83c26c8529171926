package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/behalf-dev/behalf/pkg/secret"
)

const canary = `xoxb-canary/"7f3a"+&ü`

func TestNoWayOfPrintingShowsTheValue(t *testing.T) {
	t.Parallel()
	s := secret.New(canary)
	type holder struct {
		S secret.String  `json:"s"`
		P *secret.String `json:"p"`
	}
	h := holder{s, &s}
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	asKey, err := json.Marshal(map[secret.String]int{s: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", h), "%+v": fmt.Sprintf("%+v", h), "%#v": fmt.Sprintf("%#v", h), "%s": fmt.Sprintf("%s", s),
		"%q": fmt.Sprintf("%q", s), "%x": fmt.Sprintf("%x", s), "%d": fmt.Sprintf("%d", s), "%p": fmt.Sprintf("%v", &s),
		"Sprint": fmt.Sprint(s), "JSON": string(asJSON), "JSON key": string(asKey), "error": fmt.Errorf("x: %v", s).Error(),
	} {
		if strings.Contains(text, "canary") || strings.Contains(text, hex.EncodeToString([]byte("canary"))) || !strings.Contains(text, "***") && name != "%p" {
			t.Errorf("%s shows %q", name, text)
		}
	}
}

func TestARequestMayCarryASecretIn(t *testing.T) {
	t.Parallel()
	var s secret.String
	if err := json.Unmarshal([]byte(`"abc"`), &s); err != nil || s.Reveal() != "abc" {
		t.Errorf("got %q, %v", s.Reveal(), err)
	}
}

func TestRedactorFindsTheUsualEncodings(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor(secret.New(canary), secret.New("canary"), secret.New("short"))
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain": "token " + canary, "JSON": string(quoted), "query": url.QueryEscape(canary), "path": url.PathEscape(canary),
		"hexadecimal": hex.EncodeToString([]byte(canary)), "base64": base64.StdEncoding.EncodeToString([]byte(canary)),
		"basic auth":  base64.StdEncoding.EncodeToString([]byte("user:" + canary)),
		"basic auth'": base64.StdEncoding.EncodeToString([]byte("user1:" + canary + "x")),
	} {
		if got := r.Text(text); !strings.Contains(got, "***") || strings.Contains(got, "canary") {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := r.Text("a short word"); got != "a short word" {
		t.Errorf("took out a value below the least length: %q", got)
	}
}

func TestRedactedJSONStaysValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringN(6, 40, 200).Draw(t, "secret")
		before := rapid.String().Draw(t, "before")
		doc, err := json.Marshal(map[string]any{"a": before + value, "n": 1})
		if err != nil {
			t.Fatal(err)
		}
		out := secret.NewRedactor(secret.New(value)).JSON(doc)
		if !json.Valid(out) {
			t.Fatalf("%s became %s", doc, out)
		}
	})
}

func TestASecretOutsideOfAStringLeavesValidJSON(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor(secret.New("12345678"), secret.New(`1,"b":2`))
	got := r.JSON([]byte(`{"a":12345678,"c":[1,12345678],"x":{"a":1,"b":2}}`))
	if !json.Valid(got) || strings.Contains(string(got), "12345678") {
		t.Errorf("got %s", got)
	}
}

func ExampleString() {
	s := secret.New("xoxb-1")
	fmt.Printf("%v %s %#v\n", s, s, s)
	// Output: *** *** ***
}

func ExampleRedactor() {
	r := secret.NewRedactor(secret.New("xoxb-very-secret"))
	fmt.Println(r.Text("401 for Bearer xoxb-very-secret"))
	// Output: 401 for Bearer ***
}
