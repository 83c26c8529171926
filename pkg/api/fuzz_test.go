package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/api"
	"github.com/behalf-dev/behalf/pkg/web"
)

// FuzzTokenRequest asks for tokens with any body. Nobody gets one who does not send the secret of a client; every other
// answer is an error of RFC 6749, and no body makes a failure of ours.
func FuzzTokenRequest(f *testing.F) {
	w := newWorld(f, func(c *api.Config, _ *api.Deps) {
		most := web.Rate{PerSecond: 1e9, Burst: 1 << 30}
		c.PerAddress, c.PerClient = most, most
	})
	password := w.secrets[ours].Reveal()
	for _, kind := range []string{asJSON, asForm, ""} {
		spelled := kind
		if kind == "" {
			spelled = asForm
		}
		f.Add(kind, w.body(spelled, ours), "")
		f.Add(kind, w.body(spelled, ours, "client_secret", "guess"), "")
		f.Add(kind, w.body(spelled, gone, "scope", "manage  invoke"), "")
		f.Add(kind, w.body(spelled, ours, "client_secret", ""), basic(string(ours), password))
	}
	f.Add(asJSON, `{"grant_type":"client_credentials","client_id":["`+string(ours)+`"],"client_secret":{"a":null}}`, "")
	f.Add(asJSON, `{"grant_type":"client_credentials","grant_type":"password"}{}`, "Basic Og==")
	f.Add(asJSON+"; charset=utf-16", "\ufeff\xff\x00[[[[", "Basic \x00")
	f.Add(asForm, "grant_type=client_credentials&client_id=%zz&client_id=&scope=*;a", "Bearer x")
	f.Add("multipart/form-data; boundary=x", "--x\r\n\r\n--x--", "")
	f.Fuzz(func(t *testing.T, kind, body, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/oauth/token", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		a := answer{rec.Code, rec.Header(), rec.Body.String()}
		if a.status == http.StatusOK {
			if sent := body + authorization; authorization == "" && !strings.Contains(sent, password) && !strings.ContainsAny(sent, `%\+`) {
				t.Fatalf("a token for %q", body)
			}
			return
		}
		if code, _ := a.field(t, "error").(string); a.status != 400 && a.status != 401 || !strings.HasPrefix(code, "invalid_") && code != "unsupported_grant_type" {
			t.Fatalf("%d %s for %q", a.status, a.body, body)
		}
		if strings.Contains(a.body, password) {
			t.Fatalf("the secret is in %s", a.body)
		}
	})
}
