package oauthtest

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// token is the token endpoint of RFC 6749.
func (v *Vendor) token(w http.ResponseWriter, r *http.Request) {
	if !v.proved(r) {
		oauthError(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		v.exchange(w, r)
	case "refresh_token":
		v.refreshed(w, r)
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

// proved takes the client's secret from Basic or from the form, never from both.
func (v *Vendor) proved(r *http.Request) bool {
	id, word, basic := r.BasicAuth()
	formID, formWord := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	switch {
	case basic && formWord != "":
		return false
	case basic:
		id, word = plain(id), plain(word)
	default:
		id, word = formID, formWord
	}
	return id == v.cfg.ClientID && word == v.cfg.ClientSecret.Reveal()
}

func plain(s string) string {
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	return s
}

func (v *Vendor) exchange(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	held, known := v.grants.codes[r.PostForm.Get("code")]
	if known && held.used { // RFC 6749 §4.1.2: a code that comes twice takes with it what it gave
		held.grant.revoked = true
	}
	if !known || held.used || held.redirect != r.PostForm.Get("redirect_uri") || !proved(held.challenge, r.PostForm.Get("code_verifier")) {
		oauthError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	held.used = true
	v.counts.Exchanges++
	v.tell(w, v.grants.issue(held.grant, v.cfg.Now(), v.cfg.Lifetime), held.grant)
}

func (v *Vendor) refreshed(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	done := v.grants.rotate(r.PostForm.Get("refresh_token"), v.cfg.Now(), v.cfg)
	if done.reused {
		v.counts.Reuses++
	}
	if !done.ok {
		v.counts.Refused++
		oauthError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	v.counts.Refreshes++
	v.tell(w, done.tokens, done.grant)
}

func (v *Vendor) tell(w http.ResponseWriter, t Tokens, g *grant) {
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": t.Access, "refresh_token": t.Refresh, "token_type": "Bearer", "scope": g.scope,
		"expires_in": int(v.cfg.Lifetime.Seconds()), "user": map[string]any{"id": g.user},
	})
}

// revoke is the endpoint of RFC 7009: with a token, of either kind, its whole grant ends.
func (v *Vendor) revoke(w http.ResponseWriter, r *http.Request) {
	if !v.proved(r) {
		oauthError(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.counts.Revocations++
	token := r.PostForm.Get("token")
	if held, ok := v.grants.refresh[token]; ok {
		held.grant.revoked = true
	}
	if held, ok := v.grants.access[token]; ok {
		held.grant.revoked = true
	}
	w.WriteHeader(http.StatusOK)
}

// me is the API: it says whose token it is.
func (v *Vendor) me(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.counts.Calls++
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	held, ok := v.grants.holder(token, v.cfg.Now())
	if !ok {
		v.counts.Unauthorized++
		oauthError(w, http.StatusUnauthorized, "invalid_token")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": held.user, "name": "User " + held.user})
}

func oauthError(w http.ResponseWriter, status int, word string) {
	writeJSON(w, status, map[string]any{"error": word, "error_description": "canary-in-error"})
}

func writeJSON(w http.ResponseWriter, status int, object map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object) // the client is gone: nobody is left to tell
}

// page is what a user sees. A test may have a browser fill it in, or Vendor.Consent.
var page = template.Must(template.New("consent").Parse(`<!doctype html><html lang="en"><title>Vendor</title><form method="post" action="/authorize">
{{range $name, $values := .}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}
<label>User <input name="user" id="user"></label>
<button name="answer" value="allow" id="allow">Allow</button><button name="answer" value="deny" id="deny">Deny</button></form></html>`))
