package auth_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/secret"
)

type object = map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encode(tb testing.TB, v any) string {
	tb.Helper()
	if raw, ok := v.(string); ok {
		return b64([]byte(raw))
	}
	doc, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b64(doc)
}

// forge is everything that a forger has: the public key, a key of their own, and good tokens. For the worst case it
// signs with our own key, too.
type forge struct {
	tb      testing.TB
	w       world
	ours    ed25519.PrivateKey
	theirs  ed25519.PrivateKey
	public  ed25519.PublicKey
	good    string
	header  object
	payload object
}

func newForge(tb testing.TB) forge {
	tb.Helper()
	w := newWorld(tb)
	seed, err := base64.RawURLEncoding.DecodeString(w.key.Reveal())
	if err != nil {
		tb.Fatal(err)
	}
	_, theirs, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now().Unix()
	return forge{
		tb: tb, w: w, ours: ed25519.NewKeyFromSeed(seed), theirs: theirs, public: w.signer.PublicKey(),
		good:   w.token(tb, identityOf(aClient())).Reveal(),
		header: object{"alg": "EdDSA", "typ": "at+jwt", "kid": w.signer.KeyID()},
		payload: object{
			"iss": "behalf", "aud": "behalf", "sub": client, "project": project, "scope": "connect invoke manage",
			"env": behalf.Environments(), "gen": 3, "iat": now, "exp": now + 3600, "jti": "1",
		},
	}
}

