package connect_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/connect"
	"github.com/behalf-dev/behalf/pkg/credential"
	"github.com/behalf-dev/behalf/pkg/oauth/oauthtest"
)

// Each answer that token endpoints are known to give, as the one who connects gets to see it: an account that works, or a
// page that says what to do, nothing stored, and a link that is still good.
func TestAnswersOfTheServiceToOneWhoConnects(t *testing.T) {
	t.Parallel()
	const connected, tenYears = 200, 3650 * 24 * time.Hour
	for name, c := range map[string]struct {
		fault   oauthtest.Fault
		status  int
		says    string
		lives   time.Duration // 0: nobody knows
		renews  bool
		granted string
	}{
		"no expires_in":           {oauthtest.NoExpiry(), connected, "Vendor is connected", 0, true, "read write"},
		"expires_in is a text":    {oauthtest.Set("expires_in", "3600"), connected, "Vendor is connected", time.Hour, true, "read write"},
		"expires_in is 0":         {oauthtest.Set("expires_in", 0), connected, "Vendor is connected", 0, true, "read write"},
		"expires_in is negative":  {oauthtest.Set("expires_in", -1), connected, "Vendor is connected", 0, true, "read write"},
		"expires_in is 10^12":     {oauthtest.Set("expires_in", int64(1_000_000_000_000)), connected, "Vendor is connected", tenYears, true, "read write"},
		"no refresh_token":        {oauthtest.NoRefreshToken(), connected, "Vendor is connected", time.Hour, false, "read write"},
		"other scopes":            {oauthtest.Set("scope", "read"), connected, "Vendor is connected", time.Hour, true, "read"},
		"bearer in small letters": {oauthtest.Set("token_type", "bearer"), connected, "Vendor is connected", time.Hour, true, "read write"},
		"a lie about gzip":        {oauthtest.GzipLie(), connected, "Vendor is connected", time.Hour, true, "read write"},
		"200 with invalid_grant":  {oauthtest.Refusal(http.StatusOK, "invalid_grant"), 422, "no longer accepts this consent", 0, false, ""},
		"200 with another error":  {oauthtest.Refusal(http.StatusOK, "who_knows"), 422, "refuses the OAuth client", 0, false, ""},
		"200 with HTML":           {oauthtest.HTML(), 503, "gave an answer that is none", 0, false, ""},
		"302":                     {oauthtest.Redirect(http.StatusFound, "/api/me"), 503, "gave an answer that is none", 0, false, ""},
		"429":                     {oauthtest.Limited("5"), 503, "is asked too often", 0, false, ""},
		"503":                     {oauthtest.Away(""), 503, "does not work right now", 0, false, ""},
		"the connection is cut":   {oauthtest.CutAfter(), 503, "does not work right now", 0, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now().UTC()
			w := newWorld(t, func(cfg *connect.Config, _ *connect.Deps) { cfg.Now = func() time.Time { return began } })
			token, b := w.token(), w.browser()
			back := b.consent(token, "jane", link)
			w.vendor.Fail(oauthtest.AtToken, c.fault)
			page, all := b.get(back.String()), w.accounts()
			if page.status != c.status || !strings.Contains(page.body, c.says) || strings.Contains(page.body+w.log.String(), "canary") {
				t.Fatalf("%d %s", page.status, page.body)
			}
			if c.status != connected {
				if len(all) != 0 || w.use(token).State != "" || w.vendor.Counts().Tokens != 1 || w.vendor.Counts().Calls != 0 {
					t.Errorf("%d accounts, use %+v, %+v", len(all), w.use(token), w.vendor.Counts())
				}
				return
			}
			kept := w.credential(all[0])
			if !all[0].Usable() || strings.Join(kept.Scopes, " ") != c.granted || strings.Join(all[0].Scopes, " ") != c.granted {
				t.Errorf("%+v with %v", all[0], kept.Scopes)
			}
			if kept.RefreshToken.IsZero() == c.renews || !w.vendor.Good(kept.AccessToken().Reveal()) {
				t.Errorf("%+v", kept)
			}
			ends := time.Time{}
			if c.lives != 0 {
				ends = began.Add(c.lives)
			}
			if !kept.ExpiresAt.Equal(ends) || !all[0].ExpiresAt.Equal(ends) {
				t.Errorf("it ends at %s, the record says %s, want %s", kept.ExpiresAt, all[0].ExpiresAt, ends)
			}
		})
	}
}

// Some services give a refresh token at the first consent only. Whoever connects again keeps it, where it is surely theirs
// and still works.
func TestConnectingAgainKeepsTheRefreshToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world, a behalf.Account)
		keeps  bool
	}{
		"of the same user": {func(*world, behalf.Account) {}, true},
		"that was refused": {func(w *world, a behalf.Account) {
			a.State, a.Reason = behalf.AccountNeedsReauth, "gone"
			w.replace(a)
		}, false},
		"of an unknown user": {func(w *world, a behalf.Account) {
			a.Identity = ""
			w.replace(a)
		}, false},
		"of another client": {func(w *world, a behalf.Account) {
			c := w.credential(a)
			c.OAuthApp = "oa_other"
			w.replaceCredential(a, c)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser()
			b.get(b.consent(w.token(), "jane", link).String())
			first := w.accounts()[0]
			before := w.credential(first)
			c.change(w, first)
			back := b.consent(w.token(), "jane", link, "&accountId="+string(first.ID))
			w.vendor.Fail(oauthtest.AtToken, oauthtest.NoRefreshToken())
			page := b.get(back.String())
			after := w.credential(first)
			if page.status != http.StatusOK || len(w.accounts()) != 1 || after.AccessToken().Equal(before.AccessToken()) {
				t.Fatalf("%d %s", page.status, page.body)
			}
			if kept := after.RefreshToken.Equal(before.RefreshToken); kept != c.keeps || !kept && !after.RefreshToken.IsZero() {
				t.Errorf("kept %v, want %v", kept, c.keeps)
			}
		})
	}
}

// replaceCredential puts another credential in the place of an account's.
func (w *world) replaceCredential(a behalf.Account, c credential.Credential) {
	w.t.Helper()
	at := credential.PathOf(dev, a)
	_, revision, err := w.dev.credentials.Get(w.t.Context(), at)
	if err == nil {
		_, err = w.dev.credentials.Put(w.t.Context(), at, c, revision)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// replace puts another record in the place of an account's.
func (w *world) replace(a behalf.Account) {
	w.t.Helper()
	_, revision, err := w.dev.FindAccount(w.t.Context(), a.Project, a.ID)
	if err == nil {
		err = w.dev.PutAccount(w.t.Context(), a, revision)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
