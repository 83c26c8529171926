package oauthtest

import (
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// grants is what users consented to, and the tokens that came of it. Its caller holds the lock.
type grants struct {
	codes   map[string]*code
	refresh map[string]*refreshToken
	access  map[string]accessToken
	all     []*grant
}

func newGrants() grants {
	return grants{codes: map[string]*code{}, refresh: map[string]*refreshToken{}, access: map[string]accessToken{}}
}

// grant is one consent. All tokens that come of it live and die with it.
type grant struct {
	user    string
	scope   string
	revoked bool
}

type code struct {
	grant     *grant
	challenge string
	redirect  string
	used      bool
}

type refreshToken struct {
	grant *grant
	spent time.Time // zero while it is good
}

type accessToken struct {
	grant *grant
	until time.Time
}

// Tokens are those of one consent.
type Tokens struct {
	Access  string
	Refresh string
	// ExpiresAt is when the access token ends.
	ExpiresAt time.Time
}

func (g *grants) issue(to *grant, now time.Time, life time.Duration) Tokens {
	t := Tokens{Access: word("at"), Refresh: word("rt"), ExpiresAt: now.Add(life)}
	g.access[t.Access] = accessToken{to, t.ExpiresAt}
	g.refresh[t.Refresh] = &refreshToken{grant: to}
	return t
}

// outcome is what became of a refresh.
type outcome struct {
	tokens Tokens
	grant  *grant
	ok     bool
	reused bool
}

// rotate spends a refresh token. One that was spent before, longer ago than the grace, takes the whole grant with it.
func (g *grants) rotate(token string, now time.Time, cfg Config) outcome {
	held, known := g.refresh[token]
	if !known || held.grant.revoked {
		return outcome{}
	}
	reused := !held.spent.IsZero()
	if reused && (cfg.Grace == 0 || now.Sub(held.spent) > cfg.Grace) {
		held.grant.revoked = true
		return outcome{reused: true}
	}
	if cfg.Keeps {
		t := Tokens{Access: word("at"), Refresh: token, ExpiresAt: now.Add(cfg.Lifetime)}
		g.access[t.Access] = accessToken{held.grant, t.ExpiresAt}
		return outcome{t, held.grant, true, false}
	}
	if !reused {
		held.spent = now
	}
	return outcome{g.issue(held.grant, now, cfg.Lifetime), held.grant, true, reused}
}

// holder is the grant of a good access token.
func (g *grants) holder(token string, now time.Time) (*grant, bool) {
	held, ok := g.access[token]
	if !ok || held.grant.revoked || !now.Before(held.until) {
		return nil, false
	}
	return held.grant, true
}

// proved checks the proof of RFC 7636. There is none to check where the consent had no challenge.
func proved(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// Grant makes tokens as if a user had consented just now.
func (v *Vendor) Grant(user string) Tokens {
	v.mu.Lock()
	defer v.mu.Unlock()
	g := &grant{user: user, scope: "read write"}
	v.grants.all = append(v.grants.all, g)
	return v.grants.issue(g, v.cfg.Now(), v.cfg.Lifetime)
}

// Withdraw ends all grants of a user, as in the user's settings at the service.
func (v *Vendor) Withdraw(user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, g := range v.grants.all {
		g.revoked = g.revoked || g.user == user
	}
}

// Good says whether an access token is taken by the API right now.
func (v *Vendor) Good(access string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.grants.holder(access, v.cfg.Now())
	return ok
}

// Live says whether a refresh token would be taken right now.
func (v *Vendor) Live(refresh string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	held, known := v.grants.refresh[refresh]
	return known && !held.grant.revoked && held.spent.IsZero()
}

// EndAccess ends all access tokens, though they were promised to live longer.
func (v *Vendor) EndAccess() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.grants.access)
}
