package practice

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/behalf-dev/behalf/pkg/secret"
)

// tokenAnswer is a success of the token endpoint. It is made by hand into a map where it is written: the types of our
// secrets print ***.
type tokenAnswer map[string]any

// token is the token endpoint of RFC 6749.
func (p *Practice) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	w.Header().Set("Cache-Control", "no-store")
	if r.ParseForm() != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "the body must be a form")
		return
	}
	if !p.clientProved(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="practice"`)
		oauthError(w, http.StatusUnauthorized, "invalid_client", "client_id or client_secret is wrong")
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		p.tradeCode(w, r.PostForm)
	case "refresh_token":
		p.refresh(w, r.PostForm.Get("refresh_token"))
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
	}
}

// clientProved takes the client's secret from Basic or from the form.
func (p *Practice) clientProved(r *http.Request) bool {
	id, word, basic := r.BasicAuth()
	if basic {
		id, word = unescaped(id), unescaped(word)
	} else {
		id, word = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	return id == p.cfg.ClientID && p.cfg.ClientSecret.Equal(secret.New(word))
}

// unescaped undoes the form encoding that RFC 6749 asks for inside Basic.
func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

func (p *Practice) tradeCode(w http.ResponseWriter, form url.Values) {
	now := p.cfg.Now()
	held, first := p.consents.trade(form.Get("code"), now)
	if first && held.redirect == form.Get("redirect_uri") && proved(held.challenge, form.Get("code_verifier")) {
		opened, tokens := p.grants.open(held.grant, held.user, now, p.cfg.AccessLifetime)
		p.answerTokens(w, opened, tokens)
		return
	}
	if closed, found := p.grants.close(held.grant); found && !p.kept(w, entry{Grant: &closed}) {
		return
	}
	oauthError(w, http.StatusBadRequest, "invalid_grant", "the code is unknown, old or used, or does not fit redirect_uri or code_verifier")
}

// proved checks the proof of RFC 7636.
func proved(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(challenge), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

func (p *Practice) refresh(w http.ResponseWriter, refresh string) {
	changed, tokens, ok := p.grants.rotate(refresh, p.cfg.Now(), p.cfg.AccessLifetime)
	if ok {
		p.answerTokens(w, changed, tokens)
		return
	}
	if changed.ID != "" && !p.kept(w, entry{Grant: &changed}) {
		return
	}
	oauthError(w, http.StatusBadRequest, "invalid_grant", "the refresh token is unknown, spent or revoked")
}

func (p *Practice) answerTokens(w http.ResponseWriter, g grant, tokens issued) {
	if !p.kept(w, entry{Grant: &g}) {
		return
	}
	writeJSON(w, http.StatusOK, tokenAnswer{
		"access_token":  tokens.access,
		"token_type":    "Bearer",
		"expires_in":    int(p.cfg.AccessLifetime.Seconds()),
		"refresh_token": tokens.refresh,
		"scope":         scope,
	})
}

// kept writes down what happened, before anybody is told of it. Where that fails, it answers so.
func (p *Practice) kept(w http.ResponseWriter, e entry) bool {
	if err := p.file.append(e); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"error": "the practice app cannot write its state file"})
		return false
	}
	return true
}

func oauthError(w http.ResponseWriter, status int, code, why string) {
	writeJSON(w, status, map[string]any{"error": code, "error_description": why})
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client is gone: nobody is left to tell
}
