package connect

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/app"
	"github.com/behalf-dev/behalf/pkg/auth"
	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
	"github.com/behalf-dev/behalf/pkg/oauth"
	"github.com/behalf-dev/behalf/pkg/secret"
)

// start sends the browser to the service. What binds the way back to this browser lies in its cookie alone: we keep hashes,
// and the proof of PKCE is made of the cookie when it is needed.
func (s *Server) start(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	v, err := s.visitOf(r.Context(), form)
	if err != nil {
		s.fail(w, v, err)
		return nil
	}
	values, err := v.filled(typed(form))
	if err != nil {
		s.showEntry(w, v, entry{public: v.publicOf(values), problem: shown(err)})
		return nil
	}
	base := s.base(r)
	client, err := s.clientFor(r.Context(), v, base)
	if err != nil {
		s.fail(w, v, err)
		return nil
	}
	state, browser := oauth.NewState(), oauth.NewVerifier()
	link, err := client.ConsentURL(state, verifierOf(browser, state))
	if err != nil {
		return err
	}
	consent := behalf.Consent{
		V: behalf.FormatVersion, Hash: auth.Hash(secret.New(state)), Browser: auth.Hash(browser), Token: v.token.Hash, App: v.app.Slug,
		OAuthApp: v.own, Account: v.account, Fields: v.publicOf(values), Framed: v.framed,
		ExpiresAt: earlier(s.cfg.Now().Add(s.cfg.ConsentTime), v.token.ExpiresAt),
	}
	if err := v.Tokens.PutConsent(r.Context(), consent); err != nil {
		return err
	}
	http.SetCookie(w, cookie(base, consent.Hash, browser.Reveal()+"."+v.text.Reveal(), int(s.cfg.ConsentTime.Seconds())))
	s.goOn(w, link, "Going to "+v.app.Name)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// verifierOf makes the proof of PKCE of what only the browser has.
func verifierOf(browser secret.String, state string) secret.String {
	mac := hmac.New(sha256.New, []byte(browser.Reveal()))
	mac.Write([]byte("pkce " + state))
	return secret.New(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// clientFor is the OAuth client of a visit, or a problem where there is none. All that is asked of the user before must be
// no secret, since it has to wait for the way back.
func (s *Server) clientFor(ctx context.Context, v *visit, base string) (*oauth.Client, error) {
	registration, err := s.deps.Clients.Client(ctx, v.token.Project, v.environment, v.app.Slug, v.own)
	if fault.Is(err, fault.NotFound) {
		return nil, problem{
			status: http.StatusNotFound, title: v.app.Name + " cannot be connected yet",
			why: "The application has no OAuth client of " + v.app.Name + ". The people who run it can add one: behalf oauth-apps create " + string(v.app.Slug) + ".",
		}
	}
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(v.fields(), func(f app.Field) bool { return !f.Public }) {
		return nil, problem{status: http.StatusNotImplemented, title: v.app.Name + " cannot be connected here", why: "It asks for a consent and for a secret at once."}
	}
	registration.RedirectURL = base + behalf.CallbackPath
	return oauth.New(s.deps.HTTP, v.app, registration, oauth.Config{Now: s.cfg.Now})
}

// base is the address of ours at which the browser is, where that is one that we know.
func (s *Server) base(r *http.Request) string {
	scheme := "http"
	if s.cfg.Proxies.Secure(r) {
		scheme = "https"
	}
	if here := scheme + "://" + s.cfg.Proxies.Host(r); slices.Contains(s.cfg.Also, here) {
		return here
	}
	return s.cfg.URL
}

// cookieName is one for each consent, so that several windows do not meet. Browsers take a name with __Host- from https
// alone, and from no other host.
func cookieName(base, hash string) string {
	name := "behalf_connect_" + hash[:16]
	if strings.HasPrefix(base, "https://") {
		return "__Host-" + name
	}
	return name
}

func cookie(base, hash, value string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // over plain http, as in dev, a Secure cookie would be lost
		Name: cookieName(base, hash), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: strings.HasPrefix(base, "https://"), SameSite: http.SameSiteLaxMode,
	}
}

// callback is where the service sends the browser back. A browser without the cookie of this very state gets no further,
// and spoils nothing for the one that has it.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) error {
	query, base := r.URL.Query(), s.base(r)
	state := query.Get("state")
	hash := auth.Hash(secret.New(state))
	kept, err := r.Cookie(cookieName(base, hash))
	if err != nil || state == "" {
		return otherBrowser()
	}
	http.SetCookie(w, cookie(base, hash, "", -1))
	word, text, _ := strings.Cut(kept.Value, ".")
	browser := secret.New(word)
	consent, v, err := s.takeConsent(r.Context(), hash, browser)
	if err != nil {
		s.fail(w, v, err)
		return nil
	}
	v.text = secret.New(text)
	account, err := s.connectBy(r.Context(), v, func(ctx context.Context) (found, error) {
		client, err := s.clientFor(ctx, v, base)
		if err != nil {
			return found{}, err
		}
		return s.exchange(ctx, v, consent, granting{client, query, state, verifierOf(browser, state)})
	})
	s.answer(w, v, account, err)
	return nil
}

// takeConsent ends a consent, and finds again whose it was.
func (s *Server) takeConsent(ctx context.Context, hash string, browser secret.String) (behalf.Consent, *visit, error) {
	for _, env := range behalf.Environments() {
		stores, ok := s.deps.Environments[env]
		if !ok {
			continue
		}
		consent, err := stores.Tokens.TakeConsent(ctx, hash)
		switch {
		case fault.Is(err, fault.NotFound):
			continue
		case err != nil:
			return consent, nil, err
		case !auth.Matches(browser, consent.Browser):
			return consent, nil, otherBrowser()
		}
		v, err := s.visitAgain(ctx, consent)
		return consent, v, err
	}
	return behalf.Consent{}, nil, otherBrowser()
}

func (s *Server) visitAgain(ctx context.Context, c behalf.Consent) (*visit, error) {
	v := &visit{framed: c.Framed}
	if err := s.findToken(ctx, v, c.Token); err != nil {
		return nil, err
	}
	if !v.token.Good(s.cfg.Now()) {
		return v, usedLink()
	}
	return v, s.choose(ctx, v, choice{c.App, string(c.OAuthApp), string(c.Account)})
}

// granting is a consent that has come back.
type granting struct {
	client   *oauth.Client
	query    url.Values
	state    string
	verifier secret.String
}

// exchange trades the code, and asks the service whose account it is. Where it does not say right now, its token is proof
// enough.
func (s *Server) exchange(ctx context.Context, v *visit, c behalf.Consent, g granting) (found, error) {
	code, err := g.client.Callback(g.query, g.state)
	if err != nil {
		return found{}, err
	}
	token, err := g.client.Exchange(ctx, code, g.verifier)
	if err != nil {
		return found{}, err
	}
	f := found{own: v.own}
	f.credential.Fields = map[string]secret.String{accessToken: token.Access}
	for name, value := range c.Fields {
		f.credential.Fields[name] = secret.New(value)
	}
	maps.Copy(f.credential.Fields, token.Fields)
	f.credential.RefreshToken, f.credential.ExpiresAt, f.credential.Scopes = token.Refresh, token.ExpiresAt, token.Scopes
	f.credential.OAuthApp = string(v.own)
	f.identity, err = s.test(ctx, v.app, f.credential.Fields)
	if fault.IsAway(err) {
		s.deps.Log.Warn().Err(err).Str("app", string(v.app.Slug)).Msg("a fresh token could not be tried, and is kept") // the service gave it just now
		err = nil
	}
	return f, err
}
