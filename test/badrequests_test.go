//go:build integration

package test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
)

// badHTTP sends requests that no client of ours writes to the workflow, to the token endpoint and to a route of
// management, each in the open and over TLS. LINE in them is the method and target of each.
func badHTTP(t *testing.T, b *badWorld) {
	t.Helper()
	const host, length, chunked = "Host: x\r\n", "Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"
	refused := says{400, ""}
	for _, r := range []struct {
		name, text             string
		ingress, token, manage says
	}{
		{"as it should be", "LINE HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", taken, badToken, wrong},
		{"chunked and a length", "LINE HTTP/1.1\r\n" + host + length + chunked + "AUTH\r\n2\r\n{}\r\n0\r\n\r\n", taken, badToken, wrong},
		{"two codings", "LINE HTTP/1.1\r\n" + host + chunked + "Transfer-Encoding: gzip\r\nAUTH\r\n2\r\n{}\r\n0\r\n\r\n", refused, refused, refused},
		{"two lengths", "LINE HTTP/1.1\r\n" + host + length + "Content-Length: 3\r\nAUTH\r\n{} ", refused, refused, refused},
		{"a length with a sign", "LINE HTTP/1.1\r\n" + host + "Content-Length: +5\r\nAUTH\r\n{\"\":}", refused, refused, refused},
		{"a length below zero", "LINE HTTP/1.1\r\n" + host + "Content-Length: -1\r\nAUTH\r\n{}", refused, refused, refused},
		{"a length without end", "LINE HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\nAUTH\r\n{}", refused, refused, refused},
		{"an unknown coding", "LINE HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\nAUTH\r\n{}", refused, refused, refused},
		{"a coding with a tab", "LINE HTTP/1.1\r\n" + host + "Transfer-Encoding:\tchunked\r\nAUTH\r\n2\r\n{}\r\n0\r\n\r\n", taken, badToken, wrong},
		{"an extension of 64 KiB", "LINE HTTP/1.1\r\n" + host + chunked + "AUTH\r\n2;x=" + strings.Repeat("x", 64<<10) + "\r\n{}\r\n0\r\n\r\n", unclear, badToken, wrong},
		{"a chunk that is no number", "LINE HTTP/1.1\r\n" + host + chunked + "AUTH\r\nzz\r\n{}\r\n0\r\n\r\n", unclear, badToken, wrong},
		{"a chunk without end", "LINE HTTP/1.1\r\n" + host + chunked + "AUTH\r\nfffffffffffffffff\r\n{}", unclear, badToken, wrong},
		{"an absolute URI", "ABSOLUTE HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", taken, badToken, wrong},
		{"no host", "LINE HTTP/1.1\r\n" + length + "AUTH\r\n{}", refused, refused, refused},
		{"two hosts", "LINE HTTP/1.1\r\n" + host + "Host: y\r\n" + length + "AUTH\r\n{}", refused, refused, refused},
		{"a host that is none", "LINE HTTP/1.1\r\nHost: x/../y\r\n" + length + "AUTH\r\n{}", refused, refused, refused},
		{"another method in a header", "LINE HTTP/1.1\r\n" + host + length + "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: GET\r\nAUTH\r\n{}", taken, badToken, wrong},
		{"an expectation of another kind", "LINE HTTP/1.1\r\n" + host + length + "Expect: a-miracle\r\nAUTH\r\n{}", says{417, ""}, says{417, ""}, says{417, ""}},
		{"HTTP/0.9", "LINE\r\n", refused, refused, refused},
		{"HTTP/0.9, by name", "LINE HTTP/0.9\r\n\r\n", refused, refused, refused},
		{"HTTP/1.0", "LINE HTTP/1.0\r\n" + length + "AUTH\r\n{}", taken, badToken, wrong},
		{"HTTP/3.0", "LINE HTTP/3.0\r\n" + host + length + "AUTH\r\n{}", refused, refused, refused},
		{"HTTP/2 without TLS, reset rapidly", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames(4, 0, 0, "") + rapidReset(), nowhere, noRoute, noRoute},
		{"a flood of CONTINUATION", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames(4, 0, 0, "") + frames(1, 0, 1, "") + strings.Repeat(frames(9, 0, 1, strings.Repeat("\x00", 1000)), 50), nowhere, noRoute, noRoute},
		{"100,000 cookies", "LINE HTTP/1.1\r\n" + host + length + "Cookie: " + strings.Repeat("a=b; ", 100_000) + "\r\nAUTH\r\n{}", headers, headers, headers},
		{"headers of 33 KiB", "LINE HTTP/1.1\r\n" + host + length + "X-A: " + strings.Repeat("a", 33<<10) + "\r\nAUTH\r\n{}", headers, headers, headers},
		{"a target of 64 KiB", "LINE" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", headers, headers, headers},
		{"a folded header", "LINE HTTP/1.1\r\n" + host + length + "X-A: a\r\n b\r\nAUTH\r\n{}", taken, badToken, wrong},
		{"a space before the colon", "LINE HTTP/1.1\r\n" + host + "Content-Length : 2\r\nAUTH\r\n{}", refused, refused, refused},
		{"NUL in a header", "LINE HTTP/1.1\r\n" + host + length + "X-A: a\x00b\r\nAUTH\r\n{}", refused, refused, refused},
		{"a double slash", "SLASHES HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", nowhere, noRoute, noRoute},
		{"an escaped dot", "DOT HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", nowhere, noRoute, noRoute},
		{"a semicolon", "LINE;x HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", nowhere, noRoute, noRoute},
		{"an escape that is none", "LINE%zz HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", refused, refused, refused},
		{"a method in lower case", "LOWER HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", taken, says{405, "method_not_allowed"}, says{405, "method_not_allowed"}},
		{"a method that is none", "P(ST / HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", refused, refused, refused},
		{"no target", " HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", refused, refused, refused},
		{"a target that is a star", "POST * HTTP/1.1\r\n" + host + length + "AUTH\r\n{}", nowhere, noRoute, noRoute},
	} {
		for _, to := range []struct {
			name, base, target string
			want               says
		}{
			{"to a workflow", b.file.IngressURL, b.target(), r.ingress},
			{"for a token", b.apiURL, "/v1/oauth/token", r.token},
			{"for an account", b.apiURL, "/v1/accounts", r.manage},
			{"to a workflow over TLS", b.secured.ingress, b.target(), r.ingress},
			{"for a token over TLS", b.secured.api, "/v1/oauth/token", r.token},
			{"for an account over TLS", b.secured.api, "/v1/accounts", r.manage},
		} {
			auth := "Authorization: Bearer " + b.token + "\r\n"
			if strings.HasPrefix(to.name, "for a token") {
				auth = ""
			}
			text := strings.NewReplacer(
				"LINE", "POST "+to.target, "ABSOLUTE", "POST http://elsewhere"+to.target, "SLASHES", "POST /"+to.target,
				"DOT", "POST /%2e"+to.target, "LOWER", "post "+to.target, "AUTH\r\n", "X-Pd-Environment: development\r\n"+asJSON+"\r\n"+auth+"\r\n",
			).Replace(r.text)
			b.expect(t, r.name+", "+to.name, to.base, text, to.want)
		}
	}
	neverFollowed(t, b)
}

// neverFollowed asks whether it may send its body, and never does.
func neverFollowed(t *testing.T, b *badWorld) {
	t.Helper()
	head := func(target, auth string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\nX-Pd-Environment: development\r\n" + asJSON + "\r\n" + auth + "\r\n"
	}
	auth := "Authorization: Bearer " + b.token + "\r\n"
	var all sync.WaitGroup // each waits for as long as the server does
	for name, r := range map[string]struct {
		base, text string
		want       says
	}{
		"a workflow": {b.file.IngressURL, head(b.target(), auth), unclear},
		"a token":    {b.apiURL, head("/v1/oauth/token", ""), badToken},
		"an account": {b.apiURL, head("/v1/accounts", auth), wrong},
	} {
		all.Go(func() {
			if got, body := b.raw(t, r.base, r.text); got != r.want {
				t.Errorf("100-continue never followed, for %s: %v %s", name, got, body)
			}
		})
	}
	all.Wait()
	if after := b.counts(t); !maps.Equal(after, b.before) {
		t.Errorf("100-continue never followed: stored %v, before %v", after, b.before)
	}
}

// frames is one frame of HTTP/2.
func frames(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

func rapidReset() string {
	var all strings.Builder
	for i := range uint32(500) {
		stream := 2*i + 1
		all.WriteString(frames(1, 5, stream, "\x82\x86\x84\x41\x01x") + frames(3, 0, stream, "\x00\x00\x00\x08"))
	}
	return all.String()
}

type object = map[string]any

// forge signs tokens with a key that Behalf trusts, so that nothing but their words speaks against them.
type forge struct {
	key     ed25519.PrivateKey
	header  object
	payload object
}

func newForge(t *testing.T, b *badWorld) forge {
	t.Helper()
	key := auth.NewKey()
	signer := must(auth.NewSigner(auth.Config{}, key))(t)
	for _, s := range b.stores() {
		if err := s.PutPublicKey(t.Context(), signer.KeyID(), signer.PublicKey()); err != nil {
			t.Fatal(err)
		}
	}
	b.before = b.counts(t)
	now := time.Now().Unix()
	return forge{
		key:    ed25519.NewKeyFromSeed(must(base64.RawURLEncoding.DecodeString(key.Reveal()))(t)),
		header: object{"alg": "EdDSA", "typ": "at+jwt", "kid": signer.KeyID()},
		payload: object{
			"iss": "behalf", "aud": "behalf", "sub": b.file.ClientID, "project": b.file.ProjectID, "scope": "connect invoke manage",
			"env": behalf.Environments(), "gen": 1, "iat": now, "exp": now + 3600, "jti": "1",
		},
	}
}

// with changes words of a token; nil takes one out.
func with(base object, name string, value any) object {
	out := maps.Clone(base)
	out[name] = value
	if value == nil {
		delete(out, name)
	}
	return out
}

func (f forge) unsigned(t *testing.T, header, payload object) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	return b64(must(json.Marshal(header))(t)) + "." + b64(must(json.Marshal(payload))(t))
}

func (f forge) sign(t *testing.T, header, payload object) string {
	t.Helper()
	text := f.unsigned(t, header, payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(f.key, []byte(text)))
}

// badTokens sends tokens to the workflow and to a route of management.
func badTokens(t *testing.T, b *badWorld) {
	t.Helper()
	f := newForge(t, b)
	now := time.Now().Unix()
	bearer := func(token string) []string { return []string{"Authorization: Bearer " + token} }
	header := func(name string, value any) []string {
		return bearer(f.sign(t, with(f.header, name, value), f.payload))
	}
	word := func(name string, value any) []string {
		return bearer(f.sign(t, f.header, with(f.payload, name, value)))
	}
	public, _ := f.key.Public().(ed25519.PublicKey)
	mac := hmac.New(sha256.New, public)
	hs := f.unsigned(t, with(f.header, "alg", "HS256"), f.payload)
	mac.Write([]byte(hs))
	none := func(alg string) []string { return bearer(f.unsigned(t, with(f.header, "alg", alg), f.payload) + ".") }
	good := f.sign(t, f.header, f.payload)
	development := f.sign(t, f.header, with(f.payload, "env", []string{"development"}))
	forbidden := says{403, "forbidden"}
	production := "X-Pd-Environment: production"
	rows := []struct {
		name            string
		lines           []string
		ingress, manage says
	}{
		{"a good one of the forge", bearer(good), taken, taken},
		{"no token", nil, unknown, unknown},
		{"alg none", none("none"), unknown, unknown},
		{"alg None", none("None"), unknown, unknown},
		{"alg nOnE", none("nOnE"), unknown, unknown},
		{"HS256 with the public key", bearer(hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))), unknown, unknown},
		{"a kid that is a path", header("kid", "../../etc/passwd"), unknown, unknown},
		{"a kid that is SQL", header("kid", "x' OR '1'='1"), unknown, unknown},
		{"a kid that is a subject", header("kid", ">"), unknown, unknown},
		{"a kid that is a number", header("kid", 1), unknown, unknown},
		{"an unknown kid and a jku", bearer(f.sign(t, object{"alg": "EdDSA", "typ": "at+jwt", "kid": "evil", "jku": "http://127.0.0.1:1/jwks"}, f.payload)), unknown, unknown},
		{"an audience that is a list", word("aud", []string{"behalf", "evil"}), unknown, unknown},
		{"an audience that is longer", word("aud", "behalf-evil"), unknown, unknown},
		{"an audience that is shorter", word("aud", "beha"), unknown, unknown},
		{"an issuer with a slash", word("iss", "behalf/"), unknown, unknown},
		{"an end that is text", word("exp", fmt.Sprint(now+3600)), unknown, unknown},
		{"an end that is a fraction", word("exp", float64(now)+3600.5), unknown, unknown},
		{"no end", word("exp", nil), unknown, unknown},
		{"an end of 2^63", word("exp", uint64(1)<<63), unknown, unknown},
		{"an end that is over", word("exp", now-3600), unknown, unknown},
		{"a beginning to come", word("nbf", now+3600), unknown, unknown},
		{"another type", header("typ", "JWT"), unknown, unknown},
		{"another generation", word("gen", 2), unknown, unknown},
		{"an empty signature", bearer(f.unsigned(t, f.header, f.payload) + "."), unknown, unknown},
		{"1 MB", bearer(strings.Repeat("a", 1_000_000)), headers, headers},
		{"20 KiB", bearer(strings.Repeat("a", 20<<10)), unknown, unknown},
		{"two Authorization headers", append(bearer(good), bearer(good)...), unknown, unknown},
		{"bearer in lower case", []string{"authorization: bearer " + good}, taken, taken},
		{"BEARER in upper case", []string{"AUTHORIZATION: BEARER " + good}, taken, taken},
		{"a tab between", []string{"Authorization: Bearer\t" + good}, unknown, unknown},
		{"another scheme", []string{"Authorization: Basic " + good}, unknown, unknown},
		{"a comma behind", bearer(good + ","), unknown, unknown},
		{"development's token in production", append(bearer(development), production), says{404, "endpoint_not_found"}, forbidden},
	}
	for _, r := range rows {
		environment := "X-Pd-Environment: development"
		if len(r.lines) > 0 && r.lines[len(r.lines)-1] == production {
			environment = ""
		}
		lines := strings.Join(append(r.lines, environment), "\r\n")
		spell := func(method, target string) string {
			return method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" + asJSON + "\r\n" + strings.Trim(lines, "\r\n") + "\r\n\r\n{}"
		}
		b.expect(t, r.name+", to a workflow", b.file.IngressURL, spell("POST", b.target()), r.ingress)
		b.expect(t, r.name+", for the runs", b.apiURL, spell("GET", "/v1/runs"), r.manage)
	}
}