// with changes claims or headers; a nil value takes one out.
func with(base, changes object) object {
	out := maps.Clone(base)
	for name, value := range changes {
		out[name] = value
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

// sign makes a token of any header and any payload with our own key.
func (f forge) sign(header, payload any) string {
	text := encode(f.tb, header) + "." + encode(f.tb, payload)
	return text + "." + b64(ed25519.Sign(f.ours, []byte(text)))
}

func (f forge) claim(changes object) string { return f.sign(f.header, with(f.payload, changes)) }

func (f forge) head(changes object) string { return f.sign(with(f.header, changes), f.payload) }

func (f forge) mac(key []byte, header object) string {
	text := encode(f.tb, header) + "." + encode(f.tb, f.payload)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + b64(mac.Sum(nil))
}

func (f forge) foreign(header object) string {
	text := encode(f.tb, header) + "." + encode(f.tb, f.payload)
	return text + "." + b64(ed25519.Sign(f.theirs, []byte(text)))
}

func (f forge) part(i int) string { return strings.Split(f.good, ".")[i] }

// badTokens is the list. Most are signed with our own key: what they hold must be refused for itself.
func (f forge) badTokens() map[string]string {
	now := time.Now().Unix()
	raw := func(old, fresh string) string {
		doc, err := json.Marshal(f.payload)
		if err != nil {
			f.tb.Fatal(err)
		}
		changed := strings.Replace(string(doc), old, fresh, 1)
		if changed == string(doc) {
			f.tb.Fatalf("%s is not in %s", old, doc)
		}
		return f.sign(f.header, changed)
	}
	exp := `"exp":` + jsonNumber(now+3600)
	bad := map[string]string{
		"empty":                              "",
		"one dot":                            ".",
		"two dots":                           "..",
		"words":                              "not a token",
		"two parts":                          f.part(0) + "." + f.part(1),
		"four parts":                         f.good + "." + f.part(2),
		"five parts, as of an encrypted one": f.good + ".a.b",
		"1 MB of a":                          strings.Repeat("a", 1<<20),
		"1 MB with dots":                     strings.Repeat("a.", 1<<19),
		"9 KiB, well signed":                 f.claim(object{"jti": strings.Repeat("x", 9<<10)}),
		"a space in front":                   " " + f.good,
		"a line end behind":                  f.good + "\n",
		"a NUL behind":                       f.good + "\x00",
		"padding behind":                     f.good + "==",

		"alg none, no signature":        encode(f.tb, object{"alg": "none", "typ": "at+jwt"}) + "." + f.part(1) + ".",
		"alg None":                      encode(f.tb, with(f.header, object{"alg": "None"})) + "." + f.part(1) + ".",
		"alg nOnE, the good signature":  encode(f.tb, with(f.header, object{"alg": "nOnE"})) + "." + f.part(1) + "." + f.part(2),
		"alg missing":                   f.head(object{"alg": nil}),
		"alg a number":                  f.head(object{"alg": 1}),
		"alg a list":                    f.head(object{"alg": []string{"EdDSA"}}),
		"alg eddsa in lower case":       f.head(object{"alg": "eddsa"}),
		"alg RS256 over our signature":  f.head(object{"alg": "RS256"}),
		"alg ES256 over our signature":  f.head(object{"alg": "ES256"}),
		"HS256 with the public key":     f.mac(f.public, with(f.header, object{"alg": "HS256"})),
		"HS256 with the key id":         f.mac([]byte(f.w.signer.KeyID()), with(f.header, object{"alg": "HS256"})),
		"HS256 with the key in hex":     f.mac([]byte(hex.EncodeToString(f.public)), with(f.header, object{"alg": "HS256"})),
		"HS256 with the empty key":      f.mac(nil, with(f.header, object{"alg": "HS256"})),
		"HS512 named, HS256 made":       f.mac(f.public, with(f.header, object{"alg": "HS512"})),
		"EdDSA named, a MAC by the key": f.mac(f.public, f.header),

		"kid missing":               f.head(object{"kid": nil}),
		"kid empty":                 f.head(object{"kid": ""}),
		"kid a path":                f.head(object{"kid": "../../etc/passwd"}),
		"kid a device":              f.head(object{"kid": "/dev/null"}),
		"kid SQL":                   f.head(object{"kid": "x' UNION SELECT 'key"}),
		"kid a NATS wildcard":       f.head(object{"kid": ">"}),
		"kid in capitals":           f.head(object{"kid": strings.ToUpper(f.w.signer.KeyID())}),
		"kid a number":              f.head(object{"kid": 7}),
		"kid a list":                f.head(object{"kid": []string{f.w.signer.KeyID()}}),
		"kid unknown, well formed":  f.head(object{"kid": strings.Repeat("0", 32)}),
		"typ missing":               f.head(object{"typ": nil}),
		"typ JWT":                   f.head(object{"typ": "JWT"}),
		"typ AT+JWT":                f.head(object{"typ": "AT+JWT"}),
		"crit":                      f.head(object{"crit": []string{"b64"}, "b64": false}),
		"their key under our kid":   f.foreign(f.header),
		"their key, with a jwk":     f.foreign(with(f.header, object{"jwk": object{"kty": "OKP", "crv": "Ed25519", "x": b64(f.theirs.Public().(ed25519.PublicKey))}})),
		"their key, with a jku":     f.foreign(with(f.header, object{"jku": "https://evil.example/keys"})),
		"their key, with an x5u":    f.foreign(with(f.header, object{"x5u": "https://evil.example/cert"})),
		"their key, no kid, an jwk": f.foreign(with(f.header, object{"kid": nil, "jwk": object{"kty": "OKP"}})),

		"signature empty":               f.part(0) + "." + f.part(1) + ".",
		"signature cut short":           f.good[:len(f.good)-4],
		"signature of zeros":            f.part(0) + "." + f.part(1) + "." + b64(make([]byte, 64)),
		"signature of another token":    f.part(0) + "." + f.part(1) + "." + strings.Split(f.claim(object{"jti": "2"}), ".")[2],
		"payload changed":               f.part(0) + "." + encode(f.tb, with(f.payload, object{"project": "proj_other"})) + "." + f.part(2),
		"header not JSON":               f.sign("{", f.payload),
		"header null":                   f.sign("null", f.payload),
		"payload not JSON":              f.sign(f.header, "{"),
		"payload null":                  f.sign(f.header, "null"),
		"payload a list":                f.sign(f.header, "[]"),
		"payload with garbage behind":   raw("}", "} x"),
		"payload in standard base64":    f.part(0) + "." + base64.StdEncoding.EncodeToString([]byte(`{"iss":"behalf?>"}`)) + "." + f.part(2),
		"payload with a stray last bit": strayBit(f.part(0)) + "." + f.part(1) + "." + f.part(2),

		"exp missing":            f.claim(object{"exp": nil}),
		"exp null":               raw(exp, `"exp":null`),
		"exp zero":               f.claim(object{"exp": 0}),
		"exp negative":           f.claim(object{"exp": -1}),
		"exp past":               f.claim(object{"iat": now - 3700, "exp": now - 100}),
		"exp text":               f.claim(object{"exp": jsonNumber(now + 3600)}),
		"exp with a fraction":    raw(exp, `"exp":`+jsonNumber(now+3600)+".5"),
		"exp with an exponent":   raw(exp, `"exp":9e9`),
		"exp 2^63":               raw(exp, `"exp":9223372036854775808`),
		"exp 2^63-1":             raw(exp, `"exp":9223372036854775807`),
		"exp 1e309":              raw(exp, `"exp":1e309`),
		"exp in a list":          f.claim(object{"exp": []int64{now + 3600}}),
		"exp in an object":       f.claim(object{"exp": object{"$gt": 0}}),
		"exp true":               f.claim(object{"exp": true}),
		"exp two hours ahead":    f.claim(object{"exp": now + 7200}),
		"exp before iat":         f.claim(object{"iat": now + 20, "exp": now + 10}),
		"iat missing":            f.claim(object{"iat": nil}),
		"iat in the future":      f.claim(object{"iat": now + 300, "exp": now + 1200}),
		"iat text":               f.claim(object{"iat": "now"}),
		"iat -2^63":              f.claim(object{"iat": -1 << 63}),
		"nbf in the future":      f.claim(object{"nbf": now + 300}),
		"nbf text":               f.claim(object{"nbf": "soon"}),
		"iss missing":            f.claim(object{"iss": nil}),
		"iss with a slash":       f.claim(object{"iss": "behalf/"}),
		"iss another":            f.claim(object{"iss": "https://accounts.example"}),
		"iss in capitals":        f.claim(object{"iss": "BEHALF"}),
		"iss a list":             f.claim(object{"iss": []string{"behalf"}}),
		"aud missing":            f.claim(object{"aud": nil}),
		"aud a list with ours":   f.claim(object{"aud": []string{"behalf", "other"}}),
		"aud a list of ours":     f.claim(object{"aud": []string{"behalf"}}),
		"aud a piece of ours":    f.claim(object{"aud": "behal"}),
		"aud more than ours":     f.claim(object{"aud": "behalf.evil.example"}),
		"aud null":               raw(`"aud":"behalf"`, `"aud":null`),
		"sub missing":            f.claim(object{"sub": nil}),
		"sub no client id":       f.claim(object{"sub": "abc"}),
		"sub another client":     f.claim(object{"sub": "oac_other"}),
		"sub a wildcard":         f.claim(object{"sub": "oac_>"}),
		"project missing":        f.claim(object{"project": nil}),
		"project another":        f.claim(object{"project": "proj_other"}),
		"project a wildcard":     f.claim(object{"project": "proj_*"}),
		"env missing":            f.claim(object{"env": nil}),
		"env empty":              f.claim(object{"env": []string{}}),
		"env text":               f.claim(object{"env": "production"}),
		"env of another word":    f.claim(object{"env": []string{"staging"}}),
		"env many":               f.claim(object{"env": []string{"production", "development", "production"}}),
		"gen another":            f.claim(object{"gen": 2}),
		"gen missing":            f.claim(object{"gen": nil}),
		"gen a fraction":         f.claim(object{"gen": 3.5}),
		"gen text":               f.claim(object{"gen": "3"}),
		"scope of another world": f.claim(object{"scope": "admin"}),
		"scope a list":           f.claim(object{"scope": []string{"manage"}}),
		"jti missing":            f.claim(object{"jti": nil}),
	}
	return bad
}

func jsonNumber(n int64) string {
	doc, _ := json.Marshal(n)
	return string(doc)
}

// strayBit gives a part that lenient decoders read as the same bytes.
func strayBit(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last^1])
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	if _, err := f.w.verifier.Verify(t.Context(), secret.New(f.sign(f.header, f.payload))); err != nil {
		t.Fatal("the forge makes no good token, so bad ones prove nothing:", err)
	}
	bad := f.badTokens()
	if len(bad) < 60 {
		t.Fatalf("only %d bad tokens", len(bad))
	}
	accepted := 0
	for name, token := range bad {
		for range 2 { // a bad one must not become good by being seen before
			_, err := f.w.verifier.Verify(t.Context(), secret.New(token))
			if err == nil {
				accepted++
				t.Errorf("%s: accepted", name)
				continue
			}
			if !fault.Is(err, fault.Unauthenticated) || fault.Safe(err) != "send Authorization: Bearer with a valid token" {
				t.Errorf("%s: kind %v, the caller reads %q", name, fault.KindOf(err), fault.Safe(err))
			}
		}
	}
	for _, kid := range f.w.production.asked {
		if strings.Trim(kid, "0123456789abcdef") != "" {
			t.Errorf("the key id %q of a stranger went into a look-up", kid)
		}
	}
	t.Logf("%d bad tokens, %d accepted", len(bad), accepted)
}

// TestHeadersOfOthersAreIgnored holds that a key inside of a token changes nothing, in either direction.
func TestHeadersOfOthersAreIgnored(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	token := f.head(object{"jku": "https://evil.example/keys", "x5u": "https://evil.example", "jwk": object{"kty": "oct"}})
	if _, err := f.w.verifier.Verify(t.Context(), secret.New(token)); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	made := newForge(f)
	f.Add(made.good)
	for _, token := range made.badTokens() {
		if len(token) < 2<<10 {
			f.Add(token)
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		_, err := made.w.verifier.Verify(t.Context(), secret.New(token))
		if err == nil && token != made.good {
			t.Fatalf("accepted: %q", token)
		}
		if err != nil && !fault.Is(err, fault.Unauthenticated) {
			t.Fatalf("kind %v of %q", fault.KindOf(err), token)
		}
	})
}
